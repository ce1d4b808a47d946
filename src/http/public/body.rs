//! Reads request bodies within limits on size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::http::answer;

/// How long a request body may take to arrive, before 408.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes of an oversized body are read and discarded before 413.
const DRAIN_BYTES: usize = 16 << 20;
/// How long an oversized body is read before 413.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads a body of at most `max` bytes.
pub(super) async fn read<B>(
    max: usize,
    headers: &HeaderMap,
    mut body: B,
) -> Result<Bytes, Box<Response<Body>>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let text =
            format!("the body is larger than {max} bytes ([http] body_max); send fewer messages at once");
        // The rest of the body is not read, so the connection cannot be reused.
        Box::new(answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, &text, header::CONNECTION, "close"))
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let text = "compressed bodies are not supported; send the body without Content-Encoding";
        return Err(Box::new(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)));
    }
    if body.size_hint().lower() > max as u64 {
        // With `Expect: 100-continue` the client has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(&mut body, max).collect()).await;
    match read {
        Ok(Ok(all)) => Ok(all.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            drain(&mut body).await;
            Err(too_large())
        }
        Ok(Err(e)) => {
            Err(Box::new(answer::error(StatusCode::BAD_REQUEST, &format!("the body is incomplete: {e}"))))
        }
        Err(_) => {
            let text = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(Box::new(answer::error(StatusCode::REQUEST_TIMEOUT, &text)))
        }
    }
}

/// Reads and discards the rest of a body, within limits. A client that is still writing when the
/// connection closes would see a broken pipe instead of the answer.
async fn drain<B: hyper::body::Body<Data = Bytes> + Unpin>(body: &mut B) {
    let whole = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _late = tokio::time::timeout(DRAIN_TIMEOUT, whole).await;
}
