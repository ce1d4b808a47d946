//! Rich bodies, read into types where they are needed. Reading is lenient: what is absent or of another type
//! is empty, because a body was checked when it came, and newer peers may add to it.

mod interactive;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use interactive::{
    Button, ButtonDetails, Buttons, ButtonsDetails, Card, CardDetails, Carousel, DefaultAction, Interactive,
    Press, Template, TemplateComponent, TemplateLanguage, TemplateParameter, Words,
};

use super::lenient::{List, Number, Object, Text};
use crate::content::BodyType;

impl BodyType {
    const WIRE: [(&'static str, BodyType); 24] = [
        ("PLAIN", Self::Plain),
        ("IMAGE", Self::Image),
        ("VIDEO", Self::Video),
        ("AUDIO", Self::Audio),
        ("FILE", Self::File),
        ("MULTIMEDIA", Self::Multimedia),
        ("STICKER", Self::Sticker),
        ("LOCATION", Self::Location),
        ("CONTACT", Self::Contact),
        ("URL", Self::Url),
        ("BUTTON", Self::Button),
        ("CAROUSEL", Self::Carousel),
        ("TEMPLATE", Self::Template),
        ("RECEIPT", Self::Receipt),
        ("EMAIL", Self::Email),
        ("COMMENT", Self::Comment),
        ("WRAPUP", Self::WrapUp),
        ("DELIVERYNOTIFICATION", Self::DeliveryNotification),
        ("DELETEDNOTIFICATION", Self::DeletedNotification),
        ("NOTIFICATION", Self::Notification),
        ("ACTION", Self::Action),
        ("ACTIVITY", Self::Activity),
        ("CUSTOM", Self::Custom),
        ("VOICE", Self::Voice),
    ];

    /// The type that CIM writes so, in any case; [`BodyType::Unknown`] for all other words.
    pub fn from_wire(word: &str) -> Self {
        let found = Self::WIRE.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map_or(Self::Unknown, |(_, body_type)| *body_type)
    }

    /// CIM's word for it.
    pub fn as_wire(self) -> &'static str {
        let found = Self::WIRE.iter().find(|(_, body_type)| *body_type == self);
        found.map_or("UNKNOWN", |(name, _)| *name)
    }
}

/// Reads the JSON of a [`crate::Content::Rich`]. JSON that is no object gives an empty body.
///
/// # Errors
/// When it is no JSON, or names a field twice.
pub fn read<'a, T: Deserialize<'a> + Default>(json: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Object<T>>(json).map(|object| object.0)
}

/// `attachment` of media bodies and e-mails.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Attachment<'a> {
    /// Where it can be fetched.
    #[serde(borrow, alias = "mediaURL")]
    pub media_url: Text<'a>,
    /// Where a small picture of it can be fetched.
    #[serde(borrow)]
    pub thumbnail: Text<'a>,
    /// Its media type.
    #[serde(borrow)]
    pub mime_type: Text<'a>,
    /// Its size in bytes.
    pub size: Number,
    /// Words for it.
    #[serde(borrow)]
    pub media_label: Text<'a>,
    /// Its file name.
    #[serde(borrow)]
    pub media_name: Text<'a>,
}

/// IMAGE, VIDEO, AUDIO, FILE, MULTIMEDIA.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Media<'a> {
    /// The words that go with it.
    #[serde(borrow)]
    pub caption: Text<'a>,
    /// Used where there is no caption.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// The file.
    #[serde(borrow)]
    pub attachment: Object<Attachment<'a>>,
}

impl Media<'_> {
    /// The words that go with it: the caption, else the text.
    pub fn words(&self) -> &str {
        if self.caption.is_empty() { &self.markdown_text } else { &self.caption }
    }
}

/// STICKER and URL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Link<'a> {
    /// The words that go with it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// The address.
    #[serde(borrow, alias = "mediaURL")]
    pub media_url: Text<'a>,
    /// The provider's id of a sticker.
    #[serde(borrow)]
    pub sticker_id: Text<'a>,
}

/// LOCATION.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Location<'a> {
    /// The words that go with it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Where.
    pub location: Object<Coordinates>,
    /// The place there.
    #[serde(borrow)]
    pub additional_details: Object<Place<'a>>,
}

/// A point on earth, in degrees.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Coordinates {
    /// North.
    pub latitude: Number,
    /// East.
    pub longitude: Number,
}

/// What is at a point.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Place<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its address.
    #[serde(borrow)]
    pub address: Text<'a>,
    /// Its page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// CONTACT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Contacts<'a> {
    /// The words that go with them.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// The contacts.
    #[serde(borrow)]
    pub contacts: List<Object<Contact<'a>>>,
}

/// One contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Contact<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Object<ContactName<'a>>,
    /// Its telephone numbers.
    #[serde(borrow)]
    pub phones: List<Object<ContactPhone<'a>>>,
    /// All else.
    #[serde(borrow)]
    pub additional_contact_details: Object<ContactDetails<'a>>,
}

/// The name of a contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContactName<'a> {
    /// The whole name.
    #[serde(borrow)]
    pub formatted_name: Text<'a>,
    /// `first_name`, `last_name`, ... as JSON.
    #[serde(borrow)]
    pub additional_name_details: Option<&'a RawValue>,
}

/// A telephone number of a contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContactPhone<'a> {
    /// The number.
    #[serde(borrow)]
    pub phone: Text<'a>,
    /// `type`, `wa_id` as JSON.
    #[serde(borrow)]
    pub additional_phone_details: Option<&'a RawValue>,
}

/// What else is known of a contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContactDetails<'a> {
    /// `emails[{email,type}]`.
    #[serde(borrow)]
    pub emails: List<Object<ContactEmail<'a>>>,
    /// `urls[{url,type}]`.
    #[serde(borrow)]
    pub urls: List<Object<ContactUrl<'a>>>,
    /// `addresses[...]` as JSON.
    #[serde(borrow)]
    pub addresses: Option<&'a RawValue>,
    /// `org{company,department,title}` as JSON.
    #[serde(borrow)]
    pub org: Option<&'a RawValue>,
    /// `ims[{service,userId}]` as JSON.
    #[serde(borrow)]
    pub ims: Option<&'a RawValue>,
    /// `YYYY-MM-DD`.
    #[serde(borrow)]
    pub birthday: Text<'a>,
}

/// A mail address of a contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContactEmail<'a> {
    /// The address.
    #[serde(borrow)]
    pub email: Text<'a>,
}

/// A page of a contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContactUrl<'a> {
    /// The page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// EMAIL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Email<'a> {
    /// The plain part.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Its subject.
    #[serde(borrow)]
    pub subject: Text<'a>,
    /// Who wrote it.
    #[serde(borrow)]
    pub from: Text<'a>,
    /// Where answers go.
    #[serde(borrow)]
    pub reply_to: List<Text<'a>>,
    /// The HTML part.
    #[serde(borrow)]
    pub html_body: Text<'a>,
    /// To.
    #[serde(borrow)]
    pub recipients_to: List<Text<'a>>,
    /// Copies.
    #[serde(borrow)]
    pub recipients_cc: List<Text<'a>>,
    /// Blind copies.
    #[serde(borrow)]
    pub recipients_bcc: List<Text<'a>>,
    /// The ids of the thread's messages.
    #[serde(borrow)]
    pub email_threads: List<Text<'a>>,
    /// Files.
    #[serde(borrow)]
    pub attachments: List<Object<Attachment<'a>>>,
}

/// COMMENT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Comment<'a> {
    /// What it says.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// The post.
    #[serde(borrow)]
    pub post_id: Text<'a>,
    /// `TEXT`, `LIKE`, `PRIVATE_REPLY`, ... in any case.
    #[serde(borrow)]
    pub item_type: Text<'a>,
    /// A file.
    #[serde(borrow)]
    pub attachment: Object<Attachment<'a>>,
}

/// RECEIPT: an order, not a delivery report.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Order<'a> {
    /// The words that go with it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Who sells.
    #[serde(borrow)]
    pub merchant_name: Text<'a>,
    /// Its number.
    #[serde(borrow)]
    pub order_number: Text<'a>,
    /// Of its amounts.
    #[serde(borrow)]
    pub currency: Text<'a>,
    /// What was bought.
    #[serde(borrow)]
    pub elements: List<Object<OrderLine<'a>>>,
    /// What it costs.
    #[serde(borrow)]
    pub summary: Object<OrderSummary<'a>>,
}

/// A line of an order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrderLine<'a> {
    /// What.
    #[serde(borrow)]
    pub title: Text<'a>,
    /// How many.
    #[serde(borrow)]
    pub quantity: Text<'a>,
    /// For how much.
    #[serde(borrow)]
    pub price: Text<'a>,
}

/// What an order costs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderSummary<'a> {
    /// In all.
    #[serde(borrow)]
    pub total_cost: Text<'a>,
}

/// DELIVERYNOTIFICATION, also what a destination answers with 200.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeliveryNotification<'a> {
    /// The message it is about.
    #[serde(borrow)]
    pub message_id: Text<'a>,
    /// `DELIVERED`, `READ`, `CONNECTED`, `FAILED`, in any case.
    #[serde(borrow)]
    pub status: Text<'a>,
    /// Its code, as a text.
    #[serde(borrow)]
    pub reason_code: Text<'a>,
}

/// NOTIFICATION.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Notification<'a> {
    /// `TYPING_STARTED`, `TYPING_STOPPED`, ... in any case.
    #[serde(borrow)]
    pub notification_type: Text<'a>,
    /// More, as JSON.
    #[serde(borrow)]
    pub notification_data: Option<&'a RawValue>,
}
