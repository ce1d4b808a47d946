//! The rules by which a content is fitted to a channel, in one list: the names are a promise to the business, which
//! finds them at the beginning of every note.

use std::fmt;

/// A rule of adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Formatting is taken away.
    PlainText,
    /// A long text is cut at the ends of lines, words or characters.
    LongText,
    /// The words of a file that cannot stand beside it follow it.
    CaptionApart,
    /// The words of what carries none stand in a message of their own.
    WordsApart,
    /// A file goes as its address, with its label.
    FileLink,
    /// A MULTIMEDIA body goes as the type that its media type names.
    FileType,
    /// A place, a person, an order, an e-mail or a comment is said in words.
    AsWords,
    /// Buttons or cards become lines with numbers, which the customer can answer.
    NumberedList,
    /// The words above buttons that are too long for that go before them.
    ButtonWords,
    /// Details of buttons that a channel does not show on them are said above them.
    ButtonDetails,
    /// Each card is a message.
    CardMessages,
    /// Cards that are too many for one carousel go as several.
    SeveralCarousels,
    /// A template goes as its markdownText.
    TemplateWords,
}

impl Rule {
    /// All of them, in the order of the documentation.
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

    /// Its name.
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

    /// What the business is told when it was applied.
    pub fn note(self, words: impl fmt::Display) -> Box<str> {
        format!("{}: {words}", self.name()).into()
    }
}
