//! The address that all accounts of one Meta app share: splits a call into the pieces for each
//! account. Pure; nothing that names an account is lost.

use serde_json::{Map, Value, json};

use crate::{contract::http::Malformed, toolkit::json};

/// Maximum number of pieces of one call; Meta puts up to 1,000 updates into one. More are refused.
pub const PIECES_MAX: usize = 10_000;

/// Maximum length of an account's id, in octets; longer ones are ignored.
const ID_BYTES_MAX: usize = 64;

/// The piece of a call for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPiece {
    /// The id of the account: the phone number's where one is named, else the page's or account's.
    pub id: Option<Box<str>>,
    /// The body with only this piece in it.
    pub body: Vec<u8>,
}

/// Splits a call: WhatsApp's by the number that each change names, Messenger's and Instagram's by
/// entry. The order is kept.
///
/// # Errors
/// The body is not a JSON object with `entry`, or has more than [`PIECES_MAX`] pieces.
pub fn split(body: &[u8]) -> Result<Vec<AccountPiece>, Malformed> {
    let said = json::parse(body).ok_or_else(|| Malformed::new("the body is not JSON"))?;
    let object = said.get("object").filter(|object| id_of(object).is_some()).cloned().unwrap_or(Value::Null);
    let entries = json::items(&said, "/entry");
    if entries.is_empty() && !said.get("entry").is_some_and(Value::is_array) {
        return Err(Malformed::new("entry is missing, or no list"));
    }
    let mut pieces = Vec::new();
    for entry in entries {
        let changes = json::items(entry, "/changes");
        // Entries beside the changes (Messenger's messages) are a piece of their own.
        let rest = changes.is_empty() || entry.get("messaging").is_some() || entry.get("standby").is_some();
        if rest {
            pieces.push(piece(&object, entry, None));
        }
        pieces.extend(changes.iter().map(|change| piece(&object, entry, Some(change))));
        if pieces.len() > PIECES_MAX {
            return Err(Malformed::new(format!("it has more than {PIECES_MAX} updates")));
        }
    }
    Ok(pieces)
}

fn piece(object: &Value, entry: &Value, change: Option<&Value>) -> AccountPiece {
    let number = change.and_then(|change| json::at(change, "/value/metadata/phone_number_id"));
    // A named number is the only addressee, even within the same account.
    let id = number.and_then(id_of).or_else(|| entry.get("id").filter(|_| number.is_none()).and_then(id_of));
    let mut alone = Map::new();
    for (key, value) in entry.as_object().into_iter().flatten() {
        // The body is not verified yet: values repeated for every change must be small.
        let kept = match (key.as_str(), change) {
            ("changes", _) => false,
            ("id", _) => id_of(value).is_some(),
            ("time", _) => value.is_number(),
            (_, change) => change.is_none(),
        };
        if kept {
            alone.insert(key.clone(), value.clone());
        }
    }
    if let Some(change) = change {
        alone.insert("changes".into(), json!([change]));
    }
    AccountPiece { id, body: json!({ "object": object, "entry": [alone] }).to_string().into_bytes() }
}

/// Ids are texts, and in some samples numbers.
fn id_of(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= ID_BYTES_MAX => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::family::meta::batch::*;

    fn id(piece: &AccountPiece) -> &str {
        piece.id.as_deref().unwrap_or_default()
    }

    #[test]
    fn each_change_and_each_entry_is_a_piece_with_its_id() {
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"id": "waba", "changes": [
                {"field": "messages", "value": {"metadata": {"phone_number_id": "111"}, "messages": [1]}},
                {"field": "messages", "value": {"metadata": {"phone_number_id": 222}, "statuses": [2]}},
                {"field": "account_update", "value": {}},
            ]},
            {"id": "page", "time": 1, "messaging": [{"x": 1}, {"x": 2}]},
            {"id": 17, "messaging": [], "changes": [{"field": "comments"}]},
            7,
        ]});
        let pieces = split(body.to_string().as_bytes()).unwrap();
        let all: Vec<_> = pieces.iter().map(id).collect();
        assert_eq!(all, ["111", "222", "waba", "page", "17", "17", ""]);
        let said: Value = serde_json::from_slice(&pieces[1].body).unwrap();
        assert_eq!(said["object"], "whatsapp_business_account");
        assert_eq!(said["entry"][0]["changes"][0]["value"]["statuses"], json!([2]));
        assert_eq!(said["entry"][0]["changes"].as_array().unwrap().len(), 1);
        let said: Value = serde_json::from_slice(&pieces[3].body).unwrap();
        assert_eq!(said["entry"][0]["messaging"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_call_of_meta_is_told() {
        for body in ["", "[]", "{}", "{\"entry\":7}", "7"] {
            assert!(split(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(split(b"{\"entry\":[]}"), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn every_change_comes_out_once_in_order(counts in prop::collection::vec(0_usize..5, 0..6)) {
            let mut n = 0;
            let entries: Vec<Value> = counts.iter().map(|count| {
                let changes: Vec<Value> = (0..*count).map(|_| { n += 1; json!({ "value": n }) }).collect();
                json!({ "id": "e", "changes": changes })
            }).collect();
            let body = json!({ "object": "o", "entry": entries }).to_string();
            let pieces = split(body.as_bytes()).unwrap();
            let values = pieces.iter().filter_map(|piece| {
                let said: Value = serde_json::from_slice(&piece.body).unwrap();
                said["entry"][0]["changes"][0]["value"].as_u64()
            });
            prop_assert_eq!(values.collect::<Vec<_>>(), (1..=n).collect::<Vec<u64>>());
        }

        #[test]
        fn any_octets_are_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_refused = split(&body);
        }
    }
}
