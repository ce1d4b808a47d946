//! Deliberate bugs, one at a time, which prove that the simulation finds them. They exist only with
//! the feature `sabotage`, which no release has; without it everything here is a constant `false`.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, unreachable_pub, reason = "without the feature nobody sees or makes one")]
pub enum Sabotage {
    /// Messages are answered for before their flush.
    AcceptBeforeFlush = 1,
    /// Receipts are booked on the first part.
    ForgetPart,
    /// The last receipt counts, not the join of all.
    StatusGoesBack,
    /// The rate counts messages, not parts.
    RateCountsMessages,
    /// Waiting parts are dropped when a link comes back.
    DropQueueOnReconnect,
    /// A part in doubt is sent again under hold.
    ResendOnHold,
    /// Customers' messages are acknowledged before their flush.
    AcknowledgeBeforeFlush,
    /// A receipt finds its part by the provider's id, whomever it names.
    MatchByIdAlone,
    /// A text in the form of a receipt is one, whatever its type.
    TextBeforeType,
    /// Retention removes events without asking what is still owed.
    RetentionTakesOwed,
    /// A jump of the wall clock is believed at once.
    BelieveTheClock,
}

#[cfg(feature = "sabotage")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Sabotage;

    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    impl Sabotage {
        /// Those that a few hundred seeds find, with the names to choose them by.
        pub const ALL: [(&str, Self); 11] = [
            ("accept_before_flush", Self::AcceptBeforeFlush),
            ("forget_part", Self::ForgetPart),
            ("status_goes_back", Self::StatusGoesBack),
            ("rate_counts_messages", Self::RateCountsMessages),
            ("drop_queue_on_reconnect", Self::DropQueueOnReconnect),
            ("resend_on_hold", Self::ResendOnHold),
            ("acknowledge_before_flush", Self::AcknowledgeBeforeFlush),
            ("match_by_id_alone", Self::MatchByIdAlone),
            ("text_before_type", Self::TextBeforeType),
            ("retention_takes_owed", Self::RetentionTakesOwed),
            ("believe_the_clock", Self::BelieveTheClock),
        ];

        /// Activates this bug for the whole process, instead of any other.
        pub fn choose(self) {
            CHOSEN.store(self as u8, Ordering::SeqCst);
        }

        pub(crate) fn is_chosen(self) -> bool {
            CHOSEN.load(Ordering::Relaxed) == self as u8
        }
    }
}

#[cfg(not(feature = "sabotage"))]
impl Sabotage {
    pub(crate) const fn is_chosen(self) -> bool {
        false
    }
}
