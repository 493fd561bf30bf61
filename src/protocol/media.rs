//! What a body is written in: JSON, or a form where a file is uploaded. Judged by its head, before the body is read.

use super::endpoint::Endpoint;
use super::multipart::Boundary;
use crate::core::api_error::ApiError;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Media {
    #[default]
    Json,
    Form(Boundary),
}

/// Judges a request's `Content-Type` and `Content-Encoding`. A missing type is JSON.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`]; 400 for a form whose boundary is missing or could be read in two ways.
pub fn judge(endpoint: Endpoint, media_type: Option<&[u8]>, encoding: Option<&[u8]>) -> Result<Media, ApiError> {
    let takes = if endpoint.takes_form() { FORM } else { JSON };
    let unsupported = || ApiError::UnsupportedMediaType { takes };
    if encoding.is_some_and(|encoding| encoding != b"identity") {
        return Err(unsupported());
    }
    let media_type = str::from_utf8(media_type.unwrap_or(JSON.as_bytes())).map_err(|_| unsupported())?;
    let (essence, parameters) = media_type.split_at(media_type.find(';').unwrap_or(media_type.len()));
    if !essence.trim_ascii().eq_ignore_ascii_case(takes) {
        return Err(unsupported());
    }
    if !endpoint.takes_form() {
        return Ok(Media::Json);
    }
    let no_boundary = || ApiError::invalid("The form's Content-Type names no boundary, or more than one.");
    Boundary::from_parameters(parameters).map(Media::Form).ok_or_else(no_boundary)
}

const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_takes_one_type() {
        let judged = |endpoint, media_type: &str| judge(endpoint, Some(media_type.as_bytes()), None);
        let status = |endpoint, media_type| judged(endpoint, media_type).map_err(|error| error.status());
        let (chat, upload) = (Endpoint::ChatCompletions, Endpoint::AudioTranscriptions);
        for json in ["application/json", "Application/JSON ; charset=utf-8", "application/json;;"] {
            assert_eq!(judged(chat, json).unwrap(), Media::Json);
            assert_eq!(status(upload, json), Err(415));
        }
        assert!(matches!(judged(upload, "Multipart/Form-Data; boundary=x"), Ok(Media::Form(_))));
        assert_eq!(status(chat, "multipart/form-data; boundary=x"), Err(415));
        for none in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=a; boundary=b"]
        {
            assert_eq!(status(upload, none), Err(400), "{none}");
        }
        for other in ["text/plain", "", "application/jsonp", "multipart/mixed; boundary=x"] {
            assert_eq!((status(chat, other), status(upload, other)), (Err(415), Err(415)), "{other}");
        }
        assert_eq!(judge(chat, None, None).unwrap(), Media::Json);
        assert_eq!(judge(upload, None, None).unwrap_err().status(), 415);
        assert_eq!(judge(chat, Some(b"\xff"), None).unwrap_err().status(), 415);
        assert_eq!(judge(chat, None, Some(b"gzip")).unwrap_err().status(), 415);
        assert!(judge(chat, None, Some(b"identity")).is_ok());
    }
}
