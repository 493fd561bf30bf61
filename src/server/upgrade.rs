//! One process takes the place of another: its sockets, then its books, while what runs in the old one ends there.
//!
//! They meet at a Unix socket beside the database, where the new one waits ([`Rendezvous`]) until the old one gets
//! SIGQUIT ([`Successor::meet`]). What they say, in order:
//!
//! | old | new |
//! |---|---|
//! | its listening sockets | prepared: it could start |
//! | the books are released; nothing is accepted meanwhile | opened: with the old one's holds in them |
//! | serve: from here on there is no way back | serves |
//! | the ends of what still runs there, group by group | durable, after each group |
//! | hangs up when all has ended | settles what has not, as after a crash |
//!
//! A stream in the old process that outgrows its hold is still decided there, on the balance as it was when the books were
//! released; the new one hears of it with the stream's next checkpoint and sets as much aside, whether there is as much
//! or not. So an account can be overdrawn by what its own streams of one upgrade extend, and no stream is cut for it.
//!
//! Always true: at most one of them has the journal, because its lock says so; until the new one serves, the old one can
//! still go on as if nothing had been asked; a change is in the books of the new one or still in the queue of the old.

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::sockets::{Place, Socket};
use crate::ledger::Carried;
use crate::store::contract::{Change, Journal, Recovery, Storage, StoreError};

/// What the old process says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromOld<'a> {
    /// The descriptors come in the same order.
    Sockets {
        protocol: u32,
        places: Vec<Place>,
    },
    BooksReleased,
    Serve,
    Changes(Cow<'a, [Change]>),
}

/// What the new one answers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromNew {
    Prepared,
    BooksOpened,
    Durable,
}

/// Where the two meet.
pub(super) fn meeting_place(database: &Path) -> PathBuf {
    // The old process may have come to the same file by another way.
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".upgrade");
    path.into()
}

/// The new process, waiting for the old one.
pub(super) struct Rendezvous {
    listener: UnixListener,
    path: PathBuf,
}

impl Rendezvous {
    /// # Errors
    /// Somebody else waits there; or the folder cannot be written to.
    pub(super) fn open(path: PathBuf) -> Result<Rendezvous> {
        if UnixStream::connect(&path).is_ok() {
            bail!("another process waits already to take over ({})", path.display());
        }
        let at = || format!("cannot wait at {}", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(at),
            _ => {}
        }
        let listener = UnixListener::bind(&path).with_context(at)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).with_context(at)?;
        Ok(Rendezvous { listener, path })
    }

    /// Waits for the old process and takes its sockets.
    ///
    /// # Errors
    /// Nobody came in time.
    pub(super) async fn wait(self) -> Result<(Predecessor, Vec<Socket>)> {
        tracing::info!(at = %self.path.display(), "waiting for SIGQUIT to the running process");
        let met = async {
            loop {
                let (stream, _) = self.listener.accept().await?;
                let stream = stream.into_std()?;
                match tokio::task::spawn_blocking(move || Predecessor::greet(stream)).await? {
                    Ok(met) => return Ok(met),
                    // Somebody looked whether anybody waits, or speaks another language.
                    Err(error) => tracing::warn!("not the process to take over from: {error:#}"),
                }
            }
        };
        match tokio::time::timeout(WAIT_MAX, met).await {
            Ok(met) => met,
            Err(_) => {
                bail!("no running process handed over within {WAIT_MAX:?}: send it SIGQUIT, or start without --upgrade")
            }
        }
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // What is left over is removed by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

/// The old process, as the new one sees it.
pub(super) struct Predecessor {
    wire: Wire,
}

impl Predecessor {
    fn greet(stream: UnixStream) -> Result<(Predecessor, Vec<Socket>)> {
        let mut wire = Wire::new(stream)?;
        wire.be_patient_for(Some(ANSWER_MAX))?;
        let descriptors = wire.receive_descriptors()?;
        let FromOld::Sockets { protocol, places } = wire.receive()? else {
            bail!("it does not begin with its sockets")
        };
        ensure!(protocol == PROTOCOL, "it speaks version {protocol} of the hand-over, this program {PROTOCOL}");
        ensure!(descriptors.len() == places.len(), "{} sockets came for {}", descriptors.len(), places.len());
        let socket = |(place, descriptor)| Socket { place, listener: TcpListener::from(descriptor) };
        let sockets = places.into_iter().zip(descriptors).map(socket).collect();
        Ok((Predecessor { wire }, sockets))
    }

    /// Tells that nothing but the books is missing, and returns when they are free.
    ///
    /// # Errors
    /// The old process has died or thought better of it.
    pub(super) fn await_books(&mut self) -> Result<()> {
        self.wire.send(&FromNew::Prepared)?;
        match self.wire.receive().context("the running process did not hand over its books")? {
            FromOld::BooksReleased => Ok(()),
            _ => bail!("the running process speaks out of turn"),
        }
    }

    /// Tells that the books are open, and returns when it is this process that serves.
    ///
    /// # Errors
    /// The old process has died or lost patience: it may serve again already.
    pub(super) fn await_turn(&mut self) -> Result<()> {
        self.wire.be_patient_for(None)?;
        self.wire.send(&FromNew::BooksOpened).context("the running process lost patience")?;
        match self.wire.receive().context("the running process lost patience")? {
            FromOld::Serve => Ok(()),
            _ => bail!("the running process speaks out of turn"),
        }
    }

    /// Writes what the old process sends until it has ended. Returns what was left to settle; `None` if this process is
    /// ending first.
    pub(super) fn follow(mut self, mut carried: Carried, now_ms: fn() -> i64) -> Option<Recovery> {
        while let Ok(FromOld::Changes(changes)) = self.wire.receive() {
            // Hanging up tells the old process to write them itself.
            carried.pass_on(changes.into_owned()).ok()?;
            if self.wire.send(&FromNew::Durable).is_err() {
                break;
            }
        }
        Some(carried.end(now_ms()))
    }
}

/// The new process, as the old one sees it.
pub(super) struct Successor {
    wire: Wire,
}

impl Successor {
    /// Passes the sockets on to the process that waits. Returns when that one could start; nothing has changed so far.
    ///
    /// # Errors
    /// Nobody waits; or it cannot start.
    pub(super) fn meet(path: &Path, sockets: &[Socket]) -> Result<Successor> {
        let stream = UnixStream::connect(path).context("no successor waits: start `tollgate serve --upgrade` first")?;
        let mut wire = Wire::new(stream)?;
        wire.be_patient_for(Some(ANSWER_MAX))?;
        let descriptors: Vec<_> = sockets.iter().map(|socket| socket.listener.as_fd()).collect();
        wire.send_descriptors(&descriptors)?;
        let places = sockets.iter().map(|socket| socket.place).collect();
        wire.send(&FromOld::Sockets { protocol: PROTOCOL, places })?;
        wire.expect(&FromNew::Prepared).context("the successor cannot start")?;
        Ok(Successor { wire })
    }

    /// Lets it open the books, which must be released, and then serve.
    fn give_books(&mut self) -> Result<()> {
        self.wire.be_patient_for(Some(OPENING_MAX))?;
        self.wire.send(&FromOld::BooksReleased)?;
        self.wire.expect(&FromNew::BooksOpened).context("the successor could not open the books")?;
        self.wire.be_patient_for(None)?;
        self.wire.send(&FromOld::Serve)
    }
}

/// The journal of a process that was replaced: it writes through its successor, and itself again should that one die.
pub(super) struct Relay {
    storage: Arc<dyn Storage>,
    successor: Option<Successor>,
    own: Option<Box<dyn Journal>>,
}

impl Relay {
    /// The books are released: gives them to the successor and tells whether it serves. If not, they are taken back.
    pub(super) fn begin(
        mut successor: Successor,
        storage: Arc<dyn Storage>,
        told: oneshot::Sender<Result<()>>,
    ) -> Relay {
        let given = successor.give_books();
        let mut relay = Relay { storage, successor: given.is_ok().then_some(successor), own: None };
        if given.is_err() {
            relay.take_back();
        }
        // Nobody listens only if the process ends at this moment.
        let _ = told.send(given);
        relay
    }

    /// Has the lock again before anybody else comes. The successor may need a moment to die; after it each commit tries.
    fn take_back(&mut self) {
        for _ in 0..TAKE_BACK_TRIES {
            if self.own().is_ok() {
                return;
            }
            std::thread::sleep(TAKE_BACK_EVERY);
        }
    }

    fn pass_on(&mut self, group: &[Change]) -> bool {
        let Some(successor) = &mut self.successor else { return false };
        let passed = successor.wire.send(&FromOld::Changes(Cow::Borrowed(group)));
        let durable = passed.and_then(|()| successor.wire.expect(&FromNew::Durable));
        if let Err(error) = durable {
            tracing::warn!("the successor does not answer, what still runs is written here: {error:#}");
            self.successor = None;
        }
        self.successor.is_some()
    }

    fn own(&mut self) -> Result<&mut dyn Journal, StoreError> {
        let own = match self.own.take() {
            Some(own) => own,
            // Its lock is free when the successor is dead; until then this is tried again.
            None => self.storage.journal().map_err(|error| StoreError::Unavailable(error.into()))?,
        };
        Ok(self.own.insert(own).as_mut())
    }
}

impl Journal for Relay {
    fn commit(&mut self, group: &[Change]) -> Result<(), StoreError> {
        // A group that was passed on and not acknowledged is written again: that is harmless.
        if self.pass_on(group) { Ok(()) } else { self.own()?.commit(group) }
    }

    fn recover(&mut self, _now_ms: i64) -> Result<Recovery, StoreError> {
        Err(StoreError::Refused("the holds on disk are still running".into()))
    }

    /// The successor removes old records, too.
    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError> {
        if self.successor.is_some() { Ok(0) } else { self.own()?.prune(before_ms) }
    }
}

/// Lines of JSON over a Unix socket; descriptors come before the first of them.
struct Wire {
    reader: BufReader<UnixStream>,
}

impl Wire {
    /// # Errors
    /// On the other side is another user: neither sockets nor books are for them.
    fn new(stream: UnixStream) -> Result<Wire> {
        stream.set_nonblocking(false)?;
        let other = rustix::net::sockopt::socket_peercred(&stream)?;
        ensure!(other.uid == rustix::process::geteuid(), "the other side belongs to another user");
        Ok(Wire { reader: BufReader::new(stream) })
    }

    fn be_patient_for(&self, time: Option<Duration>) -> io::Result<()> {
        self.reader.get_ref().set_read_timeout(time)
    }

    fn send(&mut self, message: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        Ok(self.reader.get_mut().write_all(&line)?)
    }

    fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        ensure!(read.context("the other side is silent")? > 0, "the other side hung up");
        serde_json::from_str(&line).context("the other side is not understood")
    }

    fn expect(&mut self, expected: &FromNew) -> Result<()> {
        let answer: FromNew = self.receive()?;
        ensure!(answer == *expected, "{expected:?} was expected, and {answer:?} came");
        Ok(())
    }

    /// One byte goes with them: descriptors travel on data only.
    fn send_descriptors(&mut self, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        ensure!(descriptors.len() <= SOCKETS_MAX, "{} sockets are too many to pass on", descriptors.len());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ensure!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)), "the sockets do not fit");
        let stream = self.reader.get_ref();
        rustix::net::sendmsg(stream, &[IoSlice::new(b"+")], &mut ancillary, rustix::net::SendFlags::empty())?;
        Ok(())
    }

    fn receive_descriptors(&mut self) -> Result<Vec<OwnedFd>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut data = [IoSliceMut::new(&mut byte)];
        // Before anything is buffered: the descriptors are where this byte is.
        let stream = self.reader.get_ref();
        let received = rustix::net::recvmsg(stream, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        ensure!(received.bytes == 1, "the other side hung up");
        let descriptors = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        Ok(descriptors.flatten().collect())
    }
}

/// Of what is said here; two releases that differ in it cannot replace each other.
const PROTOCOL: u32 = 1;
/// How long the new process waits for SIGQUIT to the old one.
const WAIT_MAX: Duration = Duration::from_secs(300);
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// New connections wait this long at most, if the successor opens the books and hangs.
const OPENING_MAX: Duration = Duration::from_secs(20);
const TAKE_BACK_TRIES: usize = 100;
const TAKE_BACK_EVERY: Duration = Duration::from_millis(20);
/// Far below the kernel's 253 (`SCM_MAX_FD`).
const SOCKETS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::sockets::Purpose;
    use super::*;
    use crate::core::account::AccountId;
    use crate::core::key::KeyId;
    use crate::core::money::Nano;
    use crate::store::contract::{CheckpointRow, HoldRow, Outcome, RequestId, RequestRow};

    fn changes() -> Vec<Change> {
        let (request, account, key) = (RequestId::new(), AccountId(3), KeyId(4));
        let checkpoint = CheckpointRow {
            request,
            hold: Nano(1_234_567_890_123),
            charge: Nano(1),
            upstream: "up \"\n\u{1F6AA}".into(),
            input_tokens: u64::MAX,
            output_tokens: 0,
        };
        let end = RequestRow {
            request,
            account,
            key,
            endpoint: "chat_completions".into(),
            model: "m".into(),
            upstream: String::new(),
            status: 200,
            outcome: Outcome::ClientGone,
            estimated: true,
            anomalous: false,
            streamed: true,
            input_tokens: 1,
            cached_input_tokens: 2,
            output_tokens: 3,
            reasoning_tokens: 4,
            charge: Nano(i64::MAX),
            price_version: "v".into(),
            cost: Nano::ZERO,
            bill: "input 1 1;x1000000".into(),
            started_at_ms: -1,
            ttft_ms: None,
            duration_ms: u32::MAX,
        };
        let used = Change::KeyUsed { key, at_ms: 7 };
        vec![Change::Checkpoint(Box::new(checkpoint)), Change::Settle(Box::new(end)), used]
    }

    fn wires() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(one).unwrap(), Wire::new(other).unwrap())
    }

    #[test]
    fn changes_arrive_as_they_were() {
        let (mut old, mut new) = wires();
        old.send(&FromOld::Changes(Cow::Owned(changes()))).unwrap();
        old.send(&FromOld::Serve).unwrap();
        let FromOld::Changes(arrived) = new.receive().unwrap() else { panic!("changes were sent") };
        let sent = changes();
        assert_eq!(arrived.len(), sent.len());
        assert_eq!(arrived[2], sent[2]);
        let (Change::Checkpoint(there), Change::Checkpoint(here)) = (&arrived[0], &sent[0]) else {
            panic!("its order")
        };
        assert_eq!((there.hold, &there.upstream, there.input_tokens), (here.hold, &here.upstream, here.input_tokens));
        let (Change::Settle(there), Change::Settle(here)) = (&arrived[1], &sent[1]) else { panic!("its order") };
        assert_eq!(RequestRow { request: here.request, ..there.as_ref().clone() }, **here);
        assert!(matches!(new.receive().unwrap(), FromOld::Serve));
    }

    #[test]
    fn a_new_hold_does_not_travel() {
        let row = HoldRow {
            request: RequestId::new(),
            account: AccountId(1),
            key: KeyId(1),
            endpoint: "chat_completions".into(),
            model: "m".into(),
            streamed: false,
            amount: Nano(1),
            price_version: "v".into(),
            started_at_ms: 0,
        };
        assert!(serde_json::to_string(&FromOld::Changes(Cow::Owned(vec![Change::Hold(Box::new(row))]))).is_err());
    }

    #[test]
    fn a_line_that_broke_off_is_no_message() {
        let (mut old, mut new) = wires();
        let line = serde_json::to_vec(&FromOld::Changes(Cow::Owned(changes()))).unwrap();
        old.reader.get_mut().write_all(&line[..line.len() / 2]).unwrap();
        drop(old);
        assert!(new.receive::<FromOld<'_>>().is_err());
        assert!(new.receive::<FromOld<'_>>().is_err());
    }

    #[test]
    fn sockets_arrive_with_their_queue() {
        let (old, new) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = std::net::TcpStream::connect(address).unwrap();
        let place = Place { purpose: Purpose::Metrics, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut wire = Wire::new(old).unwrap();
        wire.send_descriptors(&[listener.as_fd()]).unwrap();
        wire.send(&FromOld::Sockets { protocol: PROTOCOL, places: vec![place] }).unwrap();
        drop(listener);
        let (_, sockets) = Predecessor::greet(new).unwrap();
        assert_eq!((sockets.len(), sockets[0].place), (1, place));
        assert_eq!(sockets[0].listener.accept().unwrap().1, waiting.local_addr().unwrap());
    }

    #[test]
    fn another_protocol_is_refused() {
        let (old, new) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(old).unwrap();
        wire.send_descriptors(&[]).unwrap();
        wire.send(&FromOld::Sockets { protocol: PROTOCOL + 1, places: Vec::new() }).unwrap();
        let refused = Predecessor::greet(new).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("version"), "{refused:#}");
    }

    #[tokio::test]
    async fn a_stale_meeting_place_is_taken_over_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = meeting_place(&folder.path().join("t.db"));
        // Left behind by a process that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let waiting = Rendezvous::open(path.clone()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Rendezvous::open(path.clone()).is_err());
        drop(waiting);
        assert!(!path.exists());
        assert!(Successor::meet(&path, &[]).is_err());
    }
}
