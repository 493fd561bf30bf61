//! The storage, as the console reaches it: a few connections that stay open, and threads that may wait.
//!
//! Always true: at most [`Pool::new`]'s number of connections of a kind work at a time, so that however many pages are
//! asked for, neither threads nor the database are overrun; who waits longer than [`WAIT_MAX`] hears 503.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::store::contract::StoreError;

/// Connections of one kind. Opened when needed, kept when not.
pub(super) struct Pool<T> {
    open: Box<dyn Fn() -> Result<T, StoreError> + Send + Sync>,
    idle: Mutex<Vec<T>>,
    places: Arc<Semaphore>,
}

impl<T: Send + 'static> Pool<T> {
    pub(super) fn new(
        connections_max: usize,
        open: impl Fn() -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Arc<Pool<T>> {
        Arc::new(Pool {
            open: Box::new(open),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(connections_max)),
        })
    }

    /// Works with one of the connections, on a thread that may wait. Once begun, it is finished, whether somebody still
    /// waits for the answer or not.
    pub(super) async fn run<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut T) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let place = tokio::time::timeout(WAIT_MAX, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(StoreError::Unavailable("too many are waiting for it".into()));
        };
        let pool = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let idle = pool.idle.lock().pop();
            let mut connection = idle.map_or_else(|| (pool.open)(), Ok)?;
            let result = work(&mut connection);
            // What failed may be in any state: the next one gets a new connection.
            if !matches!(result, Err(StoreError::Unavailable(_) | StoreError::Unusable(_))) {
                pool.idle.lock().push(connection);
            }
            result
        });
        worked.await.unwrap_or_else(|panic| Err(StoreError::Unavailable(panic.into())))
    }
}

const WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_work_at_a_time_than_there_are_places_and_connections_are_kept() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        static WORKING: AtomicUsize = AtomicUsize::new(0);
        let pool = Pool::new(2, || Ok(OPENED.fetch_add(1, Ordering::SeqCst)));
        let work = |_: &mut usize| {
            let working = WORKING.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::sleep(Duration::from_millis(2));
            WORKING.fetch_sub(1, Ordering::SeqCst);
            Ok(working)
        };
        let most = futures_util::future::join_all((0..20).map(|_| pool.run(work))).await;
        assert!(most.into_iter().all(|working| working.unwrap() <= 2));
        assert!(OPENED.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn a_connection_that_failed_is_not_used_again() {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = opened.clone();
        let pool = Pool::new(1, move || Ok(count.fetch_add(1, Ordering::SeqCst)));
        let failed = pool.run(|_| Err::<(), _>(StoreError::Unavailable("gone".into()))).await;
        assert!(failed.is_err());
        assert!(pool.run::<()>(|_| panic!("on purpose")).await.is_err());
        assert_eq!(pool.run(|connection| Ok(*connection)).await.unwrap(), 2);
        assert_eq!(pool.run(|_| Err::<(), _>(StoreError::Refused("no".into()))).await.unwrap_err().to_string(), "no");
        assert_eq!(pool.run(|connection| Ok(*connection)).await.unwrap(), 2, "a refusal harms no connection");
    }
}
