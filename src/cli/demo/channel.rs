//! The channels of the demo. The statuses a channel reports come from its provider's description.

use clap::ValueEnum;

/// A channel of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Channel {
    Sms,
    Whatsapp,
    Messenger,
    Telegram,
}

impl Channel {
    pub(super) const ALL: [Self; 4] = [Self::Sms, Self::Whatsapp, Self::Messenger, Self::Telegram];

    /// Returns its place among the ports of a demo with a given first port.
    pub(super) fn place(self) -> u16 {
        match self {
            Self::Sms => 0,
            Self::Whatsapp => 1,
            Self::Messenger => 2,
            Self::Telegram => 3,
        }
    }

    /// Returns the id in the configuration.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Messenger => "messenger",
            Self::Telegram => "telegram",
        }
    }

    /// Returns the name for people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Sms => "SMS",
            Self::Whatsapp => "WhatsApp",
            Self::Messenger => "Messenger",
            Self::Telegram => "Telegram",
        }
    }

    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Sms => "smpp",
            Self::Whatsapp => "whatsapp_cloud",
            Self::Messenger => "facebook",
            Self::Telegram => "telegram",
        }
    }

    /// Returns the statuses that the provider reports for a message that arrives.
    pub(super) fn reports(self) -> &'static [&'static str] {
        let can = channels::provider(self.provider()).map(|provider| provider.capabilities);
        match can.map(|can| (can.receipts, can.read_receipts)) {
            Some((true, true)) => &["DELIVERED", "READ"],
            Some((true, false)) => &["DELIVERED"],
            _ => &[],
        }
    }
}
