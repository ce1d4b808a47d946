//! One session: now, as it was at an instant, and the difference between two instants.

use actors::{
    Refusal, Router,
    view::{EventView, SessionView},
};
use axum::{
    body::Body,
    extract::{Path, State},
};
use http::{Response, StatusCode, Uri};
use message::{Seq, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{query, state::SharedAdmin};
use crate::{http::answer, instant};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Instants {
    at: Option<String>,
    diff: Option<String>,
    before: Option<u64>,
}

/// The difference of a session between two instants.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Lines of the state that only the earlier instant has.
    pub(crate) removed: Vec<String>,
    /// Lines of the state that only the later instant has.
    pub(crate) added: Vec<String>,
    /// Events after `from`, up to and including `to`.
    pub(crate) events: Vec<EventView>,
}

pub(super) async fn show(State(inner): SharedAdmin, Path(id): Path<String>, uri: Uri) -> Response<Body> {
    let bad = |text: &str| answer::error(StatusCode::BAD_REQUEST, text);
    let id: SessionId = match id.parse() {
        Ok(id) => id,
        Err(e) => return bad(&format!("{e}")),
    };
    let instants: Instants = match query::of(&uri) {
        Ok(instants) => instants,
        Err(answer) => return *answer,
    };
    let at = instants.at.as_deref().map(instant::parse).transpose();
    let diff = instants.diff.as_deref().map(instant::parse).transpose();
    let router = &inner.admin.router;
    if let Some(before) = instants.before {
        return respond(router.session_before(id, Seq(before)).await);
    }
    match (at, diff) {
        (Err(e), _) => bad(&format!("at: {e}")),
        (_, Err(e)) => bad(&format!("diff: {e}")),
        (Ok(None), Ok(Some(_))) => bad("diff: needs at= as well; the two instants are compared"),
        (Ok(Some(at)), Ok(Some(diff))) => respond(difference(router, id, at, diff).await),
        (Ok(at), Ok(None)) => respond(router.session(id, at).await),
    }
}

fn respond<T: Serialize>(result: Result<T, Refusal>) -> Response<Body> {
    match result {
        Ok(view) => answer::json(&view),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// Compares a session at two instants, given in either order.
pub(crate) async fn difference(
    router: &Router,
    id: SessionId,
    a: Timestamp,
    b: Timestamp,
) -> Result<Difference, Refusal> {
    let (from, to) = (a.min(b), a.max(b));
    let before = router.session(id, Some(from)).await?;
    let after = router.session(id, Some(to)).await?;
    let (removed, added) = changed_lines(&lines(&before), &lines(&after));
    let events = after.events.into_iter().filter(|e| e.at > from && e.at <= to).collect();
    Ok(Difference { from, to, removed, added, events })
}

fn lines(view: &SessionView) -> Vec<&str> {
    view.snapshot.as_deref().unwrap_or_default().lines().collect()
}

/// Returns the lines that only `before` has and those that only `after` has, in their order. A
/// repeated line counts as often as it is missing on the other side.
fn changed_lines(before: &[&str], after: &[&str]) -> (Vec<String>, Vec<String>) {
    let only_in = |a: &[&str], b: &[&str]| {
        let mut rest = b.to_vec();
        rest.sort_unstable();
        let mut only = Vec::new();
        for line in a {
            match rest.binary_search(line) {
                Ok(at) => _ = rest.remove(at),
                Err(_) => only.push((*line).to_owned()),
            }
        }
        only
    };
    (only_in(before, after), only_in(after, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let (removed, added) = changed_lines(&["a", "b", "b", "c"], &["b", "c", "d", "a"]);
        assert_eq!((removed, added), (vec!["b".to_owned()], vec!["d".to_owned()]));
    }
}
