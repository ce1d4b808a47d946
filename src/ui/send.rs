//! The page that sends a test: a form, the plan of the message, and a button that sends it. The
//! message's own page then follows it.

use actors::{
    Origin, Router,
    view::{ChannelView, PlanView},
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::percent_encode;
use maud::{Markup, html};
use message::cim;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{layout::Frame, parts::nothing};

/// A text to a customer, as the form of the page has it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestMessage {
    /// The id of the channel; needed where several have the own address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    channel: String,
    /// Our own address.
    from: String,
    /// The customer's address.
    to: String,
    text: String,
}

impl TestMessage {
    /// Returns the message as a business would write it.
    ///
    /// # Errors
    ///
    /// Returns the reason if it cannot be read as one.
    pub(crate) fn to_cim(&self) -> Result<cim::Message, cim::Error> {
        let mut channel_data =
            json!({ "channelCustomerIdentifier": self.to, "serviceIdentifier": self.from });
        if let (false, Some(map)) = (self.channel.is_empty(), channel_data.as_object_mut()) {
            map.insert("channelTypeCode".to_owned(), self.channel.clone().into());
        }
        let sender = json!({ "id": "patchbay", "type": "SYSTEM", "senderName": "Test from the page" });
        let message = json!({
            "header": { "channelData": channel_data, "sender": sender },
            "body": { "type": "PLAIN", "markdownText": self.text },
        });
        cim::parse(message.to_string().as_bytes())
    }
}

/// The fields of the form. Empty ones count as missing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    channel: String,
    from: String,
    to: String,
    text: String,
}

pub(super) async fn show(State(router): State<Router>, Query(form): Query<Form>) -> Response {
    let channels = router.channels().await;
    let planned = planned(&router, &form).await;
    let content = html! {
        h1 { "Send a test" }
        p.quiet { "First the plan is shown: the channel, the text as it would be sent, its parts. Nothing is sent before you say so." }
        @if channels.is_empty() { (nothing("No channel is configured.", "Add a [[channel]] to the configuration.")) }
        @else { (fields(&form, &channels)) }
        @match &planned {
            None => {}
            Some(Err(text)) => section.panel.why role="alert" { h2 { "It would be refused" } p.bad { (text) } },
            Some(Ok((message, plan))) => (plan_of(message, plan)),
        }
    };
    Frame { at: "/send", title: "Send a test", refresh_s: None }.show(&router, &content).await
}

/// Returns the plan of the message; nothing while the form is not filled in.
async fn planned(router: &Router, form: &Form) -> Option<Result<(TestMessage, PlanView), String>> {
    if form.to.trim().is_empty() || form.text.trim().is_empty() {
        return None;
    }
    // An own address is chosen together with its channel.
    let (from, channel) = form.from.rsplit_once('|').unwrap_or((&form.from, &form.channel));
    let message = TestMessage {
        channel: channel.to_owned(),
        from: from.to_owned(),
        to: form.to.trim().to_owned(),
        text: form.text.trim().to_owned(),
    };
    let plan = match message.to_cim() {
        Ok(cim) => router.plan(cim, &Origin::default()).await.map_err(|refusal| refusal.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Some(plan.map(|plan| (message, plan)))
}

fn fields(form: &Form, channels: &[ChannelView]) -> Markup {
    let addresses = channels.iter().flat_map(|channel| {
        channel.dids.iter().map(move |did| {
            let is_first = channel.dids.first() == Some(did);
            let value = format!("{did}|{}", channel.id);
            let chosen = if form.from.is_empty() {
                is_first && *form.channel == *channel.id.as_str()
            } else {
                value == form.from
            };
            (value, format!("{did} on {} ({})", channel.name, channel.provider), chosen)
        })
    });
    html! {
        form.panel.fields method="get" action="/send" {
            label.field {
                span { "From" }
                select name="from" {
                    @for (value, text, chosen) in addresses { option value=(value) selected[chosen] { (text) } }
                }
            }
            label.field { span { "To (the customer's number or id)" } input name="to" value=(form.to) required autocomplete="off"; }
            label.field { span { "Text" } textarea name="text" rows="3" required { (form.text) } }
            button type="submit" { "Show the plan" }
        }
    }
}

fn plan_of(message: &TestMessage, plan: &PlanView) -> Markup {
    let body = serde_json::to_string(message).unwrap_or_default();
    html! {
        section.panel.why {
            h2 { "Plan" }
            dl.facts {
                div { dt { "Channel" } dd { a href={"/channel?id=" (percent_encode(plan.channel.as_str()))} { (plan.channel) } " (" (plan.provider) "): " (plan.because) } }
                div { dt { "From, to" } dd { span.number { (plan.did) } " to " span.number { (plan.customer) } } }
                @for planned in &plan.messages {
                    div {
                        dt { "Sends " (planned.body_type) }
                        dd.said { (planned.content) }
                        @if let Some(segments) = planned.sms_segments {
                            dd.quiet { (segments) " SMS" @if let Some(alphabet) = &planned.sms_alphabet { ", " (alphabet) } }
                        }
                    }
                }
                @if plan.messages.is_empty() { div { dt { "Text" } dd.said { (plan.text) } } }
                div { dt { "Parts" } dd { (plan.parts) @if plan.parts > 1 { ", joined by: " (plan.concatenation) } } }
                @for note in &plan.adapted { div { dt { "Adapted" } dd { (note) } } }
                div { dt { "Notifies" } dd { (plan.destination) } }
                @if plan.ahead_in_session > 0 { div { dt { "After" } dd { (plan.ahead_in_session) " messages of this session" } } }
            }
            div.buttons {
                button.strong #send-it type="button" data-post="/api/test-messages" data-body=(body) data-sure="" data-then="/message?id=" {
                    "Send it"
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_a_message_as_a_business_writes_it() {
        let read = |json: &str| serde_json::from_str::<TestMessage>(json);
        let message = read(r#"{"channel":"sms","from":"5155","to":"+491","text":"Hi"}"#).unwrap();
        let cim = message.to_cim().unwrap();
        assert_eq!((&*cim.service_identifier, &*cim.customer), ("5155", "+491"));
        assert_eq!(cim.channel_type.as_deref(), Some("sms"));
        let plain = read(r#"{"from":"5155","to":"+491","text":"Hi"}"#).unwrap();
        assert_eq!(plain.to_cim().unwrap().channel_type, None);
        assert!(read(r#"{"from":"5155","to":"+491","txt":"Hi"}"#).is_err());
    }
}
