//! The rules that fit a content to a channel. Their names are part of the outer contract: every
//! note to the business begins with one.

use std::fmt;

/// A rule of adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Formatting is removed.
    PlainText,
    /// A long text is cut at the ends of lines, words or characters.
    LongText,
    /// A caption that cannot stand beside its file follows it.
    CaptionApart,
    /// The words of a body that cannot carry them are sent as a message of their own.
    WordsApart,
    /// A file is sent as its address, with its label.
    FileLink,
    /// A MULTIMEDIA body is sent as the type that its media type names.
    FileType,
    /// A place, a person, an order, an e-mail or a comment is sent as text.
    AsWords,
    /// Buttons or cards become numbered lines that the customer can answer.
    NumberedList,
    /// Words too long to stand above buttons are sent before them.
    ButtonWords,
    /// Details that a channel does not show on buttons are written above them.
    ButtonDetails,
    /// Each card is sent as a message.
    CardMessages,
    /// Cards beyond the limit of one carousel are sent as further carousels.
    SeveralCarousels,
    /// A template is sent as its markdownText.
    TemplateWords,
}

impl Rule {
    /// All rules, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::PlainText,
        Self::LongText,
        Self::CaptionApart,
        Self::WordsApart,
        Self::FileLink,
        Self::FileType,
        Self::AsWords,
        Self::NumberedList,
        Self::ButtonWords,
        Self::ButtonDetails,
        Self::CardMessages,
        Self::SeveralCarousels,
        Self::TemplateWords,
    ];

    /// Returns the name that notes begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlainText => "plain-text",
            Self::LongText => "long-text",
            Self::CaptionApart => "caption-apart",
            Self::WordsApart => "words-apart",
            Self::FileLink => "file-link",
            Self::FileType => "file-type",
            Self::AsWords => "as-words",
            Self::NumberedList => "numbered-list",
            Self::ButtonWords => "button-words",
            Self::ButtonDetails => "button-details",
            Self::CardMessages => "card-messages",
            Self::SeveralCarousels => "several-carousels",
            Self::TemplateWords => "template-words",
        }
    }

    /// Returns the note for the business when the rule was applied.
    pub fn note(self, words: impl fmt::Display) -> Box<str> {
        format!("{}: {words}", self.name()).into()
    }
}
