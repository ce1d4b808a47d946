//! Waits for the facts of the demo and prints them. Facts arrive in any order; each is printed at
//! its turn, so that the output is always the same. Every wait is limited in time and says what it
//! waited for.

use std::{collections::VecDeque, time::Duration};

use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    bot::{Bot, answer_to},
    channel::Channel,
    fact::{FACTS_MAX, Fact, Heard, Shown},
    print::{Printer, Who},
};
use crate::{console, run::Failure, seams::Stopwatch};

/// Waits for facts, prints, and counts chapters.
pub(super) struct Story {
    facts: mpsc::Receiver<Fact>,
    /// Facts that arrived before their turn.
    early: VecDeque<Fact>,
    patience: Duration,
    chapters: u32,
    /// The time from the start of the demo until a customer first saw an answer.
    pub(super) first_answer: Option<Duration>,
    watch: Stopwatch,
    pub(super) printer: Printer,
    pub(super) bot: Bot,
}

impl Story {
    pub(super) fn new(
        facts: mpsc::Receiver<Fact>,
        patience: Duration,
        bot: Bot,
        printer: Printer,
        watch: Stopwatch,
    ) -> Self {
        Self { facts, early: VecDeque::new(), patience, chapters: 0, first_answer: None, watch, printer, bot }
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        self.printer.title(&format!("{}. {title}", self.chapters));
    }

    pub(super) fn say(&self, channel: Channel, who: Who, text: &str) {
        self.printer.say(channel, who, text);
    }

    /// Returns the first fact, early or new, that `pick` accepts.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&Fact) -> Option<T>,
    ) -> Result<T, Failure> {
        let found = self.early.iter().enumerate().find_map(|(at, fact)| Some((at, pick(fact)?)));
        if let Some((at, picked)) = found {
            self.early.remove(at);
            return Ok(picked);
        }
        let deadline = Instant::now() + self.patience;
        loop {
            let fact = match timeout_at(deadline, self.facts.recv()).await {
                Ok(Some(fact)) => fact,
                Ok(None) => return Err(Failure::Running(format!("the demo ended before {what}"))),
                Err(_) => {
                    let seconds = self.patience.as_secs();
                    return Err(Failure::Running(format!(
                        "no {what} after {seconds} s; on a slow machine try --patience 2m"
                    )));
                }
            };
            if let Some(picked) = pick(&fact) {
                return Ok(picked);
            }
            if let Fact::BotFailed { why } = &fact {
                console::error(format!("the bot could not answer; the router will deliver again: {why}"));
            } else if self.early.len() < FACTS_MAX {
                self.early.push_back(fact);
            }
        }
    }

    /// Waits until the bot receives a customer's text.
    pub(super) async fn heard(&mut self, on: Channel, text: &str) -> Result<Heard, Failure> {
        let what = format!("message {text:?} at the bot ({})", on.label());
        self.until(&what, |fact| match fact {
            Fact::BotHeard { channel, heard } if *channel == on && heard.text == text => Some(heard.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until the customer sees a message that starts with these words.
    pub(super) async fn shown(&mut self, on: Channel, words: &str) -> Result<Shown, Failure> {
        let what = format!("message {words:?} at the customer ({})", on.label());
        self.until(&what, |fact| match fact {
            Fact::Shown { channel, shown } if *channel == on && shown.text.starts_with(words) => {
                Some(shown.clone())
            }
            _ => None,
        })
        .await
    }

    /// Waits until the bot's reply reaches the customer, and for its receipts.
    pub(super) async fn answered(&mut self, on: Channel, heard: &Heard, words: &str) -> Result<(), Failure> {
        let shown = self.shown(on, words).await?;
        self.first_answer.get_or_insert(self.watch.elapsed());
        self.say(on, Who::Bot, &shown.text);
        if shown.parts > 1 {
            self.say(
                on,
                Who::Router,
                &format!("split into {} SMS segments, no emoji cut in two", shown.parts),
            );
        }
        self.receipts(on, &answer_to(&heard.id)).await
    }

    /// Waits for every status that the provider reports for a message.
    pub(super) async fn receipts(&mut self, on: Channel, message: &str) -> Result<(), Failure> {
        let mut told = vec!["sent".to_owned()];
        for expected in on.reports() {
            let what = format!("receipt {expected} for {message} ({})", on.label());
            let outcome = self.until(&what, |fact| match fact {
                Fact::BotTold { id, status, reason, .. } if id == message => match status.as_str() {
                    word if word == *expected => Some(Ok(())),
                    "FAILED" => Some(Err(reason.clone())),
                    _ => None,
                },
                _ => None,
            });
            outcome.await?.map_err(|why| Failure::Running(format!("{}: it failed: {why}", on.label())))?;
            told.push(expected.to_lowercase());
        }
        self.settled(on, message).await?;
        let end = if told.len() == 1 { " (this provider reports nothing more)" } else { "" };
        self.say(on, Who::Receipts, &format!("{}{end}", told.join(", ")));
        Ok(())
    }

    /// Waits until the router shows the last status of a message.
    async fn settled(&self, on: Channel, message: &str) -> Result<(), Failure> {
        let best = on.reports().last().copied().unwrap_or("SENT");
        let deadline = Instant::now() + self.patience;
        loop {
            let view = self.bot.message(message).await?;
            let status = view.get("status").and_then(Value::as_str).unwrap_or_default();
            if status == best {
                return Ok(());
            }
            if status == "FAILED" || Instant::now() > deadline {
                return Err(Failure::Running(format!(
                    "{}: the message {message} is {status} and not {best}",
                    on.label()
                )));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Prints every fact as it arrives, until standard output is closed.
    pub(super) async fn tell_all(&mut self) {
        self.early.clear();
        while let Some(fact) = self.facts.recv().await {
            match fact {
                Fact::Bound => {}
                Fact::BotHeard { channel, heard } => {
                    let picture =
                        heard.picture.map(|picture| format!(" {}", picture.url)).unwrap_or_default();
                    self.say(channel, Who::Customer, &format!("{}{picture}", heard.text));
                }
                Fact::BotFailed { why } => console::error(format!("the bot could not answer: {why}")),
                Fact::Shown { channel, shown } => {
                    let buttons: String = shown.buttons.iter().map(|title| format!(" [{title}]")).collect();
                    self.say(channel, Who::Bot, &format!("{}{buttons}", shown.text));
                }
                Fact::BotTold { channel, id, status, reason } => {
                    let about =
                        if id.starts_with(&answer_to("")) { String::new() } else { format!("{id}: ") };
                    let why = if reason.is_empty() { reason } else { format!(" ({reason})") };
                    self.say(channel, Who::Receipts, &format!("{about}{}{why}", status.to_lowercase()));
                }
            }
            if console::is_closed() {
                return;
            }
        }
    }
}
