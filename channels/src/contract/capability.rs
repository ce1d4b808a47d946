//! What a channel can carry and its limits, as numbers: drives validation, plans, adaptation and the docs.

use message::BodyType;

/// The capabilities of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Body types that go out as they are; every other sendable one is adapted.
    pub native: &'static [BodyType],
    /// How the provider counts the characters of every limit here.
    pub units: Units,
    /// The longest text of one message, in characters.
    pub text_characters_max: usize,
    /// What becomes of a longer text.
    pub long_text: LongText,
    /// How formatting is written.
    pub format: Format,
    /// The longest words beside a file, in characters; 0: a caption goes as a message of its own.
    pub caption_characters_max: usize,
    /// Files that cannot have a caption even so.
    pub captionless: &'static [BodyType],
    /// Buttons and lists.
    pub buttons: Buttons,
    /// The longest header or footer around buttons; 0: they join the words above the buttons.
    pub frame_characters_max: usize,
    /// Cards of one carousel; 0: none.
    pub cards_max: usize,
    /// The longest words of a card, and as much again below them.
    pub card_text_characters_max: usize,
    /// Buttons on one card.
    pub card_buttons_max: usize,
    /// Body types that customers send.
    pub inbound_types: &'static [BodyType],
    /// Free messages only so long after the customer's last one, in hours; templates always. `None`: always.
    pub window_hours: Option<u16>,
    /// The shortest time between two messages to one customer, in milliseconds; 0: none.
    pub pair_interval_ms: u32,
    /// Whether typing can be shown to the customer.
    pub typing: bool,
    /// Whether the customer's messages can be marked as read.
    pub mark_read: bool,
    /// Whether delivery receipts come back.
    pub receipts: bool,
    /// Whether read receipts come back.
    pub read_receipts: bool,
    /// Whether customers can write in.
    pub inbound: bool,
}

/// What becomes of a text that is longer than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongText {
    /// It is cut into several messages, at the ends of lines or words.
    Cut,
    /// It is refused.
    Refuse,
}

/// How a provider counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Unicode code points.
    CodePoints,
    /// UTF-16 units: most emoji are two (Telegram).
    Utf16,
    /// Octets of UTF-8 (Instagram).
    Octets,
}

impl Units {
    /// How many a character is.
    pub fn of_char(self, c: char) -> usize {
        match self {
            Self::CodePoints => 1,
            Self::Utf16 => c.len_utf16(),
            Self::Octets => c.len_utf8(),
        }
    }

    /// How many a text has.
    pub fn of(self, text: &str) -> usize {
        text.chars().map(|c| self.of_char(c)).sum()
    }
}

/// How a channel writes formatted words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Not at all: marks are taken away before the message is stored.
    Plain,
    /// In its own way: the provider translates the marks when it sends.
    Own,
}

/// What a BUTTON body may be, to go out as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buttons {
    /// Buttons of one message; 0: none.
    pub max: usize,
    /// Rows of a list, where there are lists; 0: none.
    pub rows_max: usize,
    /// The longest title of a button, in characters.
    pub title_characters_max: usize,
    /// The longest title of a row.
    pub row_title_characters_max: usize,
    /// The longest payload, in octets.
    pub payload_bytes_max: usize,
    /// The longest words above them, in characters.
    pub text_characters_max: usize,
    /// Which buttons may open a page; beside replies.
    pub opens: Opens,
}

/// Buttons that open a page or call a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// None: such a button makes the message a list of words.
    No,
    /// One button alone that opens a page (WhatsApp).
    OnePage,
    /// Pages, mixed with replies.
    Pages,
    /// Pages and calls, mixed with replies.
    PagesAndCalls,
}

impl Buttons {
    /// None at all.
    pub const NONE: Self = Self {
        max: 0,
        rows_max: 0,
        title_characters_max: 0,
        row_title_characters_max: 0,
        payload_bytes_max: 0,
        text_characters_max: 0,
        opens: Opens::No,
    };
}

impl Capabilities {
    /// Plain texts both ways, nothing else: what a description begins with.
    pub const TEXT: Self = Self {
        native: &[BodyType::Plain],
        units: Units::CodePoints,
        text_characters_max: 1_600,
        long_text: LongText::Refuse,
        format: Format::Plain,
        caption_characters_max: 0,
        captionless: &[],
        buttons: Buttons::NONE,
        frame_characters_max: 0,
        cards_max: 0,
        card_text_characters_max: 80,
        card_buttons_max: 0,
        inbound_types: &[BodyType::Plain],
        window_hours: None,
        pair_interval_ms: 0,
        typing: false,
        mark_read: false,
        receipts: true,
        read_receipts: false,
        inbound: true,
    };

    /// Whether a body of this type goes out as it is.
    pub fn carries(&self, body_type: BodyType) -> bool {
        self.native.contains(&body_type)
    }
}
