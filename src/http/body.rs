//! Reads request bodies within limits on size, time and memory. The memory is one budget for all
//! senders of a kind: see `budget.rs`.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;

use super::{
    answer,
    budget::{Budget, Share},
    problem::{Kind, ProblemDetails},
};

/// How long a body of a sender with a key may take to arrive, before 408.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body of anyone else may take.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(15);
/// How many bytes of an oversized body are read and discarded before 413.
const DRAIN_BYTES: usize = 16 << 20;
/// How long an oversized body is read before 413.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The least memory that is taken for a body which does not come in one piece, in bytes.
const PIECE_BYTES: usize = 4096;
/// Retry-After for a body that finds the memory used up, in seconds.
const RETRY_AFTER_S: u32 = 2;

/// The budgets of the bodies that are being read.
pub(super) struct Bodies {
    known: Budget,
    strangers: Budget,
}

/// How bodies of one request are read.
#[derive(Clone, Copy)]
pub(super) struct BodyTerms<'a> {
    budget: &'a Budget,
    timeout: Duration,
    bytes_max: usize,
}

impl Bodies {
    /// Returns budgets of the given bytes: for senders with a key, and for all others.
    pub(super) fn new(known_bytes_max: usize, strangers_bytes_max: usize) -> Self {
        Self {
            known: Budget::new("known", known_bytes_max),
            strangers: Budget::new("stranger", strangers_bytes_max),
        }
    }

    /// Returns the terms for a body whose sender has a key.
    pub(super) fn known(&self, bytes_max: usize) -> BodyTerms<'_> {
        BodyTerms { budget: &self.known, timeout: KNOWN_TIMEOUT, bytes_max }
    }

    /// Returns the terms for a body whose sender is not known before the body is read.
    pub(super) fn stranger(&self, bytes_max: usize) -> BodyTerms<'_> {
        BodyTerms { budget: &self.strangers, timeout: STRANGER_TIMEOUT, bytes_max }
    }
}

/// Why a body was not read.
enum Unread {
    TooLarge,
    Incomplete(String),
    NoRoom,
}

/// Reads a body.
pub(super) async fn read<B>(
    terms: BodyTerms<'_>,
    headers: &HeaderMap,
    mut body: B,
) -> Result<Bytes, Box<Response<Body>>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let BodyTerms { budget, timeout, bytes_max } = terms;
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let problem = ProblemDetails::new(Kind::UnsupportedType, "compressed bodies are not supported");
        return Err(Box::new(problem.fix("send the body without Content-Encoding").answer()));
    }
    if body.size_hint().lower() > bytes_max as u64 {
        // With `Expect: 100-continue` the client has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large(bytes_max));
    }
    let share = budget.share();
    let read = tokio::select! {
        biased;
        read = tokio::time::timeout(timeout, collect(&share, bytes_max, &mut body)) => read,
        () = share.given_up() => Ok(Err(Unread::NoRoom)),
    };
    match read {
        Ok(Ok(all)) => Ok(all),
        Ok(Err(Unread::TooLarge)) => {
            drain(&mut body).await;
            Err(too_large(bytes_max))
        }
        Ok(Err(Unread::Incomplete(why))) => {
            Err(Box::new(answer::error(Kind::IncompleteBody, format!("the body is incomplete: {why}"))))
        }
        Ok(Err(Unread::NoRoom)) => {
            let text = "too many large bodies are being read ([http] bodies_max, unverified_bodies_max)";
            Err(closing(answer::busy(text, RETRY_AFTER_S)))
        }
        Err(_) => {
            let text = format!("the body did not arrive within {} s", timeout.as_secs());
            Err(closing(answer::error(Kind::SlowBody, text)))
        }
    }
}

/// Collects the pieces of a body. One that comes in a single piece is not copied; the pieces of
/// others are, since each may be a small part of a large buffer.
async fn collect<B>(share: &Share<'_>, bytes_max: usize, body: &mut B) -> Result<Bytes, Unread>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            let error: Box<dyn std::error::Error + Send + Sync> = e.into();
            Unread::Incomplete(error.to_string())
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        let length = all.len().saturating_add(piece.len());
        if length > bytes_max {
            return Err(Unread::TooLarge);
        }
        if all.is_empty() && body.is_end_stream() {
            return if share.grow(length) { Ok(piece) } else { Err(Unread::NoRoom) };
        }
        if length > all.capacity() {
            let capacity = length.max(all.capacity().saturating_mul(2)).max(PIECE_BYTES).min(bytes_max);
            if !share.grow(capacity.saturating_sub(all.capacity())) {
                return Err(Unread::NoRoom);
            }
            all.reserve_exact(capacity.saturating_sub(all.len()));
        }
        all.extend_from_slice(&piece);
    }
    Ok(Bytes::from(all))
}

fn too_large(bytes_max: usize) -> Box<Response<Body>> {
    let text = format!("the body is larger than {bytes_max} bytes ([http] body_max)");
    closing(answer::error(Kind::TooLarge, text))
}

/// The rest of the body is not read, so the connection cannot be used again.
fn closing(mut answer: Response<Body>) -> Box<Response<Body>> {
    answer.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    Box::new(answer)
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

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    type Piece = Result<Frame<Bytes>, std::io::Error>;

    fn pieces(pieces: &[usize]) -> impl hyper::body::Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames: Vec<Piece> =
            pieces.iter().map(|n| Ok(Frame::data(Bytes::from(vec![b'x'; *n])))).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_whole_or_refused_with_the_reason() {
        let bodies = Bodies::new(1 << 20, 64 * 1024);
        let none = HeaderMap::new();
        let status = |read: Result<Bytes, Box<Response<Body>>>| {
            read.map(|all| all.len()).map_err(|answer| answer.status().as_u16())
        };
        for (terms, given, expected) in [
            (bodies.known(100), &[40, 60][..], Ok(100)),
            (bodies.known(100), &[], Ok(0)),
            (bodies.known(100), &[40, 61], Err(413)),
            (bodies.stranger(1 << 20), &[10_000, 50_000], Ok(60_000)),
            (bodies.stranger(1 << 20), &[10_000, 60_000], Err(503)),
        ] {
            assert_eq!(status(read(terms, &none, pieces(given)).await), expected, "{given:?}");
        }
        let endless = StreamBody::new(stream::pending::<Piece>());
        assert_eq!(status(read(bodies.stranger(100), &none, endless).await), Err(408));
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_is_read_while_large_ones_hold_everything() {
        use futures_util::{FutureExt as _, StreamExt as _};
        let bodies = Bodies::new(1 << 20, 100_000);
        let none = HeaderMap::new();
        let held = || {
            let piece: Piece = Ok(Frame::data(Bytes::from(vec![b'x'; 40_000])));
            StreamBody::new(stream::iter([piece]).chain(stream::pending()))
        };
        let mut slow = [
            Box::pin(read(bodies.stranger(1 << 20), &none, held())),
            Box::pin(read(bodies.stranger(1 << 20), &none, held())),
        ];
        assert!(slow.iter_mut().all(|slow| slow.as_mut().now_or_never().is_none()));
        let small = read(bodies.stranger(1 << 20), &none, pieces(&[15_000, 15_000])).await;
        assert_eq!(small.unwrap().len(), 30_000);
        let given_up = slow.iter_mut().filter_map(|slow| slow.as_mut().now_or_never()).count();
        assert_eq!(given_up, 1, "one of them made room");
    }
}
