//! Forms as clients write them are read; forms that could be read in two ways are not.

use proptest::prelude::*;

use super::*;

fn boundary(text: &str) -> Option<String> {
    Boundary::from_parameters(text).map(|boundary| boundary.0)
}

fn parts(body: &str) -> Result<Vec<(String, bool, String)>, FormError> {
    let parts = read(body.as_bytes(), &Boundary("XyZ".into()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(parts.into_iter().map(|part| (part.name.to_owned(), part.is_file, text(part.value))).collect())
}

fn field(head: &str, value: &str) -> String {
    format!("--XyZ\r\n{head}\r\n\r\n{value}\r\n")
}

fn named(name: &str, value: &str) -> String {
    field(&format!("Content-Disposition: form-data; name=\"{name}\""), value)
}

/// One field with this head.
fn head(head: &str) -> Result<Vec<(String, bool, String)>, FormError> {
    parts(&(field(head, "v") + "--XyZ--\r\n"))
}

#[test]
fn forms_of_real_clients_are_read() {
    // curl; httpx with the official SDK; a browser; okhttp.
    let forms = [
        field(
            "Content-Disposition: form-data; name=\"file\"; filename=\"a b.wav\"\r\nContent-Type: audio/wav",
            "RIFF\r\n\0",
        ),
        field(
            "Content-Disposition: form-data; name=\"file\"; filename=\"模型;=.wav\"\r\nContent-Type: audio/x-wav",
            "RIFF\r\n\0",
        ),
        field(
            "content-type: application/octet-stream\r\ncontent-disposition: form-data; filename=x; name=file",
            "RIFF\r\n\0",
        ),
        field(
            "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''%e2%82%ac.wav\r\nContent-Length: 7\r\nContent-Transfer-Encoding: binary",
            "RIFF\r\n\0",
        ),
    ];
    for file in forms {
        let form = format!("{file}{}{}--XyZ--", named("model", "whisper-1"), named("prompt", ""));
        let found = parts(&form).unwrap_or_else(|error| panic!("{form}: {error}"));
        let expected = [("file", true, "RIFF\r\n\0"), ("model", false, "whisper-1"), ("prompt", false, "")];
        assert_eq!(found, expected.map(|(name, is_file, value)| (name.to_owned(), is_file, value.to_owned())));
        assert!(parts(&(form + "\r\n")).is_ok());
    }
    for charset in ["text/plain", "text/plain; charset=UTF-8", "text/plain;charset=\"us-ascii\"", "application/json"] {
        assert!(
            head(&format!("Content-Disposition: form-data; name=a\r\nContent-Type: {charset}")).is_ok(),
            "{charset}"
        );
    }
}

#[test]
fn spans_are_where_the_values_stand() {
    let body = named("model", "m") + &named("prompt", "a\nb\rc\r\n") + "--XyZ--\r\n";
    let parts = read(body.as_bytes(), &Boundary("XyZ".into())).unwrap();
    for part in &parts {
        assert_eq!(&body.as_bytes()[part.span.clone()], part.value);
    }
    assert_eq!(parts[1].value, b"a\nb\rc\r\n");
}

#[test]
fn what_another_reader_may_take_apart_otherwise_is_refused() {
    let end = "--XyZ--\r\n";
    let a = || named("a", "1");
    use FormError::{Cut, DataBehindEnd, NoStart, StrayBoundary};
    assert_eq!(parts(""), Err(NoStart));
    assert_eq!(parts(&format!("preamble\r\n{}{end}", a())), Err(NoStart));
    assert_eq!(parts(&format!("\r\n{}{end}", a())), Err(NoStart));
    assert_eq!(parts(&a()), Err(Cut));
    assert_eq!(parts("--XyZ"), Err(Cut));
    assert_eq!(parts(&format!("{}{end}more", a())), Err(DataBehindEnd));
    assert_eq!(parts(&format!("{}--XyZ-- \r\n", a())), Err(DataBehindEnd));
    // Bare line feeds, padding, and a longer boundary that begins like ours.
    for stray in [
        "x\n--XyZ\nContent-Disposition: form-data; name=\"model\"\n\nn",
        "x\r--XyZ\r",
        "x--XyZ",
        "\r\n--XyZ \r\n",
        "\r\n--XyZa\r\n",
    ] {
        let form = named("a", stray) + end;
        assert!(matches!(parts(&form), Err(StrayBoundary { .. })), "{form}");
    }
    let inside_a_head = field("Content-Disposition: form-data; name=a\r\nX: --XyZ", "v") + end;
    assert!(matches!(parts(&inside_a_head), Err(StrayBoundary { .. })));
    assert_eq!(parts("--XyZ--"), Ok(Vec::new()));
}

#[test]
fn names_are_given_once_but_for_lists() {
    let twice = |name: &str| parts(&(named(name, "1") + &named(name, "2") + "--XyZ--"));
    for name in ["model", "file", "prompt", "n"] {
        assert_eq!(twice(name), Err(FormError::Duplicate { name: name.into() }));
    }
    for name in ["image", "image[]", "timestamp_granularities[]"] {
        assert_eq!(twice(name).unwrap().len(), 2, "{name}");
    }
}

#[test]
fn heads_say_one_thing() {
    let plain = "Content-Disposition: form-data; name=\"a\"";
    assert!(head(plain).is_ok());
    for odd in [
        "X: y".to_owned(),
        String::new(),
        "Content-Disposition form-data".into(),
        "Content-Disposition: form-data".into(),
        "Content-Disposition: form-data; filename=\"a\"".into(),
        "Content-Disposition: attachment; name=\"a\"".into(),
        "Content-Disposition: form-data; name=\"a\"; name=\"b\"".into(),
        "Content-Disposition: form-data; name=\"a\"; NAME=\"b\"".into(),
        "Content-Disposition: form-data; name=\"a\"; name*=utf-8''b".into(),
        r#"Content-Disposition: form-data; name="a\""; filename="b""#.into(),
        r#"Content-Disposition: form-data; name="a"; filename="b\"; name=\"c""#.into(),
        "Content-Disposition: form-data; name=\"a\"; x=y".into(),
        "Content-Disposition: form-data; name=\"a\";".into(),
        "Content-Disposition: form-data; name=\"a".into(),
        "Content-Disposition: form-data; name=\"mod%65l\"".into(),
        "Content-Disposition: form-data; name=\"_charset_\"".into(),
        "Content-Disposition: form-data; name=\"\"".into(),
        format!("Content-Disposition: form-data; name=\"{}\"", "a".repeat(65)),
        format!("{plain}\r\n{plain}"),
        format!("{plain}\r\n folded: yes"),
        format!("{plain}\nX: y"),
        format!("{plain}\r\nX : y"),
        format!("{plain}\r\nContent-Transfer-Encoding: base64"),
        format!("{plain}\r\nContent-Type: text/plain; charset=utf-16"),
        format!("{plain}\r\nContent-Type: text/plain; charset=utf-7"),
        format!("{plain}\r\nContent-Type: multipart/mixed; boundary=abc"),
        format!("{plain}\r\nContent-Type: text/plain; charset"),
        format!("{plain}{}", (0..8).map(|n| format!("\r\nX{n}: y")).collect::<String>()),
    ] {
        assert!(matches!(head(&odd), Err(FormError::Head { .. })), "{odd}: {:?}", head(&odd));
    }
    // A file may be in whatever charset it likes.
    assert!(
        head("Content-Disposition: form-data; name=f; filename=x\r\nContent-Type: text/plain; charset=utf-16").is_ok()
    );
}

#[test]
fn sizes_are_bounded() {
    let many = |count: usize| (0..count).map(|n| named(&format!("f{n}"), "")).collect::<String>() + "--XyZ--";
    assert_eq!(parts(&many(PARTS_MAX)).unwrap().len(), PARTS_MAX);
    assert_eq!(parts(&many(PARTS_MAX + 1)), Err(FormError::TooManyParts));
    let long = format!("Content-Disposition: form-data; name=a; filename=\"{}\"", "x".repeat(HEAD_BYTES_MAX));
    assert!(matches!(head(&long), Err(FormError::Head { .. })));
}

#[test]
fn boundaries_are_what_rfc_2046_lets_them_be() {
    assert_eq!(boundary("; boundary=abc").as_deref(), Some("abc"));
    assert_eq!(boundary(";Boundary=\"a b\""), None);
    assert_eq!(boundary(" ; charset=utf-8; boundary=\"a:/=?b\"").as_deref(), Some("a:/=?b"));
    let longest = format!("; boundary={}", "a".repeat(70));
    assert!(boundary(&longest).is_some() && boundary(&format!("{longest}a")).is_none());
    for none in [
        "",
        ";",
        "; boundary",
        "; boundary=",
        "; boundary=\"\"",
        "; boundary=a; boundary=b",
        "; boundary=\"a\\b\"",
        "; boundary=a\r\nx",
        "; boundary=é",
    ] {
        assert_eq!(boundary(none), None, "{none:?}");
    }
    for text in ["a-b", "a:b"] {
        let content_type = Boundary(text.into()).content_type();
        let again = content_type.strip_prefix("multipart/form-data").and_then(boundary);
        assert_eq!(again.as_deref(), Some(text), "{content_type}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), name in "[a-z\"\\\\;= ]{0,12}") {
        let boundary = Boundary("b".into());
        let _ = read(&body, &boundary);
        let mut begun = format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n").into_bytes();
        begun.extend(&body);
        begun.extend(b"\r\n--b--");
        if let Ok(parts) = read(&begun, &boundary) {
            for part in parts {
                prop_assert_eq!(&begun[part.span.clone()], part.value);
            }
        }
        let _ = Boundary::from_parameters(&String::from_utf8_lossy(&body));
    }

    #[test]
    fn any_value_comes_back(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let boundary = Boundary("----boundary-7MA4YWxkTrZu0gW".into());
        let mut body = Vec::new();
        for (place, value) in values.iter().enumerate() {
            body.extend(format!("--{}\r\nContent-Disposition: form-data; name=\"f{place}\"\r\n\r\n", boundary.0).bytes());
            body.extend(value);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{}--\r\n", boundary.0).bytes());
        let found: Vec<Vec<u8>> = read(&body, &boundary).unwrap().into_iter().map(|part| part.value.to_vec()).collect();
        prop_assert_eq!(found, values);
    }
}
