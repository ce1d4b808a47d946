//! Webhooks: a provider's call becomes events of its channel and is answered once they are durable.
//! Nothing of a call is read before its signature is verified, and its caller learns nothing but
//! what is wrong with the call.

use std::time::Duration;

use channels::{
    HttpChannel, InEvent, Protection, Received,
    family::meta::batch::{self, AccountPiece},
    http::{Refused, Reply, Webhook},
};
use message::ChannelId;
use tokio::time::timeout;

use crate::{
    config::ChannelIx,
    context::{Context, entries::ChannelEntry},
    error::Refusal,
    protocol::{
        channel::ChannelMessage,
        completion::Completion,
        webhook::{
            BODY_BYTES_MAX, SHARED_BODY_BYTES_MAX, WebhookAnswer, WebhookCall, WebhookCounters, with_unknown,
        },
    },
};

/// How long a call waits for the flush of its events; after that its provider must repeat it.
const DURABLE_WAIT: Duration = Duration::from_secs(20);
/// When a provider should repeat a call that was not stored, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// Returns the maximum size of a webhook's body for this channel, in bytes; `None` if the channel
/// is unknown or takes no webhooks.
pub(crate) fn bytes_max(context: &Context, channel: &ChannelId) -> Option<usize> {
    let (_, entry) = context.directory.configured(channel)?;
    let http = entry.http().filter(|http| http.protection() != Protection::NoWebhooks)?;
    Some(if http.shared_ids().is_empty() { BODY_BYTES_MAX } else { SHARED_BODY_BYTES_MAX })
}

/// Returns whether any channel takes webhooks at the shared address.
pub(crate) fn is_shared(context: &Context) -> bool {
    sharing(context).next().is_some()
}

/// Handles a call to one channel's address.
pub(crate) async fn handle(context: &Context, channel: &ChannelId, call: &WebhookCall) -> WebhookAnswer {
    let Some((_, entry)) = context.directory.configured(channel) else {
        return WebhookAnswer::Unknown;
    };
    let answer = match entry.http() {
        Some(http) if http.protection() != Protection::NoWebhooks => {
            verify_and_store(context, entry, http, call).await
        }
        _ => WebhookAnswer::Unknown,
    };
    entry.webhooks.get_or_init(|| WebhookCounters::of(channel)).count(channel, &answer);
    if let WebhookAnswer::Refused { reason, .. } = &answer {
        entry.note_refused(reason, context.now());
    }
    answer
}

async fn verify_and_store(
    context: &Context,
    entry: &ChannelEntry,
    http: &dyn HttpChannel,
    call: &WebhookCall,
) -> WebhookAnswer {
    let webhook = call.as_webhook(now_ms(context));
    match http.handshake(&webhook) {
        Ok(None) => {}
        Ok(Some(reply)) => return WebhookAnswer::Reply(reply),
        Err(error) => return refused(error),
    }
    if !entry.config.unsigned
        && let Err(error) = http.verify(&webhook)
    {
        return refused(error);
    }
    if let Err(Refusal::Busy { reason, retry_after_s }) = context.accepting() {
        return WebhookAnswer::Busy { reason, retry_after_s };
    }
    let received = match http.receive(&webhook) {
        Ok(received) => with_unknown(entry.config.id.as_str(), received),
        Err(malformed) => return WebhookAnswer::Malformed(malformed.0),
    };
    if received.events.is_empty() || store(context, entry, received.events).await {
        return WebhookAnswer::Reply(received.reply.unwrap_or_else(|| Reply::text("")));
    }
    not_stored()
}

/// Sends events to a channel; returns whether all of them were flushed in time.
async fn store(context: &Context, entry: &ChannelEntry, events: Vec<InEvent>) -> bool {
    let (completion, answer) = Completion::new();
    let mut call = UnansweredCall { context, entry, is_answered: false };
    entry.tell(ChannelMessage::Events(events, completion));
    call.is_answered = matches!(timeout(DURABLE_WAIT, answer).await, Ok(Ok(true)));
    call.is_answered
}

/// A drop guard that notes when a call ends without a good answer, also when the caller went away:
/// the provider repeats it.
struct UnansweredCall<'a> {
    context: &'a Context,
    entry: &'a ChannelEntry,
    is_answered: bool,
}

impl Drop for UnansweredCall<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.entry.note_loss(self.context.now());
        }
    }
}

/// The parts of a call to the shared address.
#[derive(Default)]
struct Shares {
    /// The events of each channel, in order.
    events: Vec<(ChannelIx, Vec<InEvent>)>,
    /// Number of pieces with a valid signature.
    signed: usize,
    /// Number of pieces for accounts that no channel has.
    unknown: usize,
    /// The first refusal.
    refused: Option<Refused>,
    /// Why the first unreadable piece cannot be read.
    malformed: Option<Box<str>>,
}

/// Handles a call to the address that all accounts of a Meta app share. Each piece goes to its own
/// channel if its signature is valid there; a piece that fails, or that no channel knows, loses no
/// other.
pub(crate) async fn handle_shared(context: &Context, call: &WebhookCall) -> WebhookAnswer {
    let answer = split_and_store(context, call).await;
    let shared = ChannelId::from("ccm");
    WebhookCounters::of(&shared).count(&shared, &answer);
    answer
}

async fn split_and_store(context: &Context, call: &WebhookCall) -> WebhookAnswer {
    let webhook = call.as_webhook(now_ms(context));
    let mut wrong = None;
    for (_, http) in sharing(context) {
        match http.handshake(&webhook) {
            Ok(Some(reply)) => return WebhookAnswer::Reply(reply),
            Ok(None) => {}
            Err(error) => wrong = Some(error),
        }
    }
    if let Some(error) = wrong {
        return refused(error);
    }
    if let Err(Refusal::Busy { reason, retry_after_s }) = context.accepting() {
        return WebhookAnswer::Busy { reason, retry_after_s };
    }
    let pieces = match batch::split(&call.body) {
        Ok(pieces) => pieces,
        Err(malformed) => return WebhookAnswer::Malformed(malformed.0),
    };
    let shares = shares(context, &webhook, &pieces);
    if shares.unknown > 0 {
        metrics::counter!("patchbay_webhook_entries_unknown_total").increment(shares.unknown as u64);
        tracing::warn!(pieces = shares.unknown, "shared webhook names accounts that no channel has");
    }
    // Without any valid signature the call may come from anyone.
    if shares.signed == 0 && !sharing(context).any(|(_, http)| http.verify(&webhook).is_ok()) {
        return refused(shares.refused.unwrap_or_else(|| Refused::new("no channel accepts the signature")));
    }
    if let (Some(reason), true) = (shares.malformed, shares.events.is_empty()) {
        return WebhookAnswer::Malformed(reason);
    }
    let (completion, answer) = Completion::new();
    for (ix, events) in shares.events {
        if let Some(entry) = context.directory.channel(ix) {
            entry.tell(ChannelMessage::Events(events, completion.share()));
        }
    }
    completion.complete();
    match timeout(DURABLE_WAIT, answer).await {
        Ok(Ok(true)) => WebhookAnswer::Reply(Reply::text("EVENT_RECEIVED")),
        _ => not_stored(),
    }
}

/// The channels whose accounts share one address.
fn sharing(context: &Context) -> impl Iterator<Item = (ChannelIx, &dyn HttpChannel)> {
    let channels = context.directory.channels();
    channels.filter_map(|(ix, entry)| Some((ix, entry.http()?))).filter(|(_, h)| !h.shared_ids().is_empty())
}

fn shares(context: &Context, webhook: &Webhook<'_>, pieces: &[AccountPiece]) -> Shares {
    let mut shares = Shares::default();
    // A channel's verdict on the signature is the same for each piece.
    let mut verdicts: Vec<(ChannelIx, Result<(), Refused>)> = Vec::new();
    for piece in pieces {
        let of = |id: &str| sharing(context).find(|(_, http)| http.shared_ids().contains(&id));
        let Some((ix, http)) = piece.id.as_deref().and_then(of) else {
            shares.unknown += 1;
            continue;
        };
        let known = verdicts.iter().find(|(of, _)| *of == ix).map(|(_, verdict)| verdict.clone());
        let verdict = known.unwrap_or_else(|| {
            let verdict = http.verify(webhook);
            verdicts.push((ix, verdict.clone()));
            verdict
        });
        if let Err(error) = verdict {
            note_refused(context, ix, &error.reason);
            shares.refused.get_or_insert(error);
            metrics::counter!("patchbay_webhook_entries_refused_total").increment(1);
            continue;
        }
        shares.signed += 1;
        let read = http.receive(&Webhook { body: &piece.body, ..*webhook });
        let channel = context.directory.channel(ix).map(|entry| &entry.config.id);
        match read
            .map(|received| channel.map_or_else(Received::default, |id| with_unknown(id.as_str(), received)))
        {
            Ok(received) if received.events.is_empty() => {}
            Ok(received) => match shares.events.iter_mut().find(|(of, _)| *of == ix) {
                Some((_, events)) => events.extend(received.events),
                None => shares.events.push((ix, received.events)),
            },
            Err(malformed) => {
                metrics::counter!("patchbay_webhook_entries_malformed_total").increment(1);
                tracing::warn!(reason = %malformed.0, "piece of a shared webhook cannot be read");
                shares.malformed.get_or_insert(malformed.0);
            }
        }
    }
    shares
}

fn note_refused(context: &Context, ix: ChannelIx, reason: &str) {
    if let Some(entry) = context.directory.channel(ix) {
        entry.note_refused(reason, context.now());
    }
}

fn now_ms(context: &Context) -> i64 {
    i64::try_from(context.now().0).unwrap_or(i64::MAX)
}

fn refused(refused: Refused) -> WebhookAnswer {
    let status = if refused.status == 403 { 403 } else { 401 };
    WebhookAnswer::Refused { status, reason: refused.reason, challenge: refused.challenge }
}

fn not_stored() -> WebhookAnswer {
    WebhookAnswer::Busy {
        reason: "not all of it could be stored; send it again".into(),
        retry_after_s: RETRY_AFTER_S,
    }
}
