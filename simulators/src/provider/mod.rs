//! The registry of simulated REST providers. Each provider is a file or folder of its own and knows no other.

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
