//! Asks a provider for what it does not bring by itself. The next place to ask from counts only once everything that
//! came before it is safe: what is lost on the way is simply brought again.

use std::{sync::Arc, time::Duration};

use channels::{InEvent, Polled, SendError};
use ractor::ActorRef;
use tokio::time::{sleep, timeout};

use crate::{
    actor::link::{
        caller::{Called, Caller, hidden},
        told::Told,
    },
    domain::{
        backoff::{Backoff, jitter_of},
        circuit::Verdict,
    },
    protocol::{channel::ChannelMessage, completion::Waits, link::LinkMessage},
};

/// How long a provider may hold a call open until something comes, at least.
const ANSWER_WAIT_MIN: Duration = Duration::from_secs(90);
/// How long the flush of what came is waited for; then it is asked for again.
const SAFE_WAIT: Duration = Duration::from_secs(20);
/// Between two calls that brought nothing at once: the provider does not hold them open.
const IDLE_MS: u64 = 1_000;
const BACKOFF_FIRST_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

/// Who asks, and who is told.
pub(crate) struct Poll {
    pub(crate) caller: Arc<Caller>,
    pub(crate) owner: ActorRef<ChannelMessage>,
    pub(crate) link: ActorRef<LinkMessage>,
}

/// What to do before the next call.
enum Next {
    AtOnce,
    After(u64),
    /// After a pause that grows.
    Later,
    Never,
}

impl Poll {
    /// Asks until the credentials are refused, or nobody is there to be told.
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
                Next::Later => {
                    let pause = backoff.next_ms();
                    pause + self.caller.shared.seams.ids.jitter(jitter_of(pause))
                }
                Next::Never => return,
            };
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn once(&self, cursor: &mut Option<Box<str>>) -> Next {
        let Some((http, config)) = self.caller.provider() else { return Next::Never };
        let Some(request) = http.poll(cursor.as_deref()) else { return Next::Never };
        let request = Arc::new(request);
        let began_ms = self.caller.shared.monotonic_ms();
        let limit = config.timeout.max(ANSWER_WAIT_MIN);
        let (called, exchange) = self.caller.ask(request.clone(), limit).await;
        let response = match called {
            Called::Answered(response) => response,
            Called::Failed(error) => {
                self.caller.keep(exchange);
                return self.told(Verdict::Silent(error.reason), Next::Later);
            }
            Called::Waiting(_) => return Next::Later,
        };
        match http.parse_poll(cursor.as_deref(), &response) {
            Ok(Polled { received, cursor: next }) => {
                let is_empty = received.events.is_empty();
                // Calls that brought nothing would soon be all that is kept.
                if !is_empty {
                    self.caller.keep(exchange);
                    if !self.is_safe(received.events).await {
                        return Next::Later;
                    }
                }
                if next.is_some() {
                    *cursor = next;
                }
                let was_quick = self.caller.shared.monotonic_ms().saturating_sub(began_ms) < IDLE_MS;
                let next = if is_empty && was_quick { Next::After(IDLE_MS) } else { Next::AtOnce };
                self.told(Verdict::There, next)
            }
            Err(error) => {
                self.caller.keep(exchange);
                self.refused(hidden(error, &request))
            }
        }
    }

    /// Hands events to the channel; whether all of them are flushed.
    async fn is_safe(&self, events: Vec<InEvent>) -> bool {
        let (waits, safe) = Waits::new();
        if self.owner.cast(ChannelMessage::Events(events, waits)).is_err() {
            return false;
        }
        matches!(timeout(SAFE_WAIT, safe).await, Ok(Ok(true)))
    }

    fn refused(&self, error: SendError) -> Next {
        match error {
            SendError::CredentialsRefused(cause) => {
                let _link_gone = self.link.cast(LinkMessage::Told(Told::CredentialsRefused(cause)));
                Next::Never
            }
            SendError::Throttled { after_ms, .. } if after_ms > 0 => {
                self.told(Verdict::There, Next::After(after_ms))
            }
            SendError::Unavailable(cause) => {
                let reason = format!("{} ({})", cause.reason, cause.code);
                self.told(Verdict::Unavailable(reason), Next::Later)
            }
            _ => self.told(Verdict::There, Next::Later),
        }
    }

    fn told(&self, verdict: Verdict, next: Next) -> Next {
        match self.link.cast(LinkMessage::Told(Told::Polled(verdict))) {
            Ok(()) => next,
            Err(_) => Next::Never,
        }
    }
}
