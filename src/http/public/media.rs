//! `/media/{channel id}/{token}`: files of customers, for the business. The token is the
//! permission. Headers keep a browser from running a file as a page of this site.

use actors::{MediaFile, NoFile};
use axum::body::Body;
use futures_util::stream;
use http::{HeaderValue, Method, Response, header};
use hyper::body::Incoming;
use message::ChannelId;

use super::state::Public;
use crate::http::{
    answer,
    problem::{Kind, ProblemDetails},
};

const PREFIX: &str = "/media/";
/// Retry-After when too many files are being fetched, in seconds.
const RETRY_AFTER_S: u32 = 2;
/// The longest file name in an answer, in characters; longer names are cut.
const NAME_CHARS_MAX: usize = 120;

/// Whether a path belongs to this module.
pub(super) fn is_media(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers with a file.
pub(super) async fn handle(public: &Public, request: hyper::Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let problem = ProblemDetails::new(Kind::WrongMethod, "only GET is allowed on files");
        return problem.answer_with(header::ALLOW, "GET, HEAD");
    }
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let Some((channel, token)) = path.split_once('/') else { return missing() };
    answered(public.router.media(&ChannelId::new(channel), token).await)
}

fn answered(found: Result<MediaFile, NoFile>) -> Response<Body> {
    match found {
        Ok(file) => given(file),
        Err(NoFile::Unknown) => missing(),
        Err(error @ NoFile::Refused(_)) => answer::error(Kind::FileRefused, error.to_string()),
        Err(error @ NoFile::Busy) => answer::busy(&error.to_string(), RETRY_AFTER_S),
    }
}

fn missing() -> Response<Body> {
    answer::error(Kind::NotFound, "no such file")
}

fn given(file: MediaFile) -> Response<Body> {
    let head = head(&file.content_type, file.name.as_deref(), file.bytes);
    let pieces = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        match file.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    });
    head.map(|_| Body::from_stream(pieces))
}

/// Returns the answer for a file, without its content.
fn head(content_type: &str, name: Option<&str>, bytes: u64) -> Response<Body> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let shown = is_shown(&kind);
    let name = name.map(name_of).unwrap_or_default();
    let disposition = if shown { "inline" } else { "attachment" };
    let disposition = match name.is_empty() {
        true => disposition.to_owned(),
        false => {
            format!("{disposition}; filename*=UTF-8''{}", channels::url::percent_encode(&name))
        }
    };
    let kind = if is_page(&kind) { "application/octet-stream" } else { content_type };
    let kind = HeaderValue::from_str(kind);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    headers.insert(
        header::CONTENT_TYPE,
        kind.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
    );
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    response
}

/// Whether a browser shows this type in place: pictures, sounds and videos. Others are downloads.
fn is_shown(kind: &str) -> bool {
    let media = ["image/", "audio/", "video/"].iter().any(|of| kind.starts_with(of));
    media && !is_page(kind)
}

/// Whether a browser would run this type.
fn is_page(kind: &str) -> bool {
    kind.is_empty() || ["html", "xml", "svg", "script"].iter().any(|word| kind.contains(word))
}

/// Returns the last segment of a file name, without control characters.
fn name_of(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_has_its_status() {
        let status = |error| answered(Err(error)).status();
        assert_eq!(status(NoFile::Unknown), 404);
        assert_eq!(status(NoFile::Refused("expired (http 404)".into())), 502);
        assert_eq!(status(NoFile::Busy), 503);
        assert!(answered(Err(NoFile::Busy)).headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn no_file_runs_in_a_browser() {
        let given = |kind: &str, name: Option<&str>| {
            let answer = head(kind, name, 1);
            let header = |name| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
            assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
            (header(header::CONTENT_TYPE), header(header::CONTENT_DISPOSITION))
        };
        let cases = [
            ("image/png", None, "image/png", "inline"),
            ("image/svg+xml", None, "application/octet-stream", "attachment"),
            ("text/html; charset=utf-8", None, "application/octet-stream", "attachment"),
            ("", None, "application/octet-stream", "attachment"),
            ("bad\r\ntype", None, "application/octet-stream", "attachment"),
            (
                "application/pdf",
                Some("../ü \"a\".pdf"),
                "application/pdf",
                "attachment; filename*=UTF-8''%C3%BC%20%22a%22.pdf",
            ),
            ("audio/ogg", Some("a/b/"), "audio/ogg", "inline"),
        ];
        for (kind, name, expected_kind, disposition) in cases {
            assert_eq!(given(kind, name), (expected_kind.into(), disposition.into()), "{kind}");
        }
    }
}
