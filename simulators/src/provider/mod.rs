//! The registry of simulated REST providers. Each has its own file or folder and imports no other.

mod bandwidth;
mod facebook;
mod instagram;
mod telegram;
mod telnyx;
mod twilio;
mod viber;
mod voipms;
mod whatsapp_360dialog;
mod whatsapp_cloud;

use std::sync::LazyLock;

use crate::{
    contract::{About, Provider},
    family::described::{Described, SOURCES},
};

/// The providers with a simulator in code; the others are described by their fixture files.
static WRITTEN: &[&dyn Provider] = &[
    &bandwidth::BANDWIDTH,
    &facebook::FACEBOOK,
    &instagram::INSTAGRAM,
    &telegram::TELEGRAM,
    &telnyx::TELNYX,
    &twilio::TWILIO,
    &twilio::TWILIO_WHATSAPP,
    &viber::VIBER,
    &whatsapp_360dialog::WHATSAPP_360DIALOG,
    &whatsapp_cloud::WHATSAPP_CLOUD,
];

static DESCRIBED: LazyLock<Vec<Described>> = LazyLock::new(|| {
    let read = |source| match Described::read(source, SOURCES) {
        Ok(described) => described,
        Err(error) => {
            tracing::error!(%error, "this provider cannot be simulated");
            None
        }
    };
    SOURCES.iter().filter_map(read).collect()
});

static ALL: LazyLock<Vec<&'static dyn Provider>> = LazyLock::new(|| {
    let mut all: Vec<&'static dyn Provider> = WRITTEN.to_vec();
    all.extend(DESCRIBED.iter().map(|described| described as &dyn Provider));
    all.extend(voipms::provider().map(|voipms| voipms as &dyn Provider));
    all.sort_by_key(|provider| provider.about().name);
    all
});

/// Returns all simulated REST providers, ordered by name.
pub(crate) fn all() -> &'static [&'static dyn Provider] {
    &ALL
}

/// Returns the descriptions of all simulated REST providers, ordered by name.
pub fn providers() -> impl Iterator<Item = &'static About> {
    all().iter().map(|provider| provider.about())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Context, Credentials, Fault, Message, ReportStatus, StatusReport};

    /// Calls `check` with every provider and a context with its default credentials.
    fn for_each(check: impl Fn(&dyn Provider, &Context<'_>)) {
        let media = Default::default();
        for provider in all() {
            let credentials = provider.about().credentials;
            let credentials: Credentials =
                credentials.iter().map(|one| (one.key, one.default.to_owned())).collect();
            check(*provider, &Context::sample(&credentials, &media));
        }
    }

    #[test]
    fn every_fault_has_an_answer() {
        for_each(|provider, cx| {
            for code in ["", "0", "nonsense", "400:chat not found", "10/2018278", "99999999999999999999"] {
                let answer = provider.fault(Fault::Rejected { code }, cx);
                assert!((200..600).contains(&answer.status), "{code}: {}", answer.status);
            }
            assert_eq!(provider.fault(Fault::Unavailable { status: 502 }, cx).status, 502);
            for fault in [
                Fault::Throttled { after_s: 0 },
                Fault::Throttled { after_s: 9 },
                Fault::Credentials,
                Fault::WithoutId,
            ] {
                assert!(provider.fault(fault, cx).status >= 200);
            }
        });
    }

    #[test]
    fn empty_messages_and_events_are_survived() {
        for_each(|provider, cx| {
            for status in ["sent", "delivered", "read", "failed", "", "ß"] {
                let status = ReportStatus::named(status);
                let report = StatusReport { message: &Message::default(), status, code: None };
                let _ = provider.receipt(&report, cx);
            }
            let _ = provider.post("", &[], cx);
            let _ = provider.post("http://127.0.0.1:1/{FROM}", &[], cx);
            let _ = provider.handshake("", cx);
        });
    }

    #[test]
    fn every_description_can_be_read() {
        for source in SOURCES {
            if let Err(error) = Described::read(source, SOURCES) {
                panic!("{error}");
            }
        }
        assert!(voipms::provider().is_some());
    }
}
