//! A streamed answer, cut anywhere: the client's bytes and the facts are those of the stream in one piece.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::core::usage::COUNT_MAX;
use tollgate::protocol::endpoint::Endpoint;
use tollgate::protocol::stream::StreamReader;

#[derive(Arbitrary, Debug)]
struct Input {
    endpoint: u8,
    keep_usage: bool,
    cuts: [u16; 4],
    stream: Vec<u8>,
}

fn read<'a>(
    endpoint: Endpoint,
    keep_usage: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (StreamReader, Vec<u8>) {
    let (mut reader, mut out) = (StreamReader::new(endpoint, keep_usage), Vec::new());
    for piece in pieces {
        reader.feed(Bytes::copy_from_slice(piece), &mut out);
    }
    reader.finish(&mut out);
    (reader, out.concat())
}

fuzz_target!(|input: Input| {
    let Input { endpoint, keep_usage, cuts, stream } = input;
    let endpoint = Endpoint::ALL[usize::from(endpoint) % Endpoint::ALL.len()];
    let mut cuts = cuts.map(|cut| usize::from(cut) % (stream.len() + 1)).to_vec();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let (whole, whole_out) = read(endpoint, keep_usage, [&stream[..]]);
    let (cut, cut_out) = read(endpoint, keep_usage, cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]));
    assert_eq!(format!("{:?}", cut.facts()), format!("{:?}", whole.facts()));
    assert_eq!(cut_out, whole_out);
    if let Some(usage) = &whole.facts().usage {
        assert!(usage.input_text <= COUNT_MAX && usage.output_text <= COUNT_MAX, "{usage:?}");
    }
    if keep_usage && whole.facts().error.is_none() {
        // A last event that lacks its blank line is completed.
        let completed = [&stream[..], b"\n"].concat();
        let completed_twice = [&stream[..], b"\n\n"].concat();
        assert!(completed.starts_with(&whole_out) || completed_twice.starts_with(&whole_out));
    }
});
