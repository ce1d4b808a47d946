//! Tells what happens, in words a newcomer understands, and waits for what should happen, for a bounded time.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::{out, run::Failure};

/// Something that happened on the demo's stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The router logged in at the provider.
    Bound,
    /// The bot got a customer's message.
    BotHeard { from: String, text: String },
    /// The bot's answer was accepted by the router, under this id.
    BotAnswered { to: String, id: String },
    /// The bot's answer was not accepted.
    BotFailed { why: String },
    /// All parts of a message reached the provider.
    ProviderGot { to: String, text: String, parts: u8 },
    /// The bot was told what became of its message.
    BotTold { id: String, status: String, reason: String },
}

/// The teller.
pub(super) struct Story {
    happenings: mpsc::Receiver<Happening>,
    patience: Duration,
    chapters: u32,
    /// Answers whose outcome is not known yet: id to customer.
    open: BTreeMap<String, String>,
    /// Outcomes, by customer.
    outcomes: BTreeMap<String, String>,
    bound: bool,
}

/// Answers remembered at most.
const OPEN_MAX: usize = 10_000;

impl Story {
    pub(super) fn new(happenings: mpsc::Receiver<Happening>, patience: Duration) -> Self {
        let (open, outcomes) = (BTreeMap::new(), BTreeMap::new());
        Self { happenings, patience, chapters: 0, open, outcomes, bound: false }
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        out::line("");
        out::line(format!("{}. {title}", self.chapters));
    }

    /// Tells on until the router is logged in.
    pub(super) async fn until_bound(&mut self) -> Result<(), Failure> {
        self.until("the router's login at the provider (bind)", |story| story.bound).await
    }

    /// Tells on until the answer to a customer was delivered.
    pub(super) async fn until_answered(&mut self, customer: &str) -> Result<(), Failure> {
        let what = format!("the delivery receipt for the bot's answer to +{customer}");
        self.until(&what, |story| story.outcomes.contains_key(customer)).await?;
        match self.outcomes.get(customer).map(String::as_str) {
            Some("DELIVERED" | "READ") => Ok(()),
            other => {
                Err(Failure::Running(format!("the answer to +{customer} ended {}", other.unwrap_or("?"))))
            }
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        while !done(self) {
            match timeout_at(deadline, self.happenings.recv()).await {
                Ok(Some(happening)) => self.tell(happening),
                Ok(None) => return Err(Failure::Running(format!("the demo's players ended before {what}"))),
                Err(_) => {
                    let seconds = self.patience.as_secs();
                    return Err(Failure::Running(format!(
                        "after {seconds} s there is still no sign of {what}; on a very slow machine try --patience 2m"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Tells everything, for ever.
    pub(super) async fn tell_all(&mut self) {
        while let Some(happening) = self.happenings.recv().await {
            self.tell(happening);
        }
    }

    fn tell(&mut self, happening: Happening) {
        match happening {
            Happening::Bound => {
                self.bound = true;
                line("router", "provider", "logged in (SMPP bind), ready to send and receive");
            }
            Happening::BotHeard { from, text } => {
                line("router", "bot", &format!("+{from} wrote: {}", quoted(&text)))
            }
            Happening::BotAnswered { to, id } => {
                line(
                    "bot",
                    "router",
                    &format!("answer for +{to}: accepted, and safe in the log from now on"),
                );
                if self.open.len() < OPEN_MAX {
                    self.open.insert(id, to);
                }
            }
            Happening::BotFailed { why } => {
                line("bot", "router", &format!("the answer was not accepted: {why}"))
            }
            Happening::ProviderGot { to, text, parts } => {
                let parts =
                    if parts > 1 { format!(" in {parts} parts (SMS segments)") } else { String::new() };
                line("router", "provider", &format!("SMS to +{}{parts}: {}", digits(&to), quoted(&text)));
            }
            Happening::BotTold { id, status, reason } => {
                let to = self.open.remove(&id);
                let whom = to.as_deref().map(|to| format!(" to +{to}")).unwrap_or_default();
                let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                line("router", "bot", &format!("receipt: the answer{whom} is {status}{why}"));
                if let Some(to) = to {
                    self.outcomes.insert(to, status);
                }
            }
        }
    }
}

/// A customer sends an SMS.
pub(super) fn customer_wrote(from: &str, text: &str) {
    line("customer", "provider", &format!("+{from}: {}", quoted(text)));
}

fn line(from: &str, to: &str, text: &str) {
    out::line(format!("   {from:>8} -> {to:<8}  {text}"));
}

/// The longest text that is shown whole, in characters.
const TEXT_CHARS_MAX: usize = 72;

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("\"{}\"", shown.replace('\n', " "))
}

/// Addresses are compared and shown without a plus.
pub(super) fn digits(address: &str) -> &str {
    address.trim_start_matches('+')
}
