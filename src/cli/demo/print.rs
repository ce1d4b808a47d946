//! The demo's output: each line has a channel, a speaker and a text, within 100 columns. Colours
//! are used only on a terminal that supports them.

use std::{env, io::IsTerminal};

use super::channel::Channel;
use crate::console;

/// The column where texts begin.
const WORDS_AT: usize = 24;
/// The largest width of a text, in columns.
const WORDS_WIDTH: usize = 74;

/// A speaker of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The customer: writes or taps.
    Customer,
    /// The bot, as the customer sees it.
    Bot,
    /// The bot, as it receives something.
    BotGets,
    /// Patchbay: what it did.
    Router,
    /// The receipts of a message.
    Receipts,
    /// A forger who claims to be the provider.
    Stranger,
}

impl Who {
    fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Bot => "bot",
            Self::BotGets => "bot gets",
            Self::Router => "router",
            Self::Receipts => "receipts",
            Self::Stranger => "stranger",
        }
    }
}

/// Prints the lines of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    colours: bool,
}

impl Printer {
    pub(super) fn new() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { colours: std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb }
    }

    pub(super) fn line(self, text: &str) {
        console::line(text);
    }

    pub(super) fn title(self, text: &str) {
        console::line(format!("\n{}", self.painted("1", text)));
    }

    /// Prints a line of a speaker on a channel.
    pub(super) fn say(self, channel: Channel, who: Who, text: &str) {
        let colour = match channel {
            Channel::Sms => "33",
            Channel::Whatsapp => "32",
            Channel::Messenger => "35",
            Channel::Telegram => "36",
        };
        let label = self.painted(colour, &format!("{:<10}", channel.label()));
        let is_aside = matches!(who, Who::Router | Who::Receipts);
        let mut lines = wrapped(text, WORDS_WIDTH).into_iter();
        let aside = |text: &str| if is_aside { self.painted("2", text) } else { text.to_owned() };
        let first = lines.next().unwrap_or_default();
        console::line(format!("   {label} {} {}", aside(&format!("{:<9}", who.word())), aside(&first)));
        for line in lines {
            console::line(format!("{:WORDS_AT$}{}", "", aside(&line)));
        }
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Wraps a text. A longer word gets a line of its own; line breaks stay.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && width_of(&line) + 1 + width_of(word) > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Returns the width in terminal columns: characters beyond the alphabets mostly take two.
fn width_of(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        let text = "one two three 🎉🎉🎉 fourteenlettersandmore\n1. a\n2. b";
        let lines = wrapped(text, 12);
        assert_eq!(lines, ["one two", "three 🎉🎉🎉", "fourteenlettersandmore", "1. a", "2. b"]);
        assert_eq!(wrapped("", 10), Vec::<String>::new());
    }
}
