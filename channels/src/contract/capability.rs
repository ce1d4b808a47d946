//! Capabilities and limits of a channel as numbers: they drive validation, plans, adaptation and
//! documentation.

use message::BodyType;

/// The capabilities and limits of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Body types that are sent unchanged; other sendable types are adapted.
    pub native: &'static [BodyType],
    /// The unit in which every limit here counts characters.
    pub units: Units,
    /// Maximum length of one text message, in characters; `long_text` says what happens beyond.
    pub text_characters_max: usize,
    /// The treatment of longer texts.
    pub long_text: LongText,
    /// The form of formatted text.
    pub format: Format,
    /// Maximum length of a caption, in characters; a longer one is sent as a message of its own. 0:
    /// no captions.
    pub caption_characters_max: usize,
    /// Files that cannot have a caption in any case.
    pub captionless: &'static [BodyType],
    /// Buttons and lists.
    pub buttons: Buttons,
    /// Maximum length of a header or footer around buttons, in characters; a longer one joins the
    /// text above the buttons.
    pub frame_characters_max: usize,
    /// Maximum number of cards in one carousel; 0: no carousels.
    pub cards_max: usize,
    /// Maximum length of a card's title, and of its subtitle, in characters.
    pub card_text_characters_max: usize,
    /// Maximum number of buttons on one card.
    pub card_buttons_max: usize,
    /// Body types that customers send.
    pub inbound_types: &'static [BodyType],
    /// Hours after the customer's last message within which free messages are allowed; templates
    /// always are. `None`: at any time.
    pub window_hours: Option<u16>,
    /// Minimum interval between two messages to one customer, in milliseconds; 0: none.
    pub pair_interval_ms: u32,
    /// The send rate of a channel whose configuration gives none.
    pub send_rate: DefaultRate,
    /// Whether a typing indicator can be shown to the customer.
    pub typing: bool,
    /// Whether the customer's messages can be marked as read.
    pub mark_read: bool,
    /// Whether delivery receipts come back.
    pub receipts: bool,
    /// Whether read receipts come back.
    pub read_receipts: bool,
    /// Whether customers can send messages.
    pub inbound: bool,
}

/// The send rate of a channel whose configuration gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRate {
    /// Parts per second; 0: unlimited.
    pub per_second: u32,
    /// The provider's statement behind the number, for people.
    pub basis: &'static str,
}

/// The treatment of a text that is longer than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongText {
    /// The text is cut into several messages, at the ends of lines or words.
    Cut,
    /// The text is refused.
    Refuse,
}

/// The unit in which a provider counts characters.
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
    /// Returns the number of units of a character.
    pub fn of_char(self, c: char) -> usize {
        match self {
            Self::CodePoints => 1,
            Self::Utf16 => c.len_utf16(),
            Self::Octets => c.len_utf8(),
        }
    }

    /// Returns the number of units of a text.
    pub fn of(self, text: &str) -> usize {
        text.chars().map(|c| self.of_char(c)).sum()
    }
}

/// The form of formatted text on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Without formatting: Markdown is removed before the message is stored.
    Plain,
    /// The provider's own form: it translates Markdown when it sends.
    Own,
}

/// The limits within which a BUTTON body is sent unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buttons {
    /// Maximum number of buttons of one message; 0: none.
    pub max: usize,
    /// Maximum number of rows of a list; 0: no lists.
    pub rows_max: usize,
    /// Maximum length of a button's title, in characters.
    pub title_characters_max: usize,
    /// Maximum length of a row's title, in characters.
    pub row_title_characters_max: usize,
    /// Maximum length of a payload, in octets.
    pub payload_bytes_max: usize,
    /// Maximum length of the text above the buttons, in characters.
    pub text_characters_max: usize,
    /// The buttons that may do more than reply.
    pub opens: Opens,
}

/// Buttons that open a page or call a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// None: such a button turns the message into a numbered list.
    No,
    /// One button alone that opens a page (WhatsApp).
    OnePage,
    /// Pages, mixed with replies.
    Pages,
    /// Pages and calls, mixed with replies.
    PagesAndCalls,
}

impl Buttons {
    /// No capabilities at all.
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
    /// Plain texts in both directions: the base of most descriptions.
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
        send_rate: DefaultRate { per_second: 100, basis: "the provider documents no limit" },
        typing: false,
        mark_read: false,
        receipts: true,
        read_receipts: false,
        inbound: true,
    };

    /// Returns whether a body of this type is sent unchanged.
    pub fn carries(&self, body_type: BodyType) -> bool {
        self.native.contains(&body_type)
    }
}
