//! Uploads: the fields of a form. The gateway has judged it, so that it need only be taken apart.

use memchr::memmem;

use super::envelope::Fault;

/// A form's fields, in order.
pub struct Form<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Form<'a> {
    pub fn read(content_type: &str, body: &'a [u8]) -> Result<Self, Fault> {
        let boundary = content_type.split_once("boundary=").map(|(_, boundary)| boundary.trim_matches('"'));
        let delimiter = format!("--{}", boundary.ok_or_else(Fault::no_form)?);
        let ends: Vec<usize> = memmem::find_iter(body, &delimiter).collect();
        let parts = ends.windows(2).map(|ends| &body[ends[0] + delimiter.len()..ends[1]]);
        parts.map(field).collect::<Option<_>>().map(Form).ok_or_else(Fault::no_form)
    }

    pub fn get(&self, wanted: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    /// Empty where it is not there.
    pub fn text(&self, name: &'static str) -> Result<&'a str, Fault> {
        let value = self.get(name).unwrap_or_default();
        str::from_utf8(value).map_err(|_| Fault::invalid(name, format!("'{name}' must be text.")))
    }
}

/// What stands between two boundaries: a line's end, the head, an empty line, the value, a line's end.
fn field(part: &[u8]) -> Option<(&str, &[u8])> {
    let head_end = memmem::find(part, b"\r\n\r\n")?;
    let head = str::from_utf8(&part[..head_end]).ok()?;
    let (_, name) = head.split_once(" name=")?;
    let name = match name.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0,
        None => name.split([';', '\r']).next()?,
    };
    Some((name, part[head_end + 4..].strip_suffix(b"\r\n")?))
}
