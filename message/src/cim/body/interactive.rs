//! Bodies a customer chooses from, BUTTON and CAROUSEL, and TEMPLATE. Like all bodies they are read leniently.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cim::lenient::{List, Object, Text};

/// BUTTON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Buttons<'a> {
    /// The words above the buttons.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// `BUTTON` or `QUICK_REPLIES`, in any case.
    #[serde(borrow)]
    pub button_message_type: Text<'a>,
    /// The buttons.
    #[serde(borrow)]
    pub buttons: List<Object<Button<'a>>>,
    /// The frame of a list.
    #[serde(borrow)]
    pub additional_details: Object<ButtonsDetails<'a>>,
}

/// `additionalDetails` of a BUTTON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ButtonsDetails<'a> {
    /// The frame of a list.
    #[serde(borrow)]
    pub interactive: Object<Interactive<'a>>,
}

/// The frame of a list of buttons.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Interactive<'a> {
    /// `list`, ...
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// The word on the button that opens the list.
    #[serde(borrow)]
    pub button: Text<'a>,
    /// Above.
    #[serde(borrow)]
    pub header: Object<Words<'a>>,
    /// The main words.
    #[serde(borrow)]
    pub body: Object<Words<'a>>,
    /// Below.
    #[serde(borrow)]
    pub footer: Object<Words<'a>>,
}

/// `{text}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Words<'a> {
    /// The words.
    #[serde(borrow)]
    pub text: Text<'a>,
}

/// One button.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Button<'a> {
    /// What it does: `url`, `phone`, ... all else is a reply.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// What is written on it.
    #[serde(borrow)]
    pub title: Text<'a>,
    /// What comes back when it is pressed, or the link or number.
    #[serde(borrow)]
    pub payload: Text<'a>,
    /// Its place in a list.
    #[serde(borrow)]
    pub additional_button_details: Object<ButtonDetails<'a>>,
}

/// What a button does when it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The payload comes back as the customer's message.
    Reply,
    /// The payload is a page that opens.
    Open,
    /// The payload is a number that is called.
    Call,
}

impl Button<'_> {
    /// What it does when it is pressed.
    pub fn press(&self) -> Press {
        let kind = self.kind.to_ascii_lowercase();
        match kind.as_str() {
            "url" | "web_url" | "link" => Press::Open,
            "phone" | "phone_number" | "call" => Press::Call,
            _ => Press::Reply,
        }
    }
}

/// A button's place in a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ButtonDetails<'a> {
    /// The number of its section.
    #[serde(borrow)]
    pub section_no: Text<'a>,
    /// The title of its section.
    #[serde(borrow)]
    pub section_title: Text<'a>,
    /// Words below its title.
    #[serde(borrow)]
    pub description: Text<'a>,
}

/// CAROUSEL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Carousel<'a> {
    /// The words above.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// `MEDIA` or `GENERIC_RICH_MEDIA`, in any case.
    #[serde(borrow)]
    pub carousel_message_type: Text<'a>,
    /// The cards.
    #[serde(borrow)]
    pub elements: List<Object<Card<'a>>>,
}

/// One card of a carousel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Card<'a> {
    /// Its words.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// Its picture.
    #[serde(borrow)]
    pub url: Text<'a>,
    /// Its buttons.
    #[serde(borrow)]
    pub buttons: List<Object<Button<'a>>>,
    /// What a tap on it opens.
    #[serde(borrow)]
    pub default_action: Object<DefaultAction<'a>>,
    /// More words.
    #[serde(borrow)]
    pub additional_carousel_element_details: Object<CardDetails<'a>>,
}

/// What a tap on a card opens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DefaultAction<'a> {
    /// `web_url`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// The page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// More words on a card.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CardDetails<'a> {
    /// Below its words.
    #[serde(borrow)]
    pub subtitle: Text<'a>,
}

/// TEMPLATE.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Template<'a> {
    /// What it says, for channels without templates.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its language.
    #[serde(borrow)]
    pub language: Object<TemplateLanguage<'a>>,
    /// Its parts.
    #[serde(borrow)]
    pub components: List<Object<TemplateComponent<'a>>>,
}

/// The language of a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateLanguage<'a> {
    /// `en_US`, ...
    #[serde(borrow)]
    pub code: Text<'a>,
    /// `deterministic`, ...
    #[serde(borrow)]
    pub policy: Text<'a>,
}

/// A part of a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateComponent<'a> {
    /// `header`, `body`, `button`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// As JSON.
    #[serde(borrow)]
    pub additional_component_details: Option<&'a RawValue>,
    /// What is put into it.
    #[serde(borrow)]
    pub parameters: List<Object<TemplateParameter<'a>>>,
}

/// What is put into a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateParameter<'a> {
    /// `text`, `currency`, `date_time`, `image`, `document`, `video`, `payload`.
    #[serde(borrow)]
    pub parameter_type: Text<'a>,
    /// The value, as JSON.
    #[serde(borrow)]
    pub additional_parameter_details: Option<&'a RawValue>,
}
