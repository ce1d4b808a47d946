//! HTTP as the simulated providers see it: requests with their bodies, responses, and requests to
//! webhooks. No IO.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use channels::url;
use http::HeaderMap;
use serde_json::{Map, Value};

/// A request with its whole body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// Without the query; still percent-encoded.
    pub(crate) path: String,
    /// Without `?`; still percent-encoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) mime: Option<String>,
    pub(crate) content: Bytes,
}

/// Maximum number of parts of a multipart body; the rest is ignored.
const PARTS_MAX: usize = 100;

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Returns whether the request carries this user and password by Basic authentication.
    pub(crate) fn has_basic(&self, user: &str, password: &str) -> bool {
        let given = self.header("authorization").and_then(|header| header.strip_prefix("Basic "));
        let given = given.and_then(|text| STANDARD.decode(text.trim()).ok());
        given.is_some_and(|octets| octets == format!("{user}:{password}").into_bytes())
    }

    /// Returns the segments of the path, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|s| !s.is_empty()).map(url::percent_decode).collect()
    }

    pub(crate) fn query_fields(&self) -> Fields {
        Fields::decoded(&self.query)
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.query_fields().get(name).map(str::to_owned)
    }

    /// Returns the fields of a form body; `None` for any other body.
    pub(crate) fn form(&self) -> Option<Fields> {
        if self.content_type() != "application/x-www-form-urlencoded" {
            return None;
        }
        Some(Fields::decoded(std::str::from_utf8(&self.body).ok()?))
    }

    /// Returns a JSON body; `None` for any other body.
    pub(crate) fn json(&self) -> Option<Value> {
        if self.content_type() != "application/json" {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the parts of a `multipart/form-data` body; `None` for any other body.
    pub(crate) fn multipart(&self) -> Option<Vec<Part>> {
        let kind = self.header("content-type")?;
        if self.content_type() != "multipart/form-data" {
            return None;
        }
        let boundary = kind.split(';').find_map(|p| p.trim().strip_prefix("boundary="))?.trim_matches('"');
        let delimiter = format!("--{boundary}").into_bytes();
        let mut parts = Vec::new();
        let mut at = find(&self.body, &delimiter, 0)? + delimiter.len();
        while parts.len() < PARTS_MAX && self.body.get(at..at + 2)? == b"\r\n" {
            let head = at + 2;
            let head_end = find(&self.body, b"\r\n\r\n", at)?;
            let end = find(&self.body, &delimiter, head_end)?;
            let heads = std::str::from_utf8(self.body.get(head..head_end.max(head))?).ok()?;
            let content = self.body.slice(head_end + 4..end.checked_sub(2).filter(|e| *e >= head_end + 4)?);
            parts.push(part(heads, content)?);
            at = end + delimiter.len();
        }
        Some(parts)
    }
}

fn part(heads: &str, content: Bytes) -> Option<Part> {
    let (mut name, mut file_name, mut mime) = (None, None, None);
    for line in heads.split("\r\n") {
        let (key, value) = line.split_once(':')?;
        match key.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                for piece in value.split(';') {
                    match piece.trim().split_once('=') {
                        Some(("name", text)) => name = Some(text.trim_matches('"').to_owned()),
                        Some(("filename", text)) => file_name = Some(text.trim_matches('"').to_owned()),
                        _ => {}
                    }
                }
            }
            "content-type" => mime = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(Part { name: name?, file_name, mime, content })
}

fn find(octets: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let place = octets.get(from..)?.windows(needle.len()).position(|window| window == needle)?;
    Some(from + place)
}

/// A response of a simulated provider.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: content_type.to_owned(), headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    /// Adds `Retry-After`, unless `after_s` is 0.
    pub(crate) fn retry_after(self, after_s: u64) -> Self {
        if after_s == 0 { self } else { self.with("retry-after", after_s.to_string()) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request to a webhook, or to the address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) method: http::Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn get(url: String) -> Self {
        Self { method: http::Method::GET, url, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn post(url: &str, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".into(), content_type.to_owned())];
        Self { method: http::Method::POST, url: url.to_owned(), headers, body }
    }

    pub(crate) fn with(mut self, name: impl Into<Cow<'static, str>>, value: String) -> Self {
        self.headers.push((name.into(), value));
        self
    }
}

/// The fields of a query or form, in order; names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a query, or a form body.
    pub(crate) fn decoded(text: &str) -> Self {
        url::form_fields(text.as_bytes()).collect()
    }

    /// Writes a query, or a form body.
    pub(crate) fn encoded(&self) -> String {
        url::encode_form(self.iter()).replace("%20", "+")
    }

    /// Returns the members of an object as fields: texts as they are, other values as JSON.
    pub(crate) fn of_object(object: &Value) -> Self {
        let members = object.as_object().into_iter().flatten();
        members
            .map(|(key, value)| {
                (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect()
    }

    /// Returns the fields as an object of texts; the last of a repeated name wins.
    pub(crate) fn to_object(&self) -> Value {
        self.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
    }

    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Returns the first value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the first value of a field; empty when it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns every value of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Returns JSON with everything beyond ASCII escaped in lower-case hexadecimal, as Meta writes it.
pub(crate) fn escaped(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len());
    for char in plain.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Returns the text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_text_decodes_to_itself() {
        for text in ["", "a b+c%&=;", "Grüße 👋", "%zz%4"] {
            let fields: Fields = [("Body".to_owned(), text.to_owned())].into_iter().collect();
            assert_eq!(Fields::decoded(&fields.encoded()), fields);
        }
        assert_eq!(Fields::decoded("a=%zz+%4").text("a"), "%zz %4");
    }

    #[test]
    fn escaped_json_is_ascii_and_the_same_value() {
        let value = serde_json::json!({"text": "ä 👋 \" \\ /"});
        let text = escaped(&value);
        assert_eq!(text, r#"{"text":"\u00e4 \ud83d\udc4b \" \\ /"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn multipart_is_read_part_by_part() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nimage/png\r\n--x\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\r\n--\r\n--x--\r\n";
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
        let mut request = Request {
            method: http::Method::POST,
            path: "/".into(),
            query: String::new(),
            headers,
            body: body.into(),
        };
        let parts = request.multipart().unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((&*parts[0].name, &parts[0].content[..]), ("type", &b"image/png"[..]));
        assert_eq!((parts[1].file_name.as_deref(), &parts[1].content[..]), (Some("a.png"), &b"\r\n--"[..]));
        for cut in 0..body.len() {
            request.body = body.get(..cut).unwrap().to_owned().into();
            let _ = request.multipart();
        }
    }
}
