//! Customers' files: fetched with their channel's credentials, kept for a while, given to whoever has their address. A
//! file that cannot be had is told with the provider's reason; no secret is.

mod store;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use channels::{
    Fetch, MediaRef,
    http::{Request, Response},
    toolkit::media_token,
};
use message::{ChannelId, Content};
use tokio::sync::{Semaphore, mpsc};

use self::store::Store;
use crate::{
    link::caller::{Called, Caller},
    router::Router,
    seams::Call,
    shared::{ChannelIx, Shared},
};

/// Files fetched at once.
const FETCHES_MAX: usize = 8;
/// Files that wait to be fetched before anybody asked; more are fetched when they are asked for.
const WAITING_MAX: usize = 1_024;
/// Calls for one file.
const STEPS_MAX: usize = 4;
/// How long one call for a file may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at what is old or too much.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The fact beside a message that names its n-th file begins so.
pub(crate) const ATTRIBUTE: &str = "media:";
/// The files of one message that are kept track of.
pub(crate) const FILES_MAX: usize = 32;

/// Where files are kept, and how the business gets them.
#[derive(Clone)]
pub struct MediaConfig {
    /// How Patchbay is reached from outside.
    pub public_url: Arc<str>,
    /// What signs the addresses.
    pub key: Arc<[u8]>,
    /// Where files are kept.
    pub folder: Arc<Path>,
    /// The most octets of all of them.
    pub bytes_max: u64,
}

impl fmt::Debug for MediaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, key ***", self.public_url, self.folder.display())
    }
}

impl MediaConfig {
    /// The address of a file of a channel.
    pub(crate) fn url(&self, channel: &ChannelId, file: &MediaRef) -> String {
        let token = media_token::token(&self.key, channel.as_str(), file);
        format!("{}/media/{channel}/{token}", self.public_url.trim_end_matches('/'))
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its media type.
    pub content_type: Box<str>,
    /// Its name, if the provider said one.
    pub name: Option<Box<str>>,
    /// Its octets.
    pub octets: Bytes,
}

/// Why a file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFile {
    /// Nothing has this address. Answer 404.
    #[error("there is no such file")]
    Unknown,
    /// The provider does not give it. Answer 502.
    #[error("the provider does not give the file: {0}")]
    Refused(String),
    /// Not now. Answer 503.
    #[error("too many files are fetched at once")]
    Busy,
}

/// Files to be fetched before anybody asks.
pub(crate) struct Wanted {
    pub(crate) channel: ChannelIx,
    pub(crate) file: MediaRef,
}

/// What the router keeps for files.
pub(crate) struct Files {
    store: Store,
    room: Arc<Semaphore>,
    waiting: mpsc::Sender<Wanted>,
}

impl Files {
    /// With what is fetched ahead on the other end.
    pub(crate) fn new(config: &MediaConfig) -> (Self, mpsc::Receiver<Wanted>) {
        let (waiting, wanted) = mpsc::channel(WAITING_MAX);
        let store = Store::new(config.folder.clone(), config.bytes_max);
        (Self { store, room: Arc::new(Semaphore::new(FETCHES_MAX)), waiting }, wanted)
    }

    /// Has a file fetched soon. What finds no room is fetched when it is asked for.
    pub(crate) fn want(&self, wanted: Wanted) {
        if self.waiting.try_send(wanted).is_err() {
            metrics::counter!("patchbay_media_not_fetched_ahead_total").increment(1);
        }
    }
}

impl Router {
    /// A customer's file by its address: from here, or from the provider.
    ///
    /// # Errors
    /// When there is none of this address, or it cannot be had now.
    pub async fn media(&self, channel: &ChannelId, token: &str) -> Result<File, NoFile> {
        let (Some(config), Some(files)) = (&self.shared.config.media, &self.shared.files) else {
            return Err(NoFile::Unknown);
        };
        let (ix, _) = self.shared.channel(channel).ok_or(NoFile::Unknown)?;
        let file = media_token::open(&config.key, channel.as_str(), token).ok_or(NoFile::Unknown)?;
        let name = media_token::name(channel.as_str(), &file);
        if let Some(kept) = files.store.read(&name).await {
            return Ok(File { name: file.file_name, ..kept });
        }
        let _permit = files.room.try_acquire().map_err(|_| NoFile::Busy)?;
        fetched(&self.shared, ix, &file).await
    }
}

/// Fetches what is wanted, and removes what is old, until the router ends.
pub(crate) async fn run(shared: std::sync::Weak<Shared>, mut wanted: mpsc::Receiver<Wanted>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let next = tokio::select! {
            biased;
            _ = sweep.tick() => None,
            next = wanted.recv() => match next {
                Some(next) => Some(next),
                None => return,
            },
        };
        let Some(shared) = shared.upgrade() else { return };
        let Some(files) = &shared.files else { return };
        match next {
            None => files.store.sweep(shared.config.retention, shared.now()).await,
            Some(next) => {
                let Ok(permit) = files.room.clone().acquire_owned().await else { return };
                let shared = shared.clone();
                #[allow(clippy::disallowed_methods, reason = "one file; bounded by its permit")]
                tokio::spawn(async move {
                    // What cannot be had is told to whoever asks for it.
                    let _seen_in_the_exchanges = fetched(&shared, next.channel, &next.file).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Fetches a file, and keeps it.
async fn fetched(shared: &Arc<Shared>, channel: ChannelIx, wanted: &MediaRef) -> Result<File, NoFile> {
    let caller = Caller::new(shared.clone(), channel).ok_or(NoFile::Unknown)?;
    let Some((http, config)) = caller.provider() else { return Err(NoFile::Unknown) };
    let mut answers: Vec<Response> = Vec::new();
    let mut asked: Option<Arc<Request>> = None;
    let outcome = loop {
        let request = match http.fetch(wanted, &answers) {
            Ok(Fetch::Next(request)) if answers.len() < STEPS_MAX => Arc::new(request),
            Ok(Fetch::Next(_)) => break Err(format!("no file after {STEPS_MAX} calls")),
            Ok(Fetch::Got) => break Ok(()),
            Err(error) => {
                let text = error.to_string();
                break Err(asked.map_or(text.clone(), |request| request.redacted(&text)));
            }
        };
        asked = Some(request.clone());
        let call = Call::file(request, config.route.clone());
        let (called, exchange) = caller.perform(call, None, CALL_TIMEOUT).await;
        caller.keep(exchange);
        match called {
            Called::Answered(response) => answers.push(response),
            Called::Failed(error) => break Err(error.reason),
            Called::Waiting(_) => break Err("no answer in time".to_owned()),
        }
    };
    let label = if outcome.is_ok() { "fetched" } else { "failed" };
    metrics::counter!("patchbay_media_total", "outcome" => label).increment(1);
    outcome.map_err(NoFile::Refused)?;
    let response = answers.pop().ok_or(NoFile::Unknown)?;
    let told = wanted.content_type.as_deref().or_else(|| response.header("content-type"));
    let file = File {
        content_type: told.unwrap_or("application/octet-stream").into(),
        name: wanted.file_name.clone(),
        octets: response.body,
    };
    if let (Some(files), Some(entry)) = (&shared.files, shared.channels.get(channel)) {
        files.store.write(&media_token::name(entry.config.id.as_str(), wanted), &file).await;
    }
    Ok(file)
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
