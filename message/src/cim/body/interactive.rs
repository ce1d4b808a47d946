//! The bodies BUTTON, CAROUSEL and TEMPLATE. Like all bodies they are parsed leniently.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cim::lenient::{List, Object, Text};

/// The body of BUTTON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Buttons<'a> {
    /// Text above the buttons.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// `BUTTON` or `QUICK_REPLIES`, in any case.
    #[serde(borrow)]
    pub button_message_type: Text<'a>,
    /// Buttons in order.
    #[serde(borrow)]
    pub buttons: List<Object<Button<'a>>>,
    /// Texts around a list.
    #[serde(borrow)]
    pub additional_details: Object<ButtonsDetails<'a>>,
}

/// The `additionalDetails` of a BUTTON body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ButtonsDetails<'a> {
    /// Texts around a list.
    #[serde(borrow)]
    pub interactive: Object<Interactive<'a>>,
}

/// The texts around a list of buttons.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Interactive<'a> {
    /// Kind of interactive message, such as `list`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Title of the button that opens the list.
    #[serde(borrow)]
    pub button: Text<'a>,
    /// Text above the list.
    #[serde(borrow)]
    pub header: Object<Words<'a>>,
    /// Main text.
    #[serde(borrow)]
    pub body: Object<Words<'a>>,
    /// Text below the list.
    #[serde(borrow)]
    pub footer: Object<Words<'a>>,
}

/// An object with a text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Words<'a> {
    /// Text of the object.
    #[serde(borrow)]
    pub text: Text<'a>,
}

/// A button of a BUTTON body or a card.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Button<'a> {
    /// `url`, `phone`, ...; any other word is a reply.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Title on the button.
    #[serde(borrow)]
    pub title: Text<'a>,
    /// Payload of the reply, or the link or number.
    #[serde(borrow)]
    pub payload: Text<'a>,
    /// Section and description in a list.
    #[serde(borrow)]
    pub additional_button_details: Object<ButtonDetails<'a>>,
}

/// The effect of pressing a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The payload comes back as the customer's message.
    Reply,
    /// The payload is a URL that is opened.
    Open,
    /// The payload is a number that is called.
    Call,
}

impl Button<'_> {
    /// Returns the effect of pressing it.
    pub fn press(&self) -> Press {
        let kind = self.kind.to_ascii_lowercase();
        match kind.as_str() {
            "url" | "web_url" | "link" => Press::Open,
            "phone" | "phone_number" | "call" => Press::Call,
            _ => Press::Reply,
        }
    }
}

/// The section and description of a button in a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ButtonDetails<'a> {
    /// Number of the section.
    #[serde(borrow)]
    pub section_no: Text<'a>,
    /// Heading above the section.
    #[serde(borrow)]
    pub section_title: Text<'a>,
    /// Text below the title.
    #[serde(borrow)]
    pub description: Text<'a>,
}

/// The body of CAROUSEL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Carousel<'a> {
    /// Text above the cards.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// `MEDIA` or `GENERIC_RICH_MEDIA`, in any case.
    #[serde(borrow)]
    pub carousel_message_type: Text<'a>,
    /// Cards in order.
    #[serde(borrow)]
    pub elements: List<Object<Card<'a>>>,
}

/// A card of a carousel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Card<'a> {
    /// Text on the card.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// URL of the picture.
    #[serde(borrow)]
    pub url: Text<'a>,
    /// Buttons below the card.
    #[serde(borrow)]
    pub buttons: List<Object<Button<'a>>>,
    /// Link that a tap on the card opens.
    #[serde(borrow)]
    pub default_action: Object<DefaultAction<'a>>,
    /// Further text.
    #[serde(borrow)]
    pub additional_carousel_element_details: Object<CardDetails<'a>>,
}

/// The link that a tap on a card opens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DefaultAction<'a> {
    /// Kind of link: `web_url`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// URL of the page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// The further text on a card.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CardDetails<'a> {
    /// Text below the card's text.
    #[serde(borrow)]
    pub subtitle: Text<'a>,
}

/// The body of TEMPLATE.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Template<'a> {
    /// Text for channels without templates.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Namespace at the provider.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Name at the provider.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Language of the text.
    #[serde(borrow)]
    pub language: Object<TemplateLanguage<'a>>,
    /// Components in order.
    #[serde(borrow)]
    pub components: List<Object<TemplateComponent<'a>>>,
}

/// The language that a template is sent in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateLanguage<'a> {
    /// Language code, such as `en_US`.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// Policy, such as `deterministic`.
    #[serde(borrow)]
    pub policy: Text<'a>,
}

/// The header, body or a button of a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateComponent<'a> {
    /// `header`, `body`, `button`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Further fields in JSON.
    #[serde(borrow)]
    pub additional_component_details: Option<&'a RawValue>,
    /// Values for its placeholders.
    #[serde(borrow)]
    pub parameters: List<Object<TemplateParameter<'a>>>,
}

/// The value of a placeholder in a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateParameter<'a> {
    /// `text`, `currency`, `date_time`, `image`, `document`, `video`, `payload`.
    #[serde(borrow)]
    pub parameter_type: Text<'a>,
    /// Value in JSON.
    #[serde(borrow)]
    pub additional_parameter_details: Option<&'a RawValue>,
}
