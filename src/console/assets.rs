//! Everything that browsers load: in the program itself, or read from disk in a debug build.
//!
//! All assets are served under one digest of the whole folder, `/assets/<digest>/app/main.js`: modules import each other
//! by relative paths and so stay within one version, and a browser never asks again for what cannot change.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "src/console/web/"]
struct Web;

/// Where pages find this build's assets: `/assets/<digest>`.
pub fn base() -> String {
    format!("/assets/{}", digest())
}

/// `/assets/<digest>/<path>`: for ever; `/assets/<path>`: asked for again each time.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    if let Some((first, rest)) = path.split_once('/')
        && first == digest()
        && let Some(file) = Web::get(rest)
    {
        return serve(rest, file, &headers, IMMUTABLE);
    }
    match Web::get(&path) {
        Some(file) => serve(&path, file, &headers, ASK_AGAIN),
        // Another build's page asks: its modules must not be mixed with ours.
        None => {
            (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "There is no such file.").into_response()
        }
    }
}

/// The one page of the application; `status` tells whether its path is one that it knows.
pub(super) fn shell(status: StatusCode, headers: &HeaderMap) -> Response {
    let Some(file) = Web::get(SHELL) else {
        return (StatusCode::NOT_FOUND, "This build has no web console.").into_response();
    };
    let text = String::from_utf8_lossy(&file.data).replace(BASE_PLACEHOLDER, &base());
    let tag = tag(&Sha256::digest(text.as_bytes()));
    if status == StatusCode::OK && is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, ASK_AGAIN.into())])
            .into_response();
    }
    let own = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, ASK_AGAIN.to_owned()),
    ];
    (status, own, text).into_response()
}

fn serve(path: &str, file: EmbeddedFile, headers: &HeaderMap, caching: &'static str) -> Response {
    let tag = tag(&file.metadata.sha256_hash());
    let mut response = match is_known(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, media_type(path))], file.data.into_owned()).into_response(),
    };
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        own.insert(header::ETAG, tag);
    }
    response
}

/// Weak: the same file may go out compressed.
fn tag(hash: &[u8]) -> String {
    format!("W/\"{}\"", hex(&hash[..TAG_BYTES]))
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|one| one.trim() == tag)
}

/// Of all files and their names. In a debug build they may change at any time, so it is computed anew every now and then.
fn digest() -> String {
    static KNOWN: Mutex<Option<(Instant, String)>> = Mutex::new(None);
    let mut known = KNOWN.lock();
    if let Some((at, digest)) = known.as_ref()
        && (!cfg!(debug_assertions) || at.elapsed() < LOOK_AGAIN_AFTER)
    {
        return digest.clone();
    }
    let mut paths: Vec<_> = Web::iter().collect();
    paths.sort();
    let mut all = Sha256::new();
    for path in paths {
        let Some(file) = Web::get(&path) else { continue };
        all.update(path.as_bytes());
        all.update(file.metadata.sha256_hash());
    }
    let digest = hex(&all.finalize()[..TAG_BYTES]);
    *known = Some((Instant::now(), digest.clone()));
    digest
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn media_type(path: &str) -> &'static str {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let known = MEDIA_TYPES.iter().find(|(known, _)| *known == extension);
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

const MEDIA_TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("webmanifest", "application/manifest+json"),
    ("woff2", "font/woff2"),
];

const SHELL: &str = "app.html";
/// What the shell writes in front of every path of an asset.
const BASE_PLACEHOLDER: &str = "{{assets}}";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";
const TAG_BYTES: usize = 8;
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
