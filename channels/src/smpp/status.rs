//! Command statuses: names, meanings in words, and the reaction to each. Channels may override the
//! reaction, because vendors reuse and invent codes.

use std::collections::BTreeMap;

/// The reaction to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request was accepted.
    Accepted,
    /// A temporary failure of this part: try again after a pause.
    Retry {
        /// The pause in milliseconds.
        after_ms: u64,
    },
    /// Too fast: pause the whole channel, with growing pauses.
    Throttled {
        /// The first pause in milliseconds; it grows to [`THROTTLE_MS_MAX`].
        after_ms: u64,
    },
    /// A queue is full, the customer's or the provider's: the customer waits with growing pauses,
    /// and the whole channel when several customers are refused so.
    QueueFull,
    /// Ambiguous: try once more, then give up.
    RetryOnce,
    /// The part is refused permanently.
    Permanent,
    /// Refused permanently because the account or channel is configured wrongly.
    Config,
    /// The peer considers the bind invalid: bind again and resend.
    Rebind,
    /// The account is refused: try again after long pauses, since repeated wrong passwords lock
    /// accounts.
    CredentialsRefused,
    /// The bind failed for now, as after a restart of the provider or while it still holds the old
    /// session: try again soon, with growing pauses.
    BindRetry,
}

/// Longest pause that throttling grows to, in milliseconds.
pub const THROTTLE_MS_MAX: u64 = 30_000;
const THROTTLE_MS: u64 = 1_000;
const RETRY_MS: u64 = 30_000;

/// One status of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The numeric code.
    pub code: u32,
    /// The specification's name without `ESME_`.
    pub name: &'static str,
    /// The meaning in words.
    pub words: &'static str,
    /// The default reaction.
    pub class: Class,
}

/// ESME_ROK: success.
pub const OK: u32 = 0x00;
/// ESME_RINVMSGLEN, also used for a body that cannot be read.
pub const INVALID_LENGTH: u32 = 0x01;
/// ESME_RINVCMDLEN, the answer to a truncated body.
pub const INVALID_COMMAND_LENGTH: u32 = 0x02;
/// ESME_RINVCMDID, the answer to an unknown command.
pub const INVALID_COMMAND: u32 = 0x03;
/// ESME_RINVBNDSTS: not allowed on this bind.
pub const INVALID_BIND_STATE: u32 = 0x04;
/// ESME_RALYBND.
pub const ALREADY_BOUND: u32 = 0x05;
/// ESME_RSYSERR.
pub const SYSTEM_ERROR: u32 = 0x08;
/// ESME_RBINDFAIL.
pub const BIND_FAILED: u32 = 0x0D;
/// ESME_RINVPASWD.
pub const INVALID_PASSWORD: u32 = 0x0E;
/// ESME_RINVSYSID.
pub const INVALID_SYSTEM_ID: u32 = 0x0F;
/// ESME_RMSGQFUL.
pub const QUEUE_FULL: u32 = 0x14;
/// ESME_RTHROTTLED.
pub const THROTTLED: u32 = 0x58;
/// ESME_RX_T_APPN: deliver again later.
pub const RETRY_LATER: u32 = 0x64;
/// ESME_RX_P_APPN: never deliver again.
pub const NEVER: u32 = 0x65;
/// ESME_RUNKNOWNERR.
pub const UNKNOWN_ERROR: u32 = 0xFF;

const fn status(code: u32, name: &'static str, words: &'static str, class: Class) -> Status {
    Status { code, name, words, class }
}

use Class::{Config, CredentialsRefused, Permanent, Rebind, RetryOnce};
const RETRY: Class = Class::Retry { after_ms: RETRY_MS };

/// Every status of SMPP 3.4 and 5.0, by rising code.
#[rustfmt::skip]
pub const STATUSES: &[Status] = &[
    status(0x00, "ROK", "no error", Class::Accepted),
    status(0x01, "RINVMSGLEN", "message length is invalid", Permanent),
    status(0x02, "RINVCMDLEN", "command length is invalid", Permanent),
    status(0x03, "RINVCMDID", "command id is invalid", Permanent),
    status(0x04, "RINVBNDSTS", "not allowed on this bind", Rebind),
    status(0x05, "RALYBND", "already bound", Class::BindRetry),
    status(0x06, "RINVPRTFLG", "priority flag is invalid", Permanent),
    status(0x07, "RINVREGDLVFLG", "registered delivery flag is invalid", Permanent),
    status(0x08, "RSYSERR", "system error", RETRY),
    status(0x0A, "RINVSRCADR", "source address is invalid", Permanent),
    status(0x0B, "RINVDSTADR", "destination address is invalid", Permanent),
    status(0x0C, "RINVMSGID", "message id is invalid", Permanent),
    status(0x0D, "RBINDFAIL", "bind failed", Class::BindRetry),
    status(0x0E, "RINVPASWD", "password is invalid", CredentialsRefused),
    status(0x0F, "RINVSYSID", "system id is invalid", CredentialsRefused),
    status(0x11, "RCANCELFAIL", "cancel failed", Permanent),
    status(0x13, "RREPLACEFAIL", "replace failed", Permanent),
    status(0x14, "RMSGQFUL", "message queue is full", Class::QueueFull),
    status(0x15, "RINVSERTYP", "service type is invalid", Config),
    status(0x33, "RINVNUMDESTS", "number of destinations is invalid", Permanent),
    status(0x34, "RINVDLNAME", "distribution list name is invalid", Permanent),
    status(0x40, "RINVDESTFLAG", "destination flag is invalid", Permanent),
    status(0x42, "RINVSUBREP", "submit with replace is invalid", Permanent),
    status(0x43, "RINVESMCLASS", "esm class is invalid", Permanent),
    status(0x44, "RCNTSUBDL", "cannot submit to a distribution list", Permanent),
    status(0x45, "RSUBMITFAIL", "submit failed", RetryOnce),
    status(0x48, "RINVSRCTON", "source type of number is invalid", Permanent),
    status(0x49, "RINVSRCNPI", "source numbering plan is invalid", Permanent),
    status(0x50, "RINVDSTTON", "destination type of number is invalid", Permanent),
    status(0x51, "RINVDSTNPI", "destination numbering plan is invalid", Permanent),
    status(0x53, "RINVSYSTYP", "system type is invalid", Config),
    status(0x54, "RINVREPFLAG", "replace flag is invalid", Permanent),
    status(0x55, "RINVNUMMSGS", "number of messages is invalid", Permanent),
    status(0x58, "RTHROTTLED", "throttled: too many messages", Class::Throttled { after_ms: THROTTLE_MS }),
    status(0x61, "RINVSCHED", "scheduled delivery time is invalid", Permanent),
    status(0x62, "RINVEXPIRY", "validity period is invalid; see the key validity_form", Permanent),
    status(0x63, "RINVDFTMSGID", "predefined message is invalid or missing", Permanent),
    status(0x64, "RX_T_APPN", "receiver: temporary error", RETRY),
    status(0x65, "RX_P_APPN", "receiver: permanent error", Permanent),
    status(0x66, "RX_R_APPN", "receiver: message rejected", Permanent),
    status(0x67, "RQUERYFAIL", "query failed", Permanent),
    status(0xC0, "RINVOPTPARSTREAM", "optional parameters are malformed", Permanent),
    status(0xC1, "ROPTPARNOTALLWD", "optional parameter is not allowed", Permanent),
    status(0xC2, "RINVPARLEN", "parameter length is invalid", Permanent),
    status(0xC3, "RMISSINGOPTPARAM", "optional parameter is missing", Permanent),
    status(0xC4, "RINVOPTPARAMVAL", "optional parameter value is invalid", Permanent),
    status(0xFE, "RDELIVERYFAILURE", "delivery failed", RetryOnce),
    status(0xFF, "RUNKNOWNERR", "unknown error", RetryOnce),
    status(0x100, "RSERTYPUNAUTH", "not authorised for the service type", Config),
    status(0x101, "RPROHIBITED", "operation is prohibited", Config),
    status(0x102, "RSERTYPUNAVAIL", "service type is unavailable", RETRY),
    status(0x103, "RSERTYPDENIED", "service type is denied", Config),
    status(0x104, "RINVDCS", "data coding is invalid", Permanent),
    status(0x105, "RINVSRCADDRSUBUNIT", "source subunit is invalid", Permanent),
    status(0x106, "RINVDSTADDRSUBUNIT", "destination subunit is invalid", Permanent),
    status(0x107, "RINVBCASTFREQINT", "broadcast frequency is invalid", Permanent),
    status(0x108, "RINVBCASTALIAS_NAME", "broadcast alias is invalid", Permanent),
    status(0x109, "RINVBCASTAREAFMT", "broadcast area format is invalid", Permanent),
    status(0x10A, "RINVNUMBCAST_AREAS", "number of broadcast areas is invalid", Permanent),
    status(0x10B, "RINVBCASTCNTTYPE", "broadcast content type is invalid", Permanent),
    status(0x10C, "RINVBCASTMSGCLASS", "broadcast message class is invalid", Permanent),
    status(0x10D, "RBCASTFAIL", "broadcast failed", Permanent),
    status(0x10E, "RBCASTQUERYFAIL", "broadcast query failed", Permanent),
    status(0x10F, "RBCASTCANCELFAIL", "broadcast cancel failed", Permanent),
    status(0x110, "RINVBCAST_REP", "number of repeated broadcasts is invalid", Permanent),
    status(0x111, "RINVBCASTSRVGRP", "broadcast service group is invalid", Permanent),
    status(0x112, "RINVBCASTCHANIND", "broadcast channel indicator is invalid", Permanent),
];

/// Returns the specification's entry for a code; `None` for vendors' and reserved codes.
pub fn of(code: u32) -> Option<&'static Status> {
    let at = STATUSES.binary_search_by_key(&code, |status| status.code).ok()?;
    STATUSES.get(at)
}

/// Returns the reaction to a code: from the channel's table first, then the specification; unknown
/// codes are permanent.
pub fn class(code: u32, overrides: &BTreeMap<u32, Class>) -> Class {
    overrides.get(&code).copied().or_else(|| Some(of(code)?.class)).unwrap_or(Permanent)
}

/// Returns a code for people: `ESME_RTHROTTLED (0x58): throttled: too many messages`.
pub fn describe(code: u32) -> String {
    match of(code) {
        Some(status) => format!("ESME_{} (0x{code:02X}): {}", status.name, status.words),
        None if code >= 0x400 => format!("vendor status 0x{code:X}"),
        None => format!("reserved status 0x{code:X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_look_ups_find_everything() {
        assert!(STATUSES.is_sorted_by(|a, b| a.code < b.code));
        for status in STATUSES {
            assert_eq!(of(status.code), Some(status));
        }
    }

    #[test]
    fn classes_are_those_of_the_providers_notes() {
        let own = BTreeMap::from([(0x45, Permanent), (0x400, RETRY)]);
        let none = BTreeMap::new();
        let temporary: Vec<u32> =
            (0..0x600).filter(|code| matches!(class(*code, &none), Class::Retry { .. })).collect();
        assert_eq!(temporary, [0x08, 0x64, 0x102]);
        let once: Vec<u32> = (0..0x600).filter(|code| class(*code, &none) == RetryOnce).collect();
        assert_eq!(once, [0x45, 0xFE, 0xFF]);
        let config: Vec<u32> = (0..0x600).filter(|code| class(*code, &none) == Config).collect();
        assert_eq!(config, [0x15, 0x53, 0x100, 0x101, 0x103]);
        assert_eq!(class(0x58, &none), Class::Throttled { after_ms: 1_000 });
        assert_eq!(class(0x0E, &none), CredentialsRefused);
        assert_eq!(class(0x400, &none), Permanent);
        assert_eq!(class(0x400, &own), RETRY);
        assert_eq!(class(0x45, &own), Permanent);
    }
}
