//! Named rules that turn a body into plain text for a channel that carries nothing else, and a reply to a
//! numbered list back into the payload it stands for. What was changed is said in notes for the business; what
//! must not go to a customer, or has no words, is refused with the reason.

use std::{borrow::Cow, fmt::Write as _};

use super::{
    body::{
        Button, Buttons, Card, Carousel, Comment, Contact, Contacts, Email, Link, Location, Media, Order,
        Press, Template, read,
    },
    lenient::{List, Object},
    markdown,
};
use crate::content::{BodyType, Content};

/// A content as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapted<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// What was changed, one sentence each; empty when nothing was.
    pub notes: Vec<Box<str>>,
}

/// A content that does not become text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {body_type} body is not sent as text: {reason}")]
pub struct NotSendable {
    /// CIM's word for the body.
    pub body_type: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// A reply button, as the customer's answer chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is written on it.
    pub title: Box<str>,
    /// What it stands for.
    pub payload: Box<str>,
}

/// The content as plain text.
///
/// # Errors
/// When it must not go to a customer, or nothing in it can be said in words.
pub fn plain_text_of(content: &Content) -> Result<Adapted<'_>, NotSendable> {
    let (body_type, json) = match content {
        Content::Text(text) => {
            let text = markdown::plain(text);
            let notes = match &text {
                Cow::Borrowed(_) => Vec::new(),
                Cow::Owned(_) => vec!["formatting was removed".into()],
            };
            return Ok(Adapted { text, notes });
        }
        Content::Binary(_) => return Err(NotSendable { body_type: "binary", reason: "octets are no text" }),
        Content::Parts(_) => {
            return Err(NotSendable { body_type: "PARTS", reason: "it was adapted already" });
        }
        Content::Rich { body_type, json } => (*body_type, &**json),
    };
    let mut draft = Draft::default();
    let refused = |reason| Err(NotSendable { body_type: body_type.as_wire(), reason });
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
        BodyType::Unknown => return refused("its type is not known to this version"),
    };
    match (known, body_type) {
        (Err(_), _) => refused("its JSON cannot be read"),
        (Ok(()), BodyType::Template | BodyType::Custom) if draft.text.is_empty() => {
            refused("it has no markdownText to send in its place")
        }
        (Ok(()), _) if draft.text.is_empty() => refused("nothing in it can be said in words"),
        (Ok(()), _) => Ok(draft.finish(body_type)),
    }
}

/// The choice that a customer's answer means, where `content` was sent as a numbered list: its number, or
/// its title in any case.
pub fn choice_of(content: &Content, answer: &str) -> Option<Choice> {
    let Content::Rich { body_type, json } = content else { return None };
    let mut draft = Draft::default();
    match body_type {
        BodyType::Button => draft.buttons(&read(json).ok()?),
        BodyType::Carousel => draft.carousel(&read(json).ok()?),
        _ => return None,
    }
    let wanted = answer.trim().trim_end_matches(['.', ')', ':']).to_lowercase();
    let by_label = draft.choices.iter().find(|(label, _)| *label == wanted);
    let mut by_title = draft.choices.iter().filter(|(_, choice)| choice.title.to_lowercase() == wanted);
    let found = by_label.or_else(|| by_title.next())?;
    Some(found.1.clone())
}

#[derive(Default)]
struct Draft {
    text: String,
    notes: Vec<Box<str>>,
    choices: Vec<(String, Choice)>,
    formatted: bool,
}

impl Draft {
    fn finish(mut self, body_type: BodyType) -> Adapted<'static> {
        if self.formatted {
            self.notes.push("formatting was removed".into());
        }
        if matches!(body_type, BodyType::Template | BodyType::Custom) {
            let note = format!("the {} body was sent as its markdownText", body_type.as_wire());
            self.notes.push(note.into());
        }
        Adapted { text: self.text.into(), notes: self.notes }
    }

    fn note(&mut self, note: impl Into<Box<str>>) {
        self.notes.push(note.into());
    }

    /// A line of its own, if there is anything to say.
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

    /// Lines that may hold Markdown.
    fn words(&mut self, markdown: &str) {
        let plain = markdown::plain(markdown);
        self.formatted |= matches!(plain, Cow::Owned(_));
        self.line(&plain);
    }

    fn media(&mut self, body_type: BodyType, body: &Media<'_>) {
        if body.attachment.media_url.is_empty() {
            return;
        }
        self.words(body.words());
        self.line(&body.attachment.media_url);
        self.note(format!("the {} was sent as a link", body_type.as_wire().to_lowercase()));
    }

    fn link(&mut self, what: &str, body: &Link<'_>) {
        if body.media_url.is_empty() {
            return;
        }
        self.words(&body.markdown_text);
        self.line(&body.media_url);
        if !what.is_empty() {
            self.note(format!("{what} was sent as a link"));
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
        self.note("the location was sent as text");
    }

    fn contacts(&mut self, body: &Contacts<'_>) {
        self.words(&body.markdown_text);
        for contact in body.contacts.iter() {
            self.contact(contact);
        }
        self.note("the contact was sent as text");
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
                self.line(&details.section_title);
                section = &details.section_title;
            }
            if button.press() == Press::Reply {
                number += 1;
            }
            self.button(button, &number.to_string());
        }
        self.words(&frame.footer.text);
        self.note(format!("{} sent as a numbered list", counted(body.buttons.len(), "button")));
    }

    /// A reply gets its label, what opens or calls gets its address.
    fn button(&mut self, button: &Button<'_>, label: &str) {
        let title = markdown::plain(&button.title);
        let mut line = String::new();
        let _ = match button.press() {
            Press::Reply => write!(line, "{label}. {title}"),
            Press::Open | Press::Call => write!(line, "{title}: {}", &*button.payload),
        };
        let description = &*button.additional_button_details.description;
        if !description.is_empty() {
            let _ = write!(line, " - {description}");
        }
        self.line(&line);
        if button.press() == Press::Reply {
            let choice = Choice { title: (&*button.title).into(), payload: (&*button.payload).into() };
            self.choices.push((label.to_owned(), choice));
        }
    }

    fn carousel(&mut self, body: &Carousel<'_>) {
        self.words(&body.markdown_text);
        for (index, card) in body.elements.iter().enumerate() {
            self.card(card, index + 1);
        }
        self.note(format!("{} sent as a numbered list", counted(body.elements.len(), "card")));
    }

    /// `1. words - subtitle`, its links, and its replies as `1a.`, `1b.` ...
    fn card(&mut self, card: &Card<'_>, number: usize) {
        let mut line = format!("{number}. {}", markdown::plain(&card.text));
        let subtitle = &*card.additional_carousel_element_details.subtitle;
        if !subtitle.is_empty() {
            let _ = write!(line, " - {subtitle}");
        }
        self.line(&line);
        let opened = &*card.default_action.url;
        let said_by_button = card.buttons.iter().any(|button| *button.payload == *opened);
        if opened.is_empty() {
            self.line(&card.url);
        } else if !said_by_button {
            self.line(opened);
        }
        let replies = card.buttons.iter().filter(|button| button.press() == Press::Reply).count();
        let letters = ('a'..='z').map(String::from).chain(std::iter::repeat_with(|| "z".to_owned()));
        let mut letters = letters.into_iter();
        for button in card.buttons.iter() {
            let letter = match button.press() {
                Press::Reply => letters.next().unwrap_or_default(),
                Press::Open | Press::Call => String::new(),
            };
            self.button(button, &format!("{number}{letter}"));
        }
        if replies == 1
            && let Some((_, choice)) = self.choices.last()
        {
            // The card's own number means its only reply.
            self.choices.push((number.to_string(), choice.clone()));
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
        self.note("the order was sent as text");
    }

    fn email(&mut self, body: &Email<'_>) {
        if body.markdown_text.is_empty() {
            return;
        }
        self.line(&body.subject);
        self.words(&body.markdown_text);
        self.links(&body.attachments);
        self.note("the e-mail was sent as text");
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
        self.note("the comment was sent as a message");
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what} was") } else { format!("{number} {what}s were") }
}
