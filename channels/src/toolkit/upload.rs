//! Files of the business on their way out, for providers to which they are brought instead of only named: how a file is
//! called, and what it means when it cannot be fetched from where it is.

use message::{cim::body, event::Cause};

use crate::contract::{
    MEDIA_BYTES_MAX, SendError,
    http::{Request, Response},
};

/// A file by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub link: String,
    /// Its name: as it is said, else the end of its address, else `file`.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its size in octets, if it is said.
    pub size: Option<u64>,
}

impl File {
    /// The file of a body.
    pub fn of(media: &body::Media<'_>) -> Self {
        let file = &media.attachment;
        let path = file.media_url.split(['?', '#']).next().unwrap_or_default();
        let after_host = path.split_once("://").map_or(path, |(_, rest)| rest);
        let from_path = after_host.rsplit_once('/').map_or("", |(_, name)| name);
        let name = [&*file.media_name, from_path, "file"].into_iter().find(|name| !name.is_empty());
        let content_type =
            if file.mime_type.is_empty() { "application/octet-stream" } else { &*file.mime_type };
        Self {
            link: file.media_url.to_string(),
            name: name.unwrap_or_default().to_owned(),
            content_type: content_type.to_owned(),
            size: file.size.0.filter(|size| *size >= 1.0).map(|size| size as u64),
        }
    }

    /// The call that fetches it.
    pub fn fetched(&self) -> Request {
        download(&self.link)
    }
}

/// A call for a file.
pub fn download(url: &str) -> Request {
    Request { answer_bytes_max: MEDIA_BYTES_MAX, ..Request::get(url) }
}

/// Why the business's own file server did not give a file: whatever it answers says nothing about the channel.
pub fn not_fetched(response: &Response) -> SendError {
    match SendError::by_status(response) {
        SendError::Unavailable(cause) | SendError::Throttled { cause, .. } => SendError::Unavailable(cause),
        SendError::CredentialsRefused(cause)
        | SendError::Rejected(cause)
        | SendError::RetryOnce(cause)
        | SendError::Unsubscribed(cause)
        | SendError::Unknown(cause) => {
            SendError::Rejected(Cause::new(cause.code, "the file could not be fetched from where it is"))
        }
    }
}
