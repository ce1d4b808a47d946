//! Customers' files: how a message names them, and the public addresses under which the business
//! fetches them. Pure.

use channels::{MediaRef, toolkit::media_token};
use message::{ChannelId, Content};

use crate::config::MediaConfig;

/// Prefix of the attributes that name a message's files; the file's index follows.
pub(crate) const ATTRIBUTE: &str = "media:";

/// Maximum number of files of one message; further ones are ignored.
pub(crate) const FILES_MAX: usize = 32;

/// Returns the public address of a channel's file.
pub(crate) fn url(config: &MediaConfig, channel: &ChannelId, file: &MediaRef) -> String {
    let token = media_token::token(&config.key, channel.as_str(), file);
    format!("{}/media/{channel}/{token}", config.public_url.trim_end_matches('/'))
}

/// Replaces the names of a message's files by their public addresses. Returns `None` for a content
/// that cannot hold files.
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
        // A customer's text cannot match: its quotes would be escaped.
        let address = url(config, channel, &file);
        text = text.replace(&format!("\"mediaUrl\":\"{name}\""), &format!("\"mediaUrl\":\"{address}\""));
    }
    Some(Content::Rich { body_type: *body_type, json: text.into() })
}

/// Returns the attributes that name a message's files.
pub(crate) fn attributes(files: &[MediaRef]) -> impl Iterator<Item = (Box<str>, Box<str>)> {
    files.iter().take(FILES_MAX).enumerate().map(|(n, file)| {
        let fields = [Some(&file.locator), file.content_type.as_ref(), file.file_name.as_ref()];
        let fields: Vec<String> = fields.iter().map(|field| field.map_or(String::new(), escaped)).collect();
        (format!("{ATTRIBUTE}{n}").into(), fields.join("\n").into())
    })
}

/// Escapes a field, so that it takes one line.
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
