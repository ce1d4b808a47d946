//! Reconciles an account's desired settings at its provider (webhook address, subscriptions): asks
//! first, and changes only what differs.

use serde_json::Value;

use crate::contract::{
    SendError, SetUp,
    http::{Request, Response},
};

/// A desired setting.
pub struct Desired<'a> {
    /// The subject in a word or two, for people.
    pub what: &'static str,
    /// The call that asks for the current setting.
    pub ask: Request,
    /// Returns whether the answer shows the desired setting.
    pub holds: Box<dyn Fn(&Value) -> bool + 'a>,
    /// Returns the call that changes the setting, given the answer.
    pub change: Box<dyn Fn(&Value) -> Request + 'a>,
}

/// Returns the next call, or the result once all settings are reconciled; `None` when nothing is
/// desired. `read` parses an answer.
///
/// # Errors
/// A setting cannot be asked for, or changed.
pub fn reconcile(
    desired: &[Desired<'_>],
    answers: &[Response],
    read: impl Fn(&Response) -> Result<Value, SendError>,
) -> Result<Option<SetUp>, SendError> {
    if desired.is_empty() {
        return Ok(None);
    }
    let mut answers = answers.iter();
    let (mut words, mut changed) = (Vec::new(), false);
    for desired in desired {
        let Some(asked) = answers.next() else { return Ok(Some(SetUp::Next(desired.ask.clone()))) };
        let found = read(asked)?;
        if (desired.holds)(&found) {
            words.push(format!("{}: as it should be", desired.what));
            continue;
        }
        let Some(made) = answers.next() else { return Ok(Some(SetUp::Next((desired.change)(&found)))) };
        read(made)?;
        changed = true;
        words.push(format!("{}: changed", desired.what));
    }
    Ok(Some(SetUp::Done { changed, words: words.join("; ").into() }))
}

/// Returns whether a list of words, or of objects with a `name`, contains all wanted words.
pub fn has_all(list: Option<&Value>, wanted: &[&str]) -> bool {
    let list = words_of(list);
    wanted.iter().all(|word| list.contains(word))
}

/// Returns the words of a list, or the names of its objects.
pub fn words_of(list: Option<&Value>) -> Vec<&str> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().or_else(|| item.get("name")?.as_str())).collect()
}

/// Returns the words of a list followed by the wanted words that it lacks.
pub fn with_all<'a>(list: Option<&'a Value>, wanted: &[&'a str]) -> Vec<&'a str> {
    let mut all = words_of(list);
    for word in wanted {
        if !all.contains(word) {
            all.push(word);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use message::event::Cause;
    use serde_json::json;

    use crate::{contract::http::Body, toolkit::set_up::*};

    fn desired() -> [Desired<'static>; 2] {
        ["one", "two"].map(|what| Desired {
            what,
            ask: Request::get(format!("https://api.example/{what}")),
            holds: Box::new(|said| said["is"] == "so"),
            change: Box::new(move |_| {
                Request::post(format!("https://api.example/{what}"), Body::None).harmless()
            }),
        })
    }

    fn answer(status: u16, is: &str) -> Response {
        Response { status, headers: Vec::new(), body: Bytes::from(json!({ "is": is }).to_string()) }
    }

    fn told(answers: &[Response]) -> String {
        let read = |response: &Response| match response.status {
            200 => Ok(crate::toolkit::json::parse(&response.body).unwrap()),
            _ => Err(SendError::Rejected(Cause::new("http", "no"))),
        };
        match reconcile(&desired(), answers, read) {
            Ok(Some(SetUp::Next(call))) => format!("{} {}", call.method.as_str(), call.url),
            Ok(Some(SetUp::Done { changed, words })) => format!("{changed} {words}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_is_so_is_left_alone_and_the_rest_is_changed_once() {
        let (so, other, no) = (answer(200, "so"), answer(200, "other"), answer(400, ""));
        assert_eq!(told(&[]), "GET https://api.example/one");
        assert_eq!(told(std::slice::from_ref(&so)), "GET https://api.example/two");
        assert_eq!(told(&[so.clone(), so.clone()]), "false one: as it should be; two: as it should be");
        assert_eq!(told(std::slice::from_ref(&other)), "POST https://api.example/one");
        // The answer to a change is not interpreted: it need not show the new setting.
        assert_eq!(told(&[other.clone(), other.clone()]), "GET https://api.example/two");
        assert_eq!(told(&[other.clone(), other.clone(), so]), "true one: changed; two: as it should be");
        assert!(told(std::slice::from_ref(&no)).contains("Rejected"));
        assert!(told(&[other, no]).contains("Rejected"));
        assert_eq!(reconcile(&[], &[], |_| Ok(Value::Null)), Ok(None));
    }

    #[test]
    fn lists_of_words_and_of_names_are_one() {
        let (words, names) = (json!(["a", "b"]), json!([{"name": "a", "version": "v1"}, {"name": "b"}]));
        for list in [&words, &names] {
            assert!(has_all(Some(list), &["b", "a"]) && !has_all(Some(list), &["a", "c"]));
            assert_eq!(with_all(Some(list), &["b", "c"]), ["a", "b", "c"]);
        }
        assert!(!has_all(None, &["a"]) && has_all(None, &[]));
    }
}
