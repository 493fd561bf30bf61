//! How long a recording is, before anybody has listened to it.
//!
//! Transcriptions are sold by the second and some upstreams never say how many there were; and a hold is made before
//! any could. So the file's own head is read: of WAV, FLAC, MP3, Ogg, MP4 and WebM. Of anything else its size has to do.
//!
//! Always true: a head is not believed beyond what its format can be: a file that claims one second and has a
//! megabyte is charged for the least that a megabyte can hold.

use memchr::memmem;

/// The length in milliseconds, rounded up.
pub(super) fn length_ms(file: &[u8]) -> u64 {
    let bytes = file.len() as u64;
    let formats = [wav, flac, ogg, mp4, webm, mp3];
    let told = formats.into_iter().find_map(|read| read(file));
    match told {
        Some(Told { ms, slowest, fastest }) => ms.clamp(ms_at(bytes, fastest.max(slowest)), ms_at(bytes, slowest)),
        None => ms_at(bytes, UNKNOWN_BYTES_PER_S),
    }
}

/// What a file says of itself, and between which rates, in bytes per second, that can be true.
struct Told {
    ms: u64,
    slowest: u64,
    fastest: u64,
}

fn ms_at(bytes: u64, bytes_per_s: u64) -> u64 {
    bytes.saturating_mul(1_000).div_ceil(bytes_per_s.max(1))
}

/// `units` of which there are `per_s` in a second.
fn ms_of(units: u64, per_s: u64) -> Option<u64> {
    let ms = (per_s > 0).then(|| (u128::from(units) * 1_000).div_ceil(u128::from(per_s)))?;
    Some(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// RIFF WAVE: the rate stands in the chunk `fmt `, and what is not compressed has no other.
fn wav(file: &[u8]) -> Option<Told> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12;
    for _ in 0..CHUNKS_MAX {
        let size = u32::from_le_bytes(array(file, at + 4)?) as usize;
        if file.get(at..at + 4)? == b"fmt " {
            let format = u16::from_le_bytes(array(file, at + 8)?);
            let samples_per_s = u64::from(u32::from_le_bytes(array(file, at + 12)?));
            let told = u64::from(u32::from_le_bytes(array(file, at + 16)?));
            let block = u64::from(u16::from_le_bytes(array(file, at + 20)?));
            // PCM, floats, and the extensible form of both: decoders compute the rate and do not believe it.
            let rate = if matches!(format, 1 | 3 | 0xFFFE) { samples_per_s.saturating_mul(block) } else { told };
            let ms = ms_at(file.len() as u64, rate);
            return (SPEECH_BYTES_PER_S..=STUDIO_BYTES_PER_S).contains(&rate).then_some(Told {
                ms,
                slowest: rate,
                fastest: rate,
            });
        }
        // Chunks are padded to an even length.
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size & 1)?;
    }
    None
}

/// RFC 9639, 8.2: STREAMINFO comes first.
fn flac(file: &[u8]) -> Option<Told> {
    if file.get(..4)? != b"fLaC" {
        return None;
    }
    let info = u64::from_be_bytes(array(file, 18)?);
    let (samples_per_s, samples) = (info >> 44, info & 0xF_FFFF_FFFF);
    let (channels, bits) = ((info >> 41 & 0x7) + 1, (info >> 36 & 0x1F) + 1);
    let fastest = samples_per_s.saturating_mul(channels).saturating_mul(bits) / 8;
    Some(Told { ms: ms_of(samples, samples_per_s)?, slowest: SPEECH_BYTES_PER_S, fastest })
}

/// RFC 3533: the last page tells how many samples have come by then; RFC 7845: of Opus, 48,000 make a second.
fn ogg(file: &[u8]) -> Option<Told> {
    if file.get(..4)? != b"OggS" {
        return None;
    }
    let segments = usize::from(*file.get(26)?);
    let packet = file.get(27 + segments..)?;
    let samples_per_s = if packet.starts_with(b"OpusHead") {
        48_000
    } else if packet.starts_with(b"\x01vorbis") {
        u64::from(u32::from_le_bytes(array(packet, 12)?))
    } else {
        return None;
    };
    let tail = &file[file.len().saturating_sub(OGG_PAGE_BYTES_MAX)..];
    let last_page = &tail[memmem::rfind(tail, b"OggS")?..];
    let samples = u64::from_le_bytes(array(last_page, 6)?);
    Some(Told { ms: ms_of(samples, samples_per_s)?, slowest: SPEECH_BYTES_PER_S / 2, fastest: COMPRESSED_BYTES_PER_S })
}

/// ISO/IEC 14496-12: `moov/mvhd` tells the length, wherever in the file it stands.
fn mp4(file: &[u8]) -> Option<Told> {
    if file.get(4..8)? != b"ftyp" {
        return None;
    }
    let header = in_box(in_box(file, b"moov")?, b"mvhd")?;
    let (units_per_s, units) = match header.first()? {
        0 => (u32::from_be_bytes(array(header, 12)?), u64::from(u32::from_be_bytes(array(header, 16)?))),
        _ => (u32::from_be_bytes(array(header, 20)?), u64::from_be_bytes(array(header, 24)?)),
    };
    Some(Told { ms: ms_of(units, u64::from(units_per_s))?, slowest: SPEECH_BYTES_PER_S, fastest: FILM_BYTES_PER_S })
}

/// What is inside the first box of this kind.
fn in_box<'a>(mut boxes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    for _ in 0..CHUNKS_MAX {
        let (size, head_bytes) = match u32::from_be_bytes(array(boxes, 0)?) {
            0 => (boxes.len() as u64, 8),
            1 => (u64::from_be_bytes(array(boxes, 8)?), 16),
            size => (u64::from(size), 8),
        };
        let size = usize::try_from(size).ok().filter(|size| *size >= head_bytes)?;
        if boxes.get(4..8)? == kind {
            return boxes.get(head_bytes..size);
        }
        boxes = boxes.get(size..)?;
    }
    None
}

/// RFC 8794 and 9559: what a browser records tells no length in its head, as it was written while it was spoken. So the
/// latest of its blocks is looked for: containers are entered, all else is passed over.
fn webm(file: &[u8]) -> Option<Told> {
    if file.get(..4)? != EBML {
        return None;
    }
    let (mut at, mut tick_ns, mut cluster, mut latest) = (0, 1_000_000, 0, 0);
    for _ in 0..ELEMENTS_MAX {
        let Some((id, size, inside)) = element(file, at) else { break };
        if matches!(id, SEGMENT | SEGMENT_INFO | CLUSTER | BLOCK_GROUP) {
            at = inside;
            continue;
        }
        // Only a container may be of unknown size.
        let Some(end) = size.and_then(|size| inside.checked_add(size)) else { break };
        let value = file.get(inside..end).unwrap_or_default();
        match id {
            TICK_NS => tick_ns = number(value),
            CLUSTER_TIME => cluster = number(value),
            SIMPLE_BLOCK | BLOCK => {
                // Behind the track's number stands the time since the cluster's.
                let track_bytes = value.first().map_or(1, |first| first.leading_zeros() as usize + 1);
                let since: i16 = array(value, track_bytes).map_or(0, i16::from_be_bytes);
                latest = cluster.saturating_add_signed(i64::from(since)).max(latest);
            }
            _ => {}
        }
        at = end;
    }
    let ms = u64::try_from(u128::from(latest) * u128::from(tick_ns) / 1_000_000).unwrap_or(u64::MAX);
    (ms > 0).then_some(Told { ms, slowest: SPEECH_BYTES_PER_S / 2, fastest: FILM_BYTES_PER_S })
}

/// An element's id, its size unless that is unknown, and where its inside begins.
fn element(file: &[u8], at: usize) -> Option<(u32, Option<usize>, usize)> {
    let id_bytes = file.get(at)?.leading_zeros() as usize + 1;
    let size_at = at + id_bytes;
    let first = *file.get(size_at)?;
    let size_bytes = first.leading_zeros() as usize + 1;
    if id_bytes > 4 || size_bytes > 8 {
        return None;
    }
    let id = number(&file[at..size_at]);
    let marker = 1u64 << (7 * size_bytes);
    let size = number(file.get(size_at..size_at + size_bytes)?) & (marker - 1);
    let size = (size != marker - 1).then(|| usize::try_from(size).unwrap_or(usize::MAX));
    Some((u32::try_from(id).ok()?, size, size_at + size_bytes))
}

/// Of at most eight bytes, the most significant first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// ISO/IEC 11172-3, behind an ID3v2 tag: the first frame tells its rate; a variable one comes with a number of frames.
fn mp3(file: &[u8]) -> Option<Told> {
    let tag_bytes = match file.get(..3)? {
        b"ID3" => {
            let size: [u8; 4] = array(file, 6)?;
            10 + size.iter().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7F))
        }
        _ => 0,
    };
    let frames = file.get(tag_bytes..)?;
    let [first, second, third, _] = array(frames, 0)?;
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    if first != 0xFF || second >> 5 != 7 || version == 1 || layer != 1 {
        return None;
    }
    let newest = version == 3;
    let kbit_per_s = u64::from(if newest { MP3_KBITS_1 } else { MP3_KBITS_2 }[usize::from(third >> 4)]);
    let samples_per_s = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3)).map(|rate| match version {
        3 => *rate,
        2 => rate / 2,
        _ => rate / 4,
    })?;
    let bytes_per_s = kbit_per_s * 125;
    let head = &frames[..frames.len().min(MP3_XING_WITHIN)];
    let xing = memmem::find(head, b"Xing").or_else(|| memmem::find(head, b"Info")).map(|at| &head[at..]);
    let ms = match xing.and_then(|xing| Some((xing.get(7)? & 1, u32::from_be_bytes(array(xing, 8)?)))) {
        Some((1, frames)) => ms_of(u64::from(frames) * if newest { 1_152 } else { 576 }, samples_per_s)?,
        _ if bytes_per_s > 0 => ms_at(frames.len() as u64, bytes_per_s),
        _ => return None,
    };
    Some(Told { ms, slowest: SPEECH_BYTES_PER_S, fastest: COMPRESSED_BYTES_PER_S })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

const EBML: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];
const SEGMENT: u32 = 0x1853_8067;
const SEGMENT_INFO: u32 = 0x1549_A966;
const TICK_NS: u32 = 0x2A_D7B1;
const CLUSTER: u32 = 0x1F43_B675;
const CLUSTER_TIME: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
/// Hours of speech in blocks of 20 ms.
const ELEMENTS_MAX: usize = 1_000_000;
/// Kilobits per second by the index in a frame's head, layer III of MPEG-1 …
const MP3_KBITS_1: [u16; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
/// … and of MPEG-2 and 2.5.
const MP3_KBITS_2: [u16; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
const MP3_XING_WITHIN: usize = 256;
const OGG_PAGE_BYTES_MAX: usize = 65_307;
/// 8 kbit/s: no speech is smaller in the usual formats.
const SPEECH_BYTES_PER_S: u64 = 1_000;
/// 512 kbit/s: more than any lossy format has.
const COMPRESSED_BYTES_PER_S: u64 = 64_000;
/// 8 Mbit/s, as MP4 holds films too.
const FILM_BYTES_PER_S: u64 = 1_000_000;
/// 192 kHz, eight channels of 32 bits.
const STUDIO_BYTES_PER_S: u64 = 6_144_000;
/// 32 kbit/s: what browsers record is above it.
const UNKNOWN_BYTES_PER_S: u64 = 4_000;
/// Chunks or boxes that are looked at before the one that matters.
const CHUNKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(format: u16, samples_per_s: u32, block: u16, told: u32, data_bytes: usize) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEJUNK\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        file.extend(format.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(samples_per_s.to_le_bytes());
        file.extend(told.to_le_bytes());
        file.extend(block.to_le_bytes());
        file.extend([16, 0]);
        file.extend(b"data\0\0\0\0");
        file.resize(file.len() + data_bytes, 0);
        file
    }

    #[test]
    fn wav_is_as_long_as_its_samples() {
        // Ten seconds of 16 kHz mono; the head is 56 bytes more.
        assert_eq!(length_ms(&wave(1, 16_000, 2, 0, 320_000)), 10_002);
        assert_eq!(length_ms(&wave(1, 16_000, 2, 9_999_999, 320_000)), 10_002);
        assert_eq!(length_ms(&wave(7, 8_000, 1, 8_000, 80_000)), 10_007);
        // Rates that cannot be leave the size.
        assert_eq!(length_ms(&wave(1, 0, 2, 0, 3_944)), 1_000);
        assert_eq!(length_ms(&wave(1, u32::MAX, u16::MAX, 0, 3_944)), 1_000);
    }

    fn flac_file(samples_per_s: u64, samples: u64, bytes: usize) -> Vec<u8> {
        let mut file = b"fLaC\x80\0\0\x22".to_vec();
        file.resize(18, 0);
        file.extend((samples_per_s << 44 | 15 << 36 | samples).to_be_bytes());
        file.resize(bytes, 0);
        file
    }

    #[test]
    fn flac_tells_its_samples_within_reason() {
        assert_eq!(length_ms(&flac_file(16_000, 160_000, 200_000)), 10_000);
        // It says a tenth of a second and is too large for that: at most 32,000 bytes make one.
        assert_eq!(length_ms(&flac_file(16_000, 1_600, 320_000)), 10_000);
        assert_eq!(length_ms(&flac_file(16_000, u64::from(u32::MAX), 5_000)), 5_000);
    }

    fn mp3_file(second: u8, third: u8, behind: &[u8], bytes: usize) -> Vec<u8> {
        let mut file = b"ID3\x04\0\0\0\0\x01\x00".to_vec();
        file.resize(10 + 128, 0);
        file.extend([0xFF, second, third, 0]);
        file.extend(behind);
        file.resize(138 + bytes, 0);
        file
    }

    #[test]
    fn mp3_tells_its_rate_or_its_frames() {
        // 128 kbit/s at 44.1 kHz; MPEG-2 at 64 kbit/s.
        assert_eq!(length_ms(&mp3_file(0xFB, 0x90, b"", 160_000)), 10_000);
        assert_eq!(length_ms(&mp3_file(0xF3, 0x80, b"", 80_000)), 10_000);
        let mut xing = vec![0; 32];
        xing.extend(b"Xing\0\0\0\x01\0\0\x01\x7F");
        // 383 frames of 1,152 samples.
        assert_eq!(length_ms(&mp3_file(0xFB, 0x90, &xing, 160_000)), 10_005);
        // Not layer III: AAC in its own frames.
        assert_eq!(length_ms(&[[0xFF, 0xF1, 0x50, 0x80].as_slice(), &[0; 3_996]].concat()), 1_000);
    }

    #[test]
    fn ogg_tells_its_samples_on_the_last_page() {
        let page = |samples: u64, packet: &[u8]| {
            let mut page = b"OggS\0\0".to_vec();
            page.extend(samples.to_le_bytes());
            page.extend([0; 12]);
            page.extend([1, packet.len() as u8]);
            page.extend(packet);
            page
        };
        let file = |head: &[u8], samples| [page(0, head), vec![0; 30_000], page(samples, b"x")].concat();
        assert_eq!(length_ms(&file(b"OpusHead\x01\x01", 480_000)), 10_000);
        let vorbis = [b"\x01vorbis\0\0\0\0\x01".as_slice(), &16_000u32.to_le_bytes()].concat();
        assert_eq!(length_ms(&file(&vorbis, 160_000)), 10_000);
        // It says nothing, and holds half a second at the least.
        assert_eq!(length_ms(&file(b"OpusHead", 0)), 470);
    }

    #[test]
    fn mp4_tells_its_length_in_the_movie_header() {
        let boxed = |kind: &[u8], inside: &[u8]| [&((inside.len() + 8) as u32).to_be_bytes(), kind, inside].concat();
        let header = [[0u8; 12].as_slice(), &1_000u32.to_be_bytes(), &10_000u32.to_be_bytes()].concat();
        let movie = boxed(b"moov", &[boxed(b"free", b""), boxed(b"mvhd", &header)].concat());
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"mdat", &[0; 80_000]), movie].concat();
        assert_eq!(length_ms(&file), 10_000);
    }

    #[test]
    fn webm_is_as_long_as_its_latest_block() {
        let sized = |id: &[u8], inside: &[u8]| [id, &[0x08], &(inside.len() as u32).to_be_bytes(), inside].concat();
        let block = |id: u8, ms: i16| sized(&[id], &[&[0x81][..], &ms.to_be_bytes(), &[0x80], &[0; 4_000]].concat());
        let cluster = |ms: u16, blocks: &[Vec<u8>]| {
            let time = sized(&[0xE7], &ms.to_be_bytes());
            // As browsers write it: of unknown size.
            [&[0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF][..], &time, &blocks.concat()]
                .concat()
        };
        let info = sized(&[0x15, 0x49, 0xA9, 0x66], &sized(&[0x2A, 0xD7, 0xB1], &1_000_000u32.to_be_bytes()));
        let grouped = sized(&[0xA0], &block(0xA1, 100));
        let clusters = [cluster(0, &[block(0xA3, 0), block(0xA3, 20)]), cluster(9_900, &[grouped, block(0xA3, -5)])];
        let segment = sized(&[0x18, 0x53, 0x80, 0x67], &[info, clusters.concat()].concat());
        let file = [sized(&EBML, b"webm"), segment].concat();
        assert_eq!(length_ms(&file), 10_000);
        // Without a block, its size has to do.
        assert_eq!(length_ms(&[sized(&EBML, b"webm"), vec![0xEC; 3_987]].concat()), 1_000);
    }

    #[test]
    fn anything_else_is_as_long_as_its_size_lets_it_be() {
        assert_eq!(length_ms(b""), 0);
        assert_eq!(length_ms(&[0x1A; 4_000]), 1_000);
    }

    proptest! {
        #[test]
        fn no_head_makes_a_recording_free_or_endless(
            kind in 0usize..6, head in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let magic: &[u8] = [b"RIFF\0\0\0\0WAVEfmt ".as_slice(), b"fLaC", b"OggS", b"\0\0\0\x08ftyp", b"\xFF\xFB", &EBML][kind];
            let mut file = [magic, &head].concat();
            file.resize(1_000_000, 0);
            let ms = length_ms(&file);
            // Between the largest and the smallest rate of any format; 24-bit FLAC of eight channels goes up to 32 MB/s.
            prop_assert!((20..=2_000_000).contains(&ms), "{ms}");
        }
    }
}
