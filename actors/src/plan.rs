//! What accepting a message would do, said and not done.

use message::{Content, DestinationId, SessionId, cim, event::Alphabet, event::Concatenation};

use crate::{
    error::Refusal,
    host::Ahead,
    session::Identity,
    shared::ChannelEntry,
    view::{PlanView, SessionIdText},
};

/// The plan for one message.
pub(crate) fn plan(
    entry: &ChannelEntry,
    because: String,
    identity: &Identity,
    message: &cim::Message,
    ahead: Ahead,
    destination: Option<DestinationId>,
) -> Result<PlanView, Refusal> {
    let prepared = entry.channel().prepare(&message.content, 1).map_err(|r| Refusal::Unsendable(r.0))?;
    let ordinal = if ahead.open { ahead.ordinal } else { ahead.ordinal.saturating_add(1) };
    let text = match &prepared.content {
        Content::Text(text) => text.to_string(),
        other => crate::describe::excerpt(other),
    };
    Ok(PlanView {
        channel: entry.config.id.clone(),
        provider: entry.channel().provider().name,
        because,
        customer: identity.address.customer.clone(),
        did: identity.did_shown.clone(),
        session_id: SessionIdText(SessionId { stream: identity.address.stream(), ordinal }),
        session_open: ahead.open,
        text,
        alphabet: alphabet(prepared.split.alphabet),
        concatenation: concatenation(prepared.split.concatenation).to_owned(),
        parts: prepared.split.parts,
        adapted: prepared.adapted.to_vec(),
        priority: message.priority.unwrap_or(if ahead.replies { 5 } else { 0 }),
        destination: destination.unwrap_or_else(|| "".into()),
        ahead_in_session: ahead.messages,
    })
}

fn alphabet(alphabet: Alphabet) -> String {
    match alphabet {
        Alphabet::Provider => "the provider's choice".to_owned(),
        Alphabet::Gsm7 => "GSM-7".to_owned(),
        Alphabet::Ucs2 => "UCS-2".to_owned(),
        Alphabet::Latin1 => "Latin-1".to_owned(),
        Alphabet::Binary => "binary".to_owned(),
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
