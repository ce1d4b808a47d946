//! Webhooks: a call from a provider becomes events of its channel, and is answered once they are safe. The checks are
//! the provider's own pure functions; nothing of a call is read before its signature holds, and nothing of it is
//! told to the caller but what is wrong with it.

use std::time::Duration;

use channels::{
    HttpChannel, InEvent, LinkKind,
    family::meta::batch::{self, AccountPiece},
    http::{Refused, Reply, Webhook},
};
use message::ChannelId;
use tokio::time::timeout;

use crate::{
    config::ChannelIx,
    context::ChannelEntry,
    entry::router::Router,
    error::Refusal,
    protocol::{
        channel::ChannelMessage,
        completion::Waits,
        webhook::{Answer, BODY_BYTES_MAX, Call, Outcomes, SHARED_BODY_BYTES_MAX},
    },
};

/// How long the flush of what a call brought is waited for; then its provider is asked to repeat it.
const SAFE_WAIT: Duration = Duration::from_secs(20);
/// When a provider whose call could not be taken should come again, in seconds.
const RETRY_AFTER_S: u32 = 5;

impl Router {
    /// The most octets that a webhook of this channel may have; `None` when there is no such webhook.
    pub fn webhook_bytes_max(&self, channel: &ChannelId) -> Option<usize> {
        let (_, entry) = self.shared.channel(channel)?;
        let http = http_of(entry)?;
        Some(if http.shared_ids().is_empty() { BODY_BYTES_MAX } else { SHARED_BODY_BYTES_MAX })
    }

    /// Takes a provider's call. What it brought is durable when it is answered with [`Answer::Reply`]; until then
    /// a repetition is due, and changes nothing if the first was taken after all.
    pub async fn webhook(&self, channel: &ChannelId, call: &Call) -> Answer {
        let Some((_, entry)) = self.shared.channel(channel) else { return Answer::Unknown };
        let answer = match http_of(entry) {
            Some(http) => self.taken(entry, http, call).await,
            None => Answer::Unknown,
        };
        entry.webhooks.get_or_init(|| Outcomes::of(channel)).count(channel, &answer);
        answer
    }

    async fn taken(&self, entry: &ChannelEntry, http: &dyn HttpChannel, call: &Call) -> Answer {
        let now_ms = i64::try_from(self.shared.now().0).unwrap_or(i64::MAX);
        let webhook = call.webhook(now_ms);
        match http.handshake(&webhook) {
            Ok(None) => {}
            Ok(Some(reply)) => return Answer::Reply(reply),
            Err(error) => return refused(error),
        }
        if let Err(error) = http.verify(&webhook) {
            return refused(error);
        }
        if let Err(Refusal::Busy { reason, retry_after_s }) = self.accepting() {
            return Answer::Busy { reason, retry_after_s };
        }
        let received = match http.receive(&webhook) {
            Ok(received) => received,
            Err(malformed) => return Answer::Malformed(malformed.0),
        };
        if received.events.is_empty() || self.safe(entry, received.events).await {
            return Answer::Reply(received.reply.unwrap_or_else(|| Reply::text("")));
        }
        not_safe()
    }

    /// Gives events to a channel; whether all of them are flushed.
    async fn safe(&self, entry: &ChannelEntry, events: Vec<InEvent>) -> bool {
        let (waits, answer) = Waits::new();
        entry.cast(ChannelMessage::Events(events, waits));
        matches!(timeout(SAFE_WAIT, answer).await, Ok(Ok(true)))
    }
}

/// A call to the shared address, taken apart.
#[derive(Default)]
struct Shares {
    /// What each channel was brought, in order.
    events: Vec<(ChannelIx, Vec<InEvent>)>,
    /// Pieces whose signature holds.
    signed: usize,
    /// Pieces that no channel knows.
    unknown: usize,
    /// The first piece that was refused, and the first that could not be read.
    refused: Option<Refused>,
    malformed: Option<Box<str>>,
}

impl Router {
    /// Takes a call to the address that all accounts of a Meta app share: each piece of it goes to its own channel,
    /// if its signature holds there. One that fails, or that no channel knows, loses no other.
    pub async fn shared_webhook(&self, call: &Call) -> Answer {
        let answer = self.shared_taken(call).await;
        let shared = ChannelId::from("ccm");
        Outcomes::of(&shared).count(&shared, &answer);
        answer
    }

    async fn shared_taken(&self, call: &Call) -> Answer {
        let now_ms = i64::try_from(self.shared.now().0).unwrap_or(i64::MAX);
        let webhook = call.webhook(now_ms);
        let mut wrong = None;
        for (_, http) in self.sharing() {
            match http.handshake(&webhook) {
                Ok(Some(reply)) => return Answer::Reply(reply),
                Ok(None) => {}
                Err(error) => wrong = Some(error),
            }
        }
        if let Some(error) = wrong {
            return refused(error);
        }
        if let Err(Refusal::Busy { reason, retry_after_s }) = self.accepting() {
            return Answer::Busy { reason, retry_after_s };
        }
        let pieces = match batch::split(&call.body) {
            Ok(pieces) => pieces,
            Err(malformed) => return Answer::Malformed(malformed.0),
        };
        let shares = self.shares(&webhook, &pieces);
        if shares.unknown > 0 {
            metrics::counter!("patchbay_webhook_entries_unknown_total").increment(shares.unknown as u64);
            tracing::warn!(pieces = shares.unknown, "a shared webhook names accounts that no channel has");
        }
        // Nothing in it is known to be Meta's.
        if shares.signed == 0 && !self.sharing().any(|(_, http)| http.verify(&webhook).is_ok()) {
            return refused(shares.refused.unwrap_or_else(|| Refused::new("no channel knows the signature")));
        }
        if let (Some(reason), true) = (shares.malformed, shares.events.is_empty()) {
            return Answer::Malformed(reason);
        }
        let (waits, answer) = Waits::new();
        for (ix, events) in shares.events {
            if let Some(entry) = self.shared.channels.get(ix) {
                entry.cast(ChannelMessage::Events(events, waits.share()));
            }
        }
        waits.safe();
        match timeout(SAFE_WAIT, answer).await {
            Ok(Ok(true)) => Answer::Reply(Reply::text("EVENT_RECEIVED")),
            _ => not_safe(),
        }
    }

    /// The channels whose accounts share one address.
    fn sharing(&self) -> impl Iterator<Item = (ChannelIx, &dyn HttpChannel)> {
        let channels = self.shared.channels.iter().enumerate();
        channels
            .filter_map(|(ix, entry)| Some((ix, http_of(entry)?)))
            .filter(|(_, h)| !h.shared_ids().is_empty())
    }

    fn shares(&self, webhook: &Webhook<'_>, pieces: &[AccountPiece]) -> Shares {
        let mut shares = Shares::default();
        // A channel's word on the signature is the same for every piece.
        let mut words: Vec<(ChannelIx, Result<(), Refused>)> = Vec::new();
        for piece in pieces {
            let of = |id: &str| self.sharing().find(|(_, http)| http.shared_ids().contains(&id));
            let Some((ix, http)) = piece.id.as_deref().and_then(of) else {
                shares.unknown += 1;
                continue;
            };
            let known = words.iter().find(|(of, _)| *of == ix).map(|(_, word)| word.clone());
            let word = known.unwrap_or_else(|| {
                let word = http.verify(webhook);
                words.push((ix, word.clone()));
                word
            });
            if let Err(error) = word {
                shares.refused.get_or_insert(error);
                metrics::counter!("patchbay_webhook_entries_refused_total").increment(1);
                continue;
            }
            shares.signed += 1;
            match http.receive(&Webhook { body: &piece.body, ..*webhook }) {
                Ok(received) if received.events.is_empty() => {}
                Ok(received) => match shares.events.iter_mut().find(|(of, _)| *of == ix) {
                    Some((_, events)) => events.extend(received.events),
                    None => shares.events.push((ix, received.events)),
                },
                Err(malformed) => {
                    metrics::counter!("patchbay_webhook_entries_malformed_total").increment(1);
                    tracing::warn!(reason = %malformed.0, "a piece of a shared webhook cannot be read");
                    shares.malformed.get_or_insert(malformed.0);
                }
            }
        }
        shares
    }
}

fn refused(refused: Refused) -> Answer {
    let status = if refused.status == 403 { 403 } else { 401 };
    Answer::Refused { status, reason: refused.reason, challenge: refused.challenge }
}

fn not_safe() -> Answer {
    Answer::Busy {
        reason: "not all of it could be stored; send it again".into(),
        retry_after_s: RETRY_AFTER_S,
    }
}

fn http_of(entry: &ChannelEntry) -> Option<&dyn HttpChannel> {
    match entry.channel().link() {
        LinkKind::Http(http) => Some(http),
        LinkKind::Smpp(_) => None,
    }
}
