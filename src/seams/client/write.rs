//! A call in its form on the wire: URL, headers and body. Pure. Errors name a part of the call,
//! never its value.

use actors::egress::Proxy;
use channels::{
    http::{Body, Field, Method, Request},
    url,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};
use http_body_util::Full;
use hyper::body::Bytes;
use secrecy::ExposeSecret;

/// The parts of a URL.
#[derive(Clone, Debug)]
pub(super) struct CallTarget {
    uri: Uri,
    host: Box<str>,
    port: u16,
    tls: bool,
}

impl CallTarget {
    /// Parses a URL.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("the URL cannot be used: {e}"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("the URL cannot be used: it starts neither with https:// nor http://".into()),
        };
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err("the URL cannot be used: it has no host".into());
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host: host.to_ascii_lowercase().into(), port, tls, uri })
    }

    /// Resolves a redirect from this URL.
    pub(super) fn follow(&self, location: &str) -> Result<Self, String> {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = self.authority();
        let location = location.trim();
        let next = if location.contains("://") {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        };
        let next = Self::of(&next).map_err(|why| format!("a redirect: {why}"))?;
        if self.tls && !next.tls {
            return Err("a redirect leads from https to http".into());
        }
        Ok(next)
    }

    pub(super) fn origin(&self) -> (bool, &str, u16) {
        (self.tls, &self.host, self.port)
    }

    /// The host, in lower case, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port; the scheme's own when the URL names none.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the scheme is https.
    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    /// Returns host and port, without credentials before an `@`.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Returns the request target: absolute for a proxy, otherwise path and query.
    fn asked(&self, absolute: bool) -> Result<Uri, String> {
        let path = self.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if !absolute {
            return Ok(path.into());
        }
        let uri = Uri::builder().scheme("http").authority(self.authority()).path_and_query(path).build();
        uri.map_err(|e| format!("the URL cannot be used: {e}"))
    }
}

/// Converts a call into a request for hyper.
pub(super) fn request(
    call: &Request,
    target: &CallTarget,
    proxy: Option<&Proxy>,
) -> Result<http::Request<Full<Bytes>>, String> {
    // With TLS the proxy is a tunnel and must not see the request.
    let proxy = proxy.filter(|_| !target.tls());
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 6);
    headers.insert(header::HOST, value(&target.authority(), "host")?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(login) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        headers.insert(header::PROXY_AUTHORIZATION, value(login.expose_secret(), "proxy-authorization")?);
    }
    let (content_type, body) = body(&call.body);
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, value(&content_type, "content-type")?);
    }
    if call.body == Body::None && matches!(call.method, Method::Post | Method::Put) {
        // Some servers demand a length for empty bodies, too.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for given in &call.headers {
        let name = HeaderName::from_bytes(given.name.as_bytes())
            .map_err(|_| format!("the header {:?} cannot be sent", given.name))?;
        headers.insert(name, value(&given.value, given.name)?);
    }
    let method = http::Method::from_bytes(call.method.as_str().as_bytes()).map_err(|e| e.to_string())?;
    let mut request = http::Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.asked(proxy.is_some())?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The value of User-Agent.
pub(super) const AGENT: &str = concat!("patchbay/", env!("CARGO_PKG_VERSION"));

fn value(text: &str, name: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        format!("the value of the header {name:?} contains characters that are not allowed in a header")
    })
}

/// Returns the media type and the bytes of a body.
fn body(body: &Body) -> (Option<String>, Bytes) {
    match body {
        Body::None => (None, Bytes::new()),
        Body::Json(json) => (Some("application/json".into()), Bytes::copy_from_slice(json.as_bytes())),
        Body::Form(fields) => {
            let encoded = url::encode_form(fields.iter().map(|(name, value)| (*name, value.as_str())));
            (Some("application/x-www-form-urlencoded".into()), Bytes::from(encoded))
        }
        Body::Multipart(fields) => {
            let boundary = boundary(fields);
            (Some(format!("multipart/form-data; boundary={boundary}")), multipart(fields, &boundary))
        }
    }
}

/// Writes a multipart body (RFC 7578).
fn multipart(fields: &[Field], boundary: &str) -> Bytes {
    let size: usize = fields.iter().map(|field| field.value.len() + 256).sum();
    let mut out = Vec::with_capacity(size);
    for field in fields {
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(field.name));
        if let Some(file) = &field.file_name {
            head.push_str(&format!("; filename=\"{}\"", quoted(file)));
        }
        if let Some(content_type) = &field.content_type {
            let one_line: String = content_type.chars().filter(|c| !c.is_control()).collect();
            head.push_str(&format!("\r\nContent-Type: {one_line}"));
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out.into()
}

/// Escapes a name like browsers do: quotes and line breaks are percent-encoded.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Returns a boundary line that occurs in none of the fields.
fn boundary(fields: &[Field]) -> String {
    let mut number: u64 = 0;
    loop {
        let boundary = format!("patchbay-{number:020}");
        let needle = boundary.as_bytes();
        let found = |octets: &[u8]| octets.windows(needle.len()).any(|window| window == needle);
        if !fields.iter().any(|field| found(&field.value)) {
            return boundary;
        }
        number += 1;
    }
}
