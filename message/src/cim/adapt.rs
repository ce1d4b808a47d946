//! Turns a body into plain text for channels that carry nothing else, with the choices of a
//! numbered list. Changes are listed in notes for the business. A body that must not go to a
//! customer, or has no text, is refused with the reason.

use std::{borrow::Cow, fmt::Write as _};

use serde::Deserialize;

use super::{
    body::{
        Button, Buttons, Card, Carousel, Comment, Contact, Contacts, Email, Link, Location, Media, Order,
        Press, Template, read,
    },
    lenient::{List, Object, Text},
    markdown,
    rule::Rule,
};
use crate::content::{BodyType, Choice, Content};

/// A content that was turned into text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapted<'a> {
    /// The text to send.
    pub text: Cow<'a, str>,
    /// The changes, one sentence each; empty when the content was sent unchanged.
    pub notes: Vec<Box<str>>,
    /// The answers that the customer can give.
    pub choices: Vec<Choice>,
}

/// The treatment of Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marks {
    /// Kept, for channels that render it.
    Kept,
    /// Replaced by plain text.
    #[default]
    Removed,
}

/// A content that cannot be sent as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {body_type} body is not sent as text: {reason}")]
pub struct NotSendable {
    /// CIM's word for the kind of body.
    pub body_type: Cow<'static, str>,
    /// Why a customer cannot get it as text.
    pub reason: Cow<'static, str>,
}

/// Returns the content as plain text.
///
/// # Errors
/// When it must not go to a customer, or has no content that can be sent as text.
pub fn plain_text_of(content: &Content) -> Result<Adapted<'_>, NotSendable> {
    words_of(content, Marks::Removed)
}

/// Returns the content as text, with or without Markdown.
///
/// # Errors
/// When it must not go to a customer, or has no content that can be sent as text.
pub fn words_of(content: &Content, marks: Marks) -> Result<Adapted<'_>, NotSendable> {
    let (body_type, json) = match content {
        Content::Text(text) => return Ok(text_of(text, marks)),
        Content::Binary(_) => return Err(not_sendable("binary", "octets are not text")),
        Content::Parts(_) => return Err(not_sendable("PARTS", "it was already adapted")),
        Content::Rich { body_type, json } => (*body_type, &**json),
    };
    let mut draft = Draft { marks, ..Draft::default() };
    let refused = |reason| Err(not_sendable(body_type.as_wire(), reason));
    let known = match body_type {
        BodyType::Plain => read(json).map(|body: Link<'_>| draft.words(&body.markdown_text)),
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File | BodyType::Multimedia => {
            read(json).map(|body: Media<'_>| draft.media(body_type, &body))
        }
        BodyType::Sticker => read(json).map(|body: Link<'_>| draft.link("the sticker", &body)),
        BodyType::Url => read(json).map(|body: Link<'_>| draft.link("", &body)),
        BodyType::Location => read(json).map(|body: Location<'_>| draft.location(&body)),
        BodyType::Contact => read(json).map(|body: Contacts<'_>| draft.contacts(&body)),
        BodyType::Button => read(json).map(|body: Buttons<'_>| draft.buttons(&body)),
        BodyType::Carousel => read(json).map(|body: Carousel<'_>| draft.carousel(&body)),
        BodyType::Receipt => read(json).map(|body: Order<'_>| draft.order(&body)),
        BodyType::Email => read(json).map(|body: Email<'_>| draft.email(&body)),
        BodyType::Template | BodyType::Custom => {
            read(json).map(|body: Template<'_>| draft.words(&body.markdown_text))
        }
        BodyType::Comment => read(json).map(|body: Comment<'_>| draft.comment(&body)),
        BodyType::WrapUp => return refused("it is internal"),
        BodyType::DeliveryNotification | BodyType::DeletedNotification => {
            return refused("it is a report, not a message");
        }
        BodyType::Notification => return refused("it is an event, not a message"),
        BodyType::Action | BodyType::Activity => return refused("it is an instruction, not a message"),
        BodyType::Voice => return refused("it is about a call, not a message"),
        BodyType::Unknown => return Err(unknown_type(json)),
    };
    match (known, body_type) {
        (Err(_), _) => refused("its JSON cannot be read"),
        (Ok(()), BodyType::Template | BodyType::Custom) if draft.text.is_empty() => {
            refused("it has no markdownText to send in its place")
        }
        (Ok(()), _) if draft.text.is_empty() => refused("it has no content that can be sent as text"),
        (Ok(()), _) => Ok(draft.finish(body_type)),
    }
}

fn not_sendable(body_type: &'static str, reason: &'static str) -> NotSendable {
    NotSendable { body_type: body_type.into(), reason: reason.into() }
}

/// Maximum number of characters of an unknown type that are quoted.
const TYPE_CHARACTERS_MAX: usize = 40;

/// Names a type that does not exist, and those that do.
fn unknown_type(json: &str) -> NotSendable {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        word: Text<'a>,
    }
    let typed: Typed<'_> = read(json).unwrap_or_default();
    let word: String = typed.word.chars().take(TYPE_CHARACTERS_MAX).collect();
    let reports = [BodyType::WrapUp, BodyType::DeliveryNotification, BodyType::DeletedNotification];
    let orders = [BodyType::Notification, BodyType::Action, BodyType::Activity, BodyType::Voice];
    let sent = BodyType::WIRE.iter().filter(|(_, known)| !reports.contains(known) && !orders.contains(known));
    let sent: Vec<&str> = sent.map(|(word, _)| *word).collect();
    NotSendable {
        body_type: format!("{word:?}").into(),
        reason: format!("body.type is not known; expected one of {}", sent.join(", ")).into(),
    }
}

fn text_of(text: &str, marks: Marks) -> Adapted<'_> {
    let text = match marks {
        Marks::Kept => Cow::Borrowed(text),
        Marks::Removed => markdown::plain(text),
    };
    let notes = match &text {
        Cow::Borrowed(_) => Vec::new(),
        Cow::Owned(_) => vec![Rule::PlainText.note(FORMATTING_REMOVED)],
    };
    Adapted { text, notes, choices: Vec::new() }
}

/// Note for the business when Markdown was removed.
const FORMATTING_REMOVED: &str = "formatting was removed";

#[derive(Default)]
struct Draft {
    marks: Marks,
    text: String,
    notes: Vec<Box<str>>,
    choices: Vec<Choice>,
    formatted: bool,
}

impl Draft {
    fn finish(mut self, body_type: BodyType) -> Adapted<'static> {
        if self.formatted {
            self.note(Rule::PlainText, FORMATTING_REMOVED);
        }
        if matches!(body_type, BodyType::Template | BodyType::Custom) {
            let note = format!("the {} body was sent as its markdownText", body_type.as_wire());
            self.note(Rule::TemplateWords, note);
        }
        Adapted { text: self.text.into(), notes: self.notes, choices: self.choices }
    }

    fn note(&mut self, rule: Rule, words: impl std::fmt::Display) {
        self.notes.push(rule.note(words));
    }

    /// Returns a text with its Markdown kept or removed.
    fn render<'t>(&mut self, markdown: &'t str) -> Cow<'t, str> {
        match self.marks {
            Marks::Kept => Cow::Borrowed(markdown),
            Marks::Removed => {
                let plain = markdown::plain(markdown);
                self.formatted |= matches!(plain, Cow::Owned(_));
                plain
            }
        }
    }

    /// Appends a line, unless it is empty.
    fn line(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// Appends lines that may contain Markdown.
    fn words(&mut self, markdown: &str) {
        let text = self.render(markdown);
        self.line(&text);
    }

    fn media(&mut self, body_type: BodyType, body: &Media<'_>) {
        let file = &body.attachment;
        if file.media_url.is_empty() {
            return;
        }
        self.words(body.words());
        let label = if file.media_label.is_empty() { &file.media_name } else { &file.media_label };
        if label.trim().is_empty() || body.words().contains(label.trim()) {
            self.line(&file.media_url);
        } else {
            self.line(&format!("{}: {}", label.trim(), &*file.media_url));
        }
        self.note(Rule::FileLink, format!("the {} was sent as a link", body_type.as_wire().to_lowercase()));
    }

    fn link(&mut self, what: &str, body: &Link<'_>) {
        if body.media_url.is_empty() {
            return;
        }
        self.words(&body.markdown_text);
        self.line(&body.media_url);
        if !what.is_empty() {
            self.note(Rule::FileLink, format!("{what} was sent as a link"));
        }
    }

    fn location(&mut self, body: &Location<'_>) {
        let (Some(latitude), Some(longitude)) = (body.location.latitude.0, body.location.longitude.0) else {
            return;
        };
        let place = &body.additional_details;
        self.words(&body.markdown_text);
        self.line(&place.name);
        self.line(&place.address);
        self.line(&format!("{latitude},{longitude}"));
        self.line(&place.url);
        self.note(Rule::AsWords, "the location was sent as text");
    }

    fn contacts(&mut self, body: &Contacts<'_>) {
        self.words(&body.markdown_text);
        for contact in body.contacts.iter() {
            self.contact(contact);
        }
        self.note(Rule::AsWords, "the contact was sent as text");
    }

    fn contact(&mut self, contact: &Contact<'_>) {
        self.line(&contact.name.formatted_name);
        for phone in contact.phones.iter() {
            self.line(&phone.phone);
        }
        let details = &contact.additional_contact_details;
        for email in details.emails.iter() {
            self.line(&email.email);
        }
        for url in details.urls.iter() {
            self.line(&url.url);
        }
    }

    fn buttons(&mut self, body: &Buttons<'_>) {
        let frame = &body.additional_details.interactive;
        self.words(&frame.header.text);
        let words = if body.markdown_text.is_empty() { &frame.body.text } else { &body.markdown_text };
        self.words(words);
        let mut number = 0;
        let mut section = "";
        for button in body.buttons.iter() {
            let details = &button.additional_button_details;
            if *details.section_title != *section {
                self.words(&details.section_title);
                section = &details.section_title;
            }
            if button.press() == Press::Reply {
                number += 1;
            }
            self.button(button, &number.to_string());
        }
        self.words(&frame.footer.text);
        self.note_list(body.buttons.len(), "button");
    }

    /// Appends a button: a reply with its label, a link or call with its address.
    fn button(&mut self, button: &Button<'_>, label: &str) {
        let title = self.render(&button.title);
        let mut line = String::new();
        let _ = match button.press() {
            Press::Reply => write!(line, "{label}. {title}"),
            Press::Open | Press::Call => write!(line, "{title}: {}", &*button.payload),
        };
        let description = self.render(&button.additional_button_details.description);
        if !description.is_empty() {
            let _ = write!(line, " - {description}");
        }
        self.line(&line);
        if button.press() == Press::Reply {
            let title = markdown::plain(&button.title);
            let payload = if button.payload.is_empty() { &title } else { &*button.payload };
            let payload = payload.into();
            self.choices.push(Choice { label: label.into(), title: (&*title).into(), payload });
        }
    }

    fn note_list(&mut self, number: usize, what: &str) {
        let noun = if number == 1 { format!("1 {what} was") } else { format!("{number} {what}s were") };
        self.note(Rule::NumberedList, format!("{noun} sent as a numbered list"));
    }

    fn carousel(&mut self, body: &Carousel<'_>) {
        self.words(&body.markdown_text);
        for (index, card) in body.elements.iter().enumerate() {
            self.card(card, index + 1);
        }
        self.note_list(body.elements.len(), "card");
    }

    /// Appends `1. words - subtitle`, the card's links, and its replies as `1a.`, `1b.` ...
    fn card(&mut self, card: &Card<'_>, number: usize) {
        let mut line = format!("{number}. {}", self.render(&card.text));
        let subtitle = self.render(&card.additional_carousel_element_details.subtitle);
        if !subtitle.is_empty() {
            let _ = write!(line, " - {subtitle}");
        }
        self.line(&line);
        let opened = &*card.default_action.url;
        let is_on_button = card.buttons.iter().any(|button| *button.payload == *opened);
        if opened.is_empty() {
            self.line(&card.url);
        } else if !is_on_button {
            self.line(opened);
        }
        let mut replies = 0;
        for button in card.buttons.iter() {
            let letters = match button.press() {
                Press::Reply => letters(replies),
                Press::Open | Press::Call => String::new(),
            };
            replies += usize::from(button.press() == Press::Reply);
            self.button(button, &format!("{number}{letters}"));
        }
    }

    fn order(&mut self, body: &Order<'_>) {
        self.words(&body.markdown_text);
        self.line(&body.merchant_name);
        self.line(&body.order_number);
        for item in body.elements.iter() {
            let quantity = if item.quantity.is_empty() { "1" } else { &*item.quantity };
            self.line(&format!("{quantity} x {} {} {}", &*item.title, &*item.price, &*body.currency));
        }
        let total = &*body.summary.total_cost;
        if !total.is_empty() {
            self.line(&format!("= {total} {}", &*body.currency));
        }
        self.note(Rule::AsWords, "the order was sent as text");
    }

    fn email(&mut self, body: &Email<'_>) {
        if body.markdown_text.is_empty() {
            return;
        }
        self.line(&body.subject);
        self.words(&body.markdown_text);
        self.links(&body.attachments);
        self.note(Rule::AsWords, "the e-mail was sent as text");
    }

    fn links(&mut self, attachments: &List<Object<super::body::Attachment<'_>>>) {
        for attachment in attachments.iter() {
            self.line(&attachment.media_url);
        }
    }

    fn comment(&mut self, body: &Comment<'_>) {
        let says = ["TEXT", "PRIVATE_REPLY", "IMAGE", "VIDEO"];
        if !says.iter().any(|word| word.eq_ignore_ascii_case(&body.item_type)) {
            return;
        }
        self.words(&body.markdown_text);
        self.line(&body.attachment.media_url);
        self.note(Rule::AsWords, "the comment was sent as a message");
    }
}

/// Returns label `index`, from 0, of the sequence `a` to `z`, `aa`, `ab` ...
fn letters(index: usize) -> String {
    let mut letters = String::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.insert(0, char::from(b'a' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
    }
    letters
}
