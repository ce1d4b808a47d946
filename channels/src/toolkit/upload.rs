//! Outbound files for providers that need the content instead of an address: the file's name, the
//! call that fetches it, and the error when it cannot be fetched.

use message::{cim::body, event::Cause};

use crate::contract::{
    MEDIA_BYTES_MAX, SendError,
    http::{Request, Response},
};

/// A file by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file's address.
    pub link: String,
    /// The name: as stated, else the end of the address, else `file`.
    pub name: String,
    /// The media type, or `application/octet-stream`.
    pub content_type: String,
    /// The size in octets, if stated.
    pub size: Option<u64>,
}

impl File {
    /// Reads the file of a body.
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

    /// Returns the call that fetches the file.
    pub fn fetched(&self) -> Request {
        download(&self.link)
    }
}

/// Returns a call that downloads a file.
pub fn download(url: &str) -> Request {
    Request { answer_bytes_max: MEDIA_BYTES_MAX, ..Request::get(url) }
}

/// Returns the error for a file that the business's own server did not deliver: it says nothing
/// about the channel.
pub fn not_fetched(response: &Response) -> SendError {
    match SendError::by_status(response) {
        SendError::Unavailable(cause)
        | SendError::Throttled { cause, .. }
        | SendError::CustomerThrottled { cause, .. }
        | SendError::Busy { cause, .. } => SendError::Unavailable(cause),
        SendError::Forbidden(cause)
        | SendError::CredentialsRefused(cause)
        | SendError::Rejected(cause)
        | SendError::RetryOnce(cause)
        | SendError::Unsubscribed(cause)
        | SendError::Unknown(cause) => {
            SendError::Rejected(Cause::new(cause.code, "the file could not be fetched from where it is"))
        }
    }
}
