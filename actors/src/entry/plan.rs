//! Dry run: what accepting a message would send, to whom and why. Changes nothing.

use std::sync::Arc;

use channels::{Channel, Prepared, text::split};
use message::{
    Content, DestinationId, SessionId, StreamId, Timestamp, cim,
    event::{Alphabet, Concatenation},
};

use crate::{
    context::directory::Found,
    domain::session::{Identity, Session},
    error::Refusal,
    protocol::task::QueuePosition,
    view::{PlanView, PlannedMessage, SessionIdText},
};

/// Returns the plan for one message.
///
/// # Errors
///
/// Returns a refusal if the channel cannot send the message.
pub(crate) fn plan(
    found: &Found<'_>,
    (stream, identity): (StreamId, &Identity),
    message: &cim::Message,
    position: QueuePosition,
    destination: Option<DestinationId>,
    customer: Arc<str>,
    now: Timestamp,
) -> Result<PlanView, Refusal> {
    let entry = found.entry;
    let mut prepared = entry
        .channel()
        .prepare_as(&message.content, 1, message.handling)
        .map_err(|rejection| Refusal::Unsendable(rejection.0))?;
    let validity = entry.config.validity.and_then(|d| u64::try_from(d.as_millis()).ok());
    let from = message.scheduling.send_at.unwrap_or(now).max(now);
    let valid_ms = message.scheduling.expiry(now).map(|at| at.since_ms(from)).or(validity);
    if let Some(refusal) = Session::is_over(message.scheduling.expiry(now), now) {
        return Err(refusal);
    }
    prepared.adapted.extend(valid_ms.and_then(|ms| entry.channel().untold_validity(ms)));
    prepared.adapted.extend(entry.national_note(&identity.customer_shown));
    let ordinal = if position.open { position.ordinal } else { position.ordinal.saturating_add(1) };
    let messages = planned(entry.channel(), &prepared);
    let text = match &prepared.content {
        Content::Text(text) => text.to_string(),
        other => crate::view::describe::excerpt(other),
    };
    Ok(PlanView {
        channel: entry.config.id.clone(),
        provider: entry.channel().provider().name,
        because: found.because(&message.service_identifier, message.channel_type.as_deref()),
        customer,
        did: identity.did_shown.clone(),
        session_id: SessionIdText(SessionId { stream, ordinal }),
        session_open: position.open,
        text,
        alphabet: alphabet(prepared.split.alphabet),
        concatenation: concatenation(prepared.split.concatenation).to_owned(),
        parts: prepared.split.parts,
        sms_segments: messages.iter().filter_map(|message| message.sms_segments).reduce(|a, b| a + b),
        messages,
        choices: prepared.choices.to_vec(),
        adapted: prepared.adapted.to_vec(),
        priority: message.priority.unwrap_or(if position.replies { 5 } else { 0 }),
        destination: destination.unwrap_or_else(|| "".into()),
        ahead_in_session: position.messages,
    })
}

/// Returns the messages that the provider would get. The number of SMS depends on whether we or the
/// provider cut a text.
fn planned(channel: &dyn Channel, prepared: &Prepared) -> Vec<PlannedMessage> {
    let is_sms = channel.provider().channel_types.contains(&"SMS");
    let cuts = prepared.split;
    let is_cut_here = cuts.alphabet != Alphabet::Provider && cuts.concatenation != Concatenation::Payload;
    let one = |content: &Content| {
        let (body_type, shown) = match content {
            Content::Text(text) => ("PLAIN", text.to_string()),
            Content::Rich { body_type, json } => (body_type.as_wire(), json.to_string()),
            other => ("CUSTOM", crate::view::describe::excerpt(other)),
        };
        let sms = match content {
            Content::Text(_) if is_sms && is_cut_here => Some((cuts.alphabet, usize::from(cuts.parts))),
            Content::Text(text) if is_sms => Some(split::segments(text)),
            _ => None,
        };
        let (sms_alphabet, sms_segments) = sms.map(|(a, count)| (alphabet(a), count)).unzip();
        PlannedMessage { body_type, content: shown, sms_alphabet, sms_segments }
    };
    match &prepared.content {
        Content::Parts(parts) => parts.iter().map(one).collect(),
        whole => vec![one(whole)],
    }
}

fn alphabet(alphabet: Alphabet) -> String {
    match alphabet {
        Alphabet::Provider => "the provider's choice".to_owned(),
        Alphabet::Gsm7 => "GSM-7".to_owned(),
        Alphabet::Ucs2 => "UCS-2".to_owned(),
        Alphabet::Latin1 => "Latin-1".to_owned(),
        Alphabet::Binary => "binary".to_owned(),
        Alphabet::Coded(data_coding) => format!("data_coding {data_coding}"),
        Alphabet::Gsm7Single(id) => format!("GSM-7 with the single shift table {id}"),
        Alphabet::Gsm7Locking(id) => format!("GSM-7 with the locking and single shift tables {id}"),
    }
}

fn concatenation(concatenation: Concatenation) -> &'static str {
    match concatenation {
        Concatenation::None => "none",
        Concatenation::Udh8 => "user data header, 8-bit reference",
        Concatenation::Udh16 => "user data header, 16-bit reference",
        Concatenation::Sar => "sar_* parameters",
        Concatenation::Payload => "message_payload, cut by the SMSC",
    }
}

#[cfg(test)]
mod tests {
    use channels::{Capabilities, capability::LongText};

    use super::*;

    fn planned_on_smpp(account: &str, content: &Content) -> Vec<PlannedMessage> {
        let base = "host = \"h\"\nsystem_id = \"s\"\npassword = \"p\"\n";
        let account: toml::Table = format!("{base}{account}").parse().unwrap();
        let channel = channels::provider("smpp").unwrap().open(account).unwrap();
        let prepared = channel.prepare(content, 1).unwrap();
        planned(&*channel, &prepared)
    }

    #[test]
    fn a_plan_shows_the_number_of_sms_for_either_way_of_cutting() {
        let long = Content::Text("a".repeat(161).into());
        for account in ["", "concatenation = \"payload\""] {
            let messages = planned_on_smpp(account, &long);
            let of = |m: &PlannedMessage| (m.body_type, m.sms_alphabet.clone(), m.sms_segments);
            let costs: Vec<_> = messages.iter().map(of).collect();
            assert_eq!(costs, [("PLAIN", Some("GSM-7".to_owned()), Some(2))], "{account}");
        }
    }

    #[test]
    fn a_plan_shows_each_message() {
        let capabilities =
            Capabilities { long_text: LongText::Cut, text_characters_max: 5, ..Capabilities::TEXT };
        let prepared = channels::adapt::prepare(&Content::Text("Hello there".into()), &capabilities).unwrap();
        let channel = channels::provider("smpp")
            .unwrap()
            .open("host = \"h\"\nsystem_id = \"s\"\npassword = \"p\"".parse().unwrap());
        let shown: Vec<String> =
            planned(&*channel.unwrap(), &prepared).into_iter().map(|message| message.content).collect();
        assert_eq!(shown, ["Hello", "there"]);
    }
}
