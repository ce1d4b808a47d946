//! HTTP as the simulated providers see it: requests that were read whole, answers, and what is posted to webhooks.
//! Nothing here does IO.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// A request, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// Without the query, not decoded.
    pub(crate) path: String,
    /// The query as it stood.
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

/// The most parts of a multipart body.
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

    /// User and password of Basic authentication.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let text = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// The pieces of the path between slashes, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|s| !s.is_empty()).map(|s| decode(s, false)).collect()
    }

    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(&self.query)
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The fields of a form body; nothing when it is none.
    pub(crate) fn form(&self) -> Option<Vec<(String, String)>> {
        if self.content_type() != "application/x-www-form-urlencoded" {
            return None;
        }
        Some(pairs(std::str::from_utf8(&self.body).ok()?))
    }

    /// A JSON body; nothing when it is none.
    pub(crate) fn json(&self) -> Option<Value> {
        if self.content_type() != "application/json" {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// The parts of a `multipart/form-data` body; nothing when it is none.
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

/// An answer.
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

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What is sent to a webhook.
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

/// Name and value of each piece of a query or form, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Decodes percent-encoding; what is no UTF-8 is replaced.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escaped = match first {
            b'%' => {
                after.get(..2).and_then(|pair| hex::decode(pair).ok()).and_then(|one| one.first().copied())
            }
            b'+' if plus_is_space => Some(b' '),
            _ => None,
        };
        if first == b'%' && escaped.is_some() {
            rest = after.get(2..).unwrap_or_default();
        }
        octets.push(escaped.unwrap_or(first));
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Encodes everything but letters, digits and `-._~`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// A form body of these fields.
pub(crate) fn form(fields: &[(String, String)]) -> String {
    let pieces: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pieces.join("&").replace("%20", "+")
}

/// JSON with everything beyond ASCII escaped in lower-case hexadecimal, as Meta writes it.
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

/// A text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for text in ["", "a b+c%&=;", "Grüße 👋", "%zz%4"] {
            assert_eq!(decode(&encode(text), true), text);
            let fields = vec![("Body".to_owned(), text.to_owned())];
            assert_eq!(pairs(&form(&fields)), fields);
        }
        assert_eq!(decode("%zz+%4", true), "%zz %4");
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
