//! A provider's customer service window: for some hours after the customer's last message any
//! content may be sent, after that only templates. Answers the question only; the caller refuses.

use message::{BodyType, Content, Timestamp, event::Cause};

use super::policy::Policy;

/// Code of a message that the window does not allow.
pub const WINDOW: &str = "window";

/// Returns why a content must not be sent at `now`. `heard_at` is when the customer last wrote.
pub fn closed(
    policy: &Policy,
    content: &Content,
    heard_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Cause> {
    let window_ms = policy.window_ms?;
    if is_template(content) || heard_at.is_some_and(|at| now.since_ms(at) < window_ms) {
        return None;
    }
    let hours = window_ms / HOUR_MS;
    let since = match heard_at {
        Some(at) => format!("the customer last wrote {} hours ago", now.since_ms(at) / HOUR_MS),
        None => "the customer has not written yet".to_owned(),
    };
    let reason = format!(
        "{since}; the provider allows only templates, except within {hours} hours after the customer wrote: \
         send a template"
    );
    Some(Cause::new(WINDOW, reason))
}

const HOUR_MS: u64 = 3_600_000;

fn is_template(content: &Content) -> bool {
    match content {
        Content::Rich { body_type, .. } => *body_type == BodyType::Template,
        Content::Parts(parts) => parts.iter().all(is_template),
        Content::Text(_) | Content::Binary(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_templates_go_when_the_customer_has_been_silent_for_too_long() {
        let policy = Policy { window_ms: Some(24 * HOUR_MS), ..Policy::default() };
        let (text, now) = (Content::Text("hello".into()), Timestamp(100 * HOUR_MS));
        let template = Content::Rich { body_type: BodyType::Template, json: "{}".into() };
        let at = |hours_ago: u64| Some(Timestamp(now.0 - hours_ago * HOUR_MS));
        for (heard, open) in [(at(0), true), (at(23), true), (at(24), false), (at(30), false), (None, false)]
        {
            assert_eq!(closed(&policy, &text, heard, now).is_none(), open, "{heard:?}");
            assert_eq!(closed(&policy, &template, heard, now), None);
            let mixed = Content::Parts([template.clone(), text.clone()].into());
            assert_eq!(closed(&policy, &mixed, heard, now).is_none(), open, "{heard:?}");
        }
        let cause = closed(&policy, &text, at(30), now).unwrap();
        assert!(
            cause.reason.contains("30 hours ago") && cause.reason.contains("template"),
            "{}",
            cause.reason
        );
        assert_eq!(closed(&Policy { window_ms: None, ..policy }, &text, None, now), None);
    }
}
