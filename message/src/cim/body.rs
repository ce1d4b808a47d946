//! Rich bodies as types, parsed where they are needed. Parsing is lenient: a field that is absent
//! or of another type is empty, because the body was checked on arrival and newer peers may add to
//! it.

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
    pub(super) const WIRE: [(&'static str, BodyType); 24] = [
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

    /// Parses CIM's word in any case; other words give [`BodyType::Unknown`].
    pub fn from_wire(word: &str) -> Self {
        let found = Self::WIRE.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map_or(Self::Unknown, |(_, body_type)| *body_type)
    }

    /// Returns CIM's word for it.
    pub fn as_wire(self) -> &'static str {
        let found = Self::WIRE.iter().find(|(_, body_type)| *body_type == self);
        found.map_or("UNKNOWN", |(name, _)| *name)
    }
}

/// Parses the JSON of a [`crate::Content::Rich`]. JSON other than an object gives an empty body.
///
/// # Errors
/// When it is malformed, or names a field twice.
pub fn read<'a, T: Deserialize<'a> + Default>(json: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Object<T>>(json).map(|object| object.0)
}

/// The `attachment` of media bodies and e-mails.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Attachment<'a> {
    /// URL of the file.
    #[serde(borrow, alias = "mediaURL")]
    pub media_url: Text<'a>,
    /// URL of a small picture of it.
    #[serde(borrow)]
    pub thumbnail: Text<'a>,
    /// Media type, such as `image/png`.
    #[serde(borrow)]
    pub mime_type: Text<'a>,
    /// Size in bytes.
    pub size: Number,
    /// Label that is shown for the file.
    #[serde(borrow)]
    pub media_label: Text<'a>,
    /// File name.
    #[serde(borrow)]
    pub media_name: Text<'a>,
}

/// The body of IMAGE, VIDEO, AUDIO, FILE and MULTIMEDIA.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Media<'a> {
    /// Text that accompanies it.
    #[serde(borrow)]
    pub caption: Text<'a>,
    /// Text that is used without a caption.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// The attached file.
    #[serde(borrow)]
    pub attachment: Object<Attachment<'a>>,
}

impl Media<'_> {
    /// The words that go with it: the caption, else the text.
    pub fn words(&self) -> &str {
        if self.caption.is_empty() { &self.markdown_text } else { &self.caption }
    }
}

/// The body of STICKER and URL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Link<'a> {
    /// Text that accompanies it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// URL of the page or picture.
    #[serde(borrow, alias = "mediaURL")]
    pub media_url: Text<'a>,
    /// The provider's id of the sticker.
    #[serde(borrow)]
    pub sticker_id: Text<'a>,
}

/// The body of LOCATION.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Location<'a> {
    /// Text that accompanies it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Position in degrees.
    pub location: Object<Coordinates>,
    /// Name and address of the place.
    #[serde(borrow)]
    pub additional_details: Object<Place<'a>>,
}

/// A position in degrees.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: Number,
    /// Degrees east.
    pub longitude: Number,
}

/// A named place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Place<'a> {
    /// Name for people.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Postal address.
    #[serde(borrow)]
    pub address: Text<'a>,
    /// URL of its page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// The body of CONTACT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Contacts<'a> {
    /// Text that accompanies them.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// One entry for each person.
    #[serde(borrow)]
    pub contacts: List<Object<Contact<'a>>>,
}

/// A person in a CONTACT body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Contact<'a> {
    /// Full name and its components.
    #[serde(borrow)]
    pub name: Object<ContactName<'a>>,
    /// Telephone numbers.
    #[serde(borrow)]
    pub phones: List<Object<ContactPhone<'a>>>,
    /// E-mail addresses, pages and further details.
    #[serde(borrow)]
    pub additional_contact_details: Object<ContactDetails<'a>>,
}

/// A person's name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContactName<'a> {
    /// Full name.
    #[serde(borrow)]
    pub formatted_name: Text<'a>,
    /// `first_name`, `last_name`, ... in JSON.
    #[serde(borrow)]
    pub additional_name_details: Option<&'a RawValue>,
}

/// A person's telephone number.
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

/// Further details of a person.
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

/// A person's e-mail address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContactEmail<'a> {
    /// E-mail address.
    #[serde(borrow)]
    pub email: Text<'a>,
}

/// A person's page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContactUrl<'a> {
    /// URL of the page.
    #[serde(borrow)]
    pub url: Text<'a>,
}

/// The body of EMAIL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Email<'a> {
    /// Plain text part.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Subject line.
    #[serde(borrow)]
    pub subject: Text<'a>,
    /// Address of the author.
    #[serde(borrow)]
    pub from: Text<'a>,
    /// Addresses for replies.
    #[serde(borrow)]
    pub reply_to: List<Text<'a>>,
    /// HTML part.
    #[serde(borrow)]
    pub html_body: Text<'a>,
    /// Addresses in `To`.
    #[serde(borrow)]
    pub recipients_to: List<Text<'a>>,
    /// Addresses in `Cc`.
    #[serde(borrow)]
    pub recipients_cc: List<Text<'a>>,
    /// Addresses in `Bcc`.
    #[serde(borrow)]
    pub recipients_bcc: List<Text<'a>>,
    /// Ids of the thread's messages.
    #[serde(borrow)]
    pub email_threads: List<Text<'a>>,
    /// Attached files.
    #[serde(borrow)]
    pub attachments: List<Object<Attachment<'a>>>,
}

/// The body of COMMENT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Comment<'a> {
    /// Text of the comment.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Post that is commented on.
    #[serde(borrow)]
    pub post_id: Text<'a>,
    /// `TEXT`, `LIKE`, `PRIVATE_REPLY`, ... in any case.
    #[serde(borrow)]
    pub item_type: Text<'a>,
    /// Attached file.
    #[serde(borrow)]
    pub attachment: Object<Attachment<'a>>,
}

/// The body of RECEIPT: an order, not a delivery report.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Order<'a> {
    /// Text that accompanies it.
    #[serde(borrow)]
    pub markdown_text: Text<'a>,
    /// Name of the seller.
    #[serde(borrow)]
    pub merchant_name: Text<'a>,
    /// The seller's number of the order.
    #[serde(borrow)]
    pub order_number: Text<'a>,
    /// Currency of all amounts.
    #[serde(borrow)]
    pub currency: Text<'a>,
    /// Ordered items.
    #[serde(borrow)]
    pub elements: List<Object<OrderLine<'a>>>,
    /// Totals.
    #[serde(borrow)]
    pub summary: Object<OrderSummary<'a>>,
}

/// An ordered item.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrderLine<'a> {
    /// Name of the item.
    #[serde(borrow)]
    pub title: Text<'a>,
    /// Number of pieces.
    #[serde(borrow)]
    pub quantity: Text<'a>,
    /// Price of the item.
    #[serde(borrow)]
    pub price: Text<'a>,
}

/// The totals of an order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderSummary<'a> {
    /// Total price.
    #[serde(borrow)]
    pub total_cost: Text<'a>,
}

/// The body of DELIVERYNOTIFICATION; a destination may also answer with it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeliveryNotification<'a> {
    /// Id of the message it is about.
    #[serde(borrow)]
    pub message_id: Text<'a>,
    /// `DELIVERED`, `READ`, `CONNECTED`, `FAILED`, in any case.
    #[serde(borrow)]
    pub status: Text<'a>,
    /// Reason code, as a text.
    #[serde(borrow)]
    pub reason_code: Text<'a>,
}

/// The body of NOTIFICATION.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Notification<'a> {
    /// `TYPING_STARTED`, `TYPING_STOPPED`, ... in any case.
    #[serde(borrow)]
    pub notification_type: Text<'a>,
    /// Further data in JSON.
    #[serde(borrow)]
    pub notification_data: Option<&'a RawValue>,
}
