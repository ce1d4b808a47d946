//! Polls a provider that does not call webhooks. The cursor moves only once everything before it is
//! durable, so that lost events are fetched again.

use std::{sync::Arc, time::Duration};

use channels::{InEvent, Polled, SendError};
use ractor::ActorRef;
use tokio::time::{sleep, timeout};

use crate::{
    actor::link::{
        caller::{Called, Caller, hidden},
        note::{HttpLinkInput, LinkNote},
    },
    domain::{backoff::Backoff, circuit::Verdict},
    protocol::{
        channel::ChannelMessage, completion::Completion, recipient::Recipient, webhook::with_unknown,
    },
};

/// Minimum time for which a provider may hold a long poll open.
const ANSWER_WAIT_MIN: Duration = Duration::from_secs(90);
/// How long to wait for the flush of events; after that they are fetched again.
const DURABLE_WAIT: Duration = Duration::from_secs(20);
/// Pause after an empty answer that came at once, in milliseconds: the provider does not hold polls
/// open.
const IDLE_MS: u64 = 1_000;
/// First pause after a failure, in milliseconds.
const BACKOFF_FIRST_MS: u64 = 1_000;
/// Longest pause after failures, in milliseconds.
const BACKOFF_MAX_MS: u64 = 60_000;

/// The poller of one channel.
pub(crate) struct Poll {
    pub(crate) caller: Arc<Caller>,
    pub(crate) owner: Recipient<ChannelMessage>,
    pub(crate) link: ActorRef<HttpLinkInput>,
    /// The link's era in which it began.
    pub(crate) era: u32,
}

/// When to poll next.
enum Next {
    AtOnce,
    After(u64),
    /// After a pause that grows with each failure.
    Later,
    Never,
}

impl Poll {
    /// Polls until the link ends it or has ended.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        let mut cursor: Option<Box<str>> = None;
        loop {
            let pause = match self.once(&mut cursor).await {
                Next::AtOnce => {
                    backoff.reset();
                    continue;
                }
                Next::After(pause) => {
                    backoff.reset();
                    pause
                }
                Next::Later => self.caller.context.with_jitter(backoff.next_ms()),
                Next::Never => return,
            };
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn once(&self, cursor: &mut Option<Box<str>>) -> Next {
        let Some((http, config)) = self.caller.provider() else { return Next::Never };
        let Some(request) = http.poll(cursor.as_deref()) else { return Next::Never };
        let request = Arc::new(request);
        let began_ms = self.caller.context.monotonic_ms();
        let limit = config.timeout.max(ANSWER_WAIT_MIN);
        let (called, exchange) = self.caller.ask(request.clone(), limit).await;
        let response = match called {
            Called::Answered(response) => response,
            Called::Failed(error) => {
                self.caller.keep(exchange);
                return self.report(Verdict::Silent(error.reason), Next::Later);
            }
            Called::Waiting(_) => return Next::Later,
        };
        match http.parse_poll(cursor.as_deref(), &response) {
            Ok(Polled { received, cursor: next }) => {
                let received = with_unknown(self.caller.channel_id(), received);
                let is_empty = received.events.is_empty();
                // Empty answers would soon fill the trace.
                if !is_empty {
                    self.caller.keep(exchange);
                    if !self.is_durable(received.events).await {
                        return Next::Later;
                    }
                }
                if next.is_some() {
                    *cursor = next;
                }
                let was_quick = self.caller.context.monotonic_ms().saturating_sub(began_ms) < IDLE_MS;
                let next = if is_empty && was_quick { Next::After(IDLE_MS) } else { Next::AtOnce };
                self.report(Verdict::There, next)
            }
            Err(error) => {
                self.caller.keep(exchange);
                self.on_refusal(hidden(error, &request))
            }
        }
    }

    /// Sends events to the channel; returns whether all of them were flushed in time.
    async fn is_durable(&self, events: Vec<InEvent>) -> bool {
        let (completion, durable) = Completion::new();
        if !self.owner.tell(ChannelMessage::Events(events, completion)) {
            return false;
        }
        matches!(timeout(DURABLE_WAIT, durable).await, Ok(Ok(true)))
    }

    fn on_refusal(&self, error: SendError) -> Next {
        match error {
            // The link asks the provider's probe, and ends this poller if it is refused as well.
            SendError::CredentialsRefused(cause) | SendError::Forbidden(cause) => {
                self.note(LinkNote::PollDenied(cause, self.era), Next::Later)
            }
            SendError::Throttled { after_ms, .. } if after_ms > 0 => {
                self.report(Verdict::There, Next::After(after_ms))
            }
            SendError::Unavailable(cause) => {
                let reason = format!("{} ({})", cause.reason, cause.code);
                self.report(Verdict::Unavailable(reason), Next::Later)
            }
            _ => self.report(Verdict::There, Next::Later),
        }
    }

    fn report(&self, verdict: Verdict, next: Next) -> Next {
        self.note(LinkNote::Poll(verdict, self.era), next)
    }

    fn note(&self, note: LinkNote, next: Next) -> Next {
        match self.link.cast(HttpLinkInput::Note(note)) {
            Ok(()) => next,
            Err(_) => Next::Never,
        }
    }
}
