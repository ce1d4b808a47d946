//! Names of customers' files beside a message, and the addresses under which the business gets them. Pure.

use channels::{MediaRef, toolkit::media_token};
use message::{ChannelId, Content};

use crate::config::MediaConfig;

/// The fact beside a message that names its n-th file begins so.
pub(crate) const ATTRIBUTE: &str = "media:";

/// The files of one message that are kept track of.
pub(crate) const FILES_MAX: usize = 32;

impl MediaConfig {
    /// The address of a file of a channel.
    pub(crate) fn url(&self, channel: &ChannelId, file: &MediaRef) -> String {
        let token = media_token::token(&self.key, channel.as_str(), file);
        format!("{}/media/{channel}/{token}", self.public_url.trim_end_matches('/'))
    }
}

/// A content with the addresses of its files in place of their names.
pub(crate) fn addressed(
    config: &MediaConfig,
    channel: &ChannelId,
    content: &Content,
    attributes: &[(Box<str>, Box<str>)],
) -> Option<Content> {
    let Content::Rich { body_type, json } = content else { return None };
    let mut text = json.to_string();
    for (name, value) in attributes.iter().filter(|(key, _)| key.starts_with(ATTRIBUTE)) {
        let Some(file) = parse(value) else { continue };
        // Within a text of the customer its quotes would be escaped: this is a key and its value.
        let url = config.url(channel, &file);
        text = text.replace(&format!("\"mediaUrl\":\"{name}\""), &format!("\"mediaUrl\":\"{url}\""));
    }
    Some(Content::Rich { body_type: *body_type, json: text.into() })
}

/// The facts beside a message that name its files.
pub(crate) fn attributes(files: &[MediaRef]) -> impl Iterator<Item = (Box<str>, Box<str>)> {
    files.iter().take(FILES_MAX).enumerate().map(|(n, file)| {
        let fields = [Some(&file.locator), file.content_type.as_ref(), file.file_name.as_ref()];
        let fields: Vec<String> = fields.iter().map(|field| field.map_or(String::new(), escaped)).collect();
        (format!("{ATTRIBUTE}{n}").into(), fields.join("\n").into())
    })
}

/// A field on a line of its own.
#[allow(clippy::borrowed_box, reason = "the fields are boxed")]
fn escaped(field: &Box<str>) -> String {
    field.replace('\\', "\\\\").replace('\n', "\\n")
}

fn parse(value: &str) -> Option<MediaRef> {
    let mut fields = value.split('\n').map(|field| {
        let mut out = String::with_capacity(field.len());
        let mut chars = field.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.as_str().starts_with('n') => {
                    chars.next();
                    out.push('\n');
                }
                '\\' => out.extend(chars.next()),
                c => out.push(c),
            }
        }
        Box::<str>::from(out)
    });
    let locator = fields.next().filter(|locator| !locator.is_empty())?;
    let mut further = || fields.next().filter(|field| !field.is_empty());
    Some(MediaRef { locator, content_type: further(), file_name: further() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn files_are_named_and_found_again(
            locator in "(\\PC|\n|\\\\){1,20}",
            content_type in prop::option::of("(\\PC|\n|\\\\n){1,20}"),
            file_name in prop::option::of("\\PC{1,20}"),
        ) {
            let file = MediaRef {
                locator: locator.into(),
                content_type: content_type.map(Into::into),
                file_name: file_name.map(Into::into),
            };
            let named: Vec<_> = attributes(std::slice::from_ref(&file)).collect();
            prop_assert_eq!(&*named[0].0, "media:0");
            prop_assert_eq!(parse(&named[0].1), Some(file));
        }
    }
}
