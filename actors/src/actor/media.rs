//! Customers' files: fetched with their channel's credentials, stored for a while, and given to any
//! caller with their address. Errors carry the provider's reason and no secret.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use channels::{
    Fetch, MediaRef,
    http::{Request, Response},
    toolkit::media_token,
};
use message::ChannelId;
use tokio::sync::mpsc;

use crate::{
    actor::link::caller::{Called, Caller},
    config::ChannelIx,
    context::{
        Context,
        media_queue::FetchRequest,
        media_store::{FetchedFile, MediaFile, NoFile},
    },
    seams::Call,
};

/// Maximum number of calls for one file; a file that needs more is refused.
const STEPS_MAX: usize = 4;
/// Maximum time of one call for a file.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two removals of old files.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Returns a customer's file by its address, from the disk or from the provider.
///
/// # Errors
///
/// Returns the reason if the address is unknown or the file cannot be given now.
pub(crate) async fn file(
    context: &Arc<Context>,
    channel: &ChannelId,
    token: &str,
) -> Result<MediaFile, NoFile> {
    let media = context.media.as_ref().ok_or(NoFile::Unknown)?;
    let ix = context.directory.channel_ix(channel).ok_or(NoFile::Unknown)?;
    let file = media_token::open(&media.config.key, channel.as_str(), token).ok_or(NoFile::Unknown)?;
    let name = media_token::name(channel.as_str(), &file);
    let found = match media.store.open(&name).await? {
        Some(kept) => kept,
        None => {
            let slot = media.try_slot().ok_or(NoFile::Busy)?;
            let fetched = fetch(context, ix, &file).await?;
            match media.store.open(&name).await? {
                Some(kept) => kept,
                None => MediaFile::fetched(fetched, slot),
            }
        }
    };
    Ok(found.named(file.file_name))
}

/// Fetches queued files and removes old ones, until the router ends.
pub(crate) async fn run(context: Weak<Context>, mut requests: mpsc::Receiver<FetchRequest>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let next = tokio::select! {
            biased;
            _ = sweep.tick() => None,
            next = requests.recv() => match next {
                Some(next) => Some(next),
                None => return,
            },
        };
        let Some(context) = context.upgrade() else { return };
        let Some(media) = &context.media else { return };
        match next {
            None => {
                let retention = context.tunable().retention;
                media.store.sweep(retention, context.moment().sure).await;
            }
            Some(next) => {
                let Some(slot) = media.slot().await else { return };
                let context = context.clone();
                #[allow(clippy::disallowed_methods, reason = "one file, limited by its slot")]
                tokio::spawn(async move {
                    // A failure is in the trace, and is reported to the caller that asks for the
                    // file.
                    let _reported_on_demand = fetch(&context, next.channel, &next.file).await;
                    drop(slot);
                });
            }
        }
    }
}

/// Fetches a file from the provider and stores it.
async fn fetch(context: &Arc<Context>, channel: ChannelIx, wanted: &MediaRef) -> Result<FetchedFile, NoFile> {
    let caller = Caller::new(context.clone(), channel).ok_or(NoFile::Unknown)?;
    let fetched = call(&caller, wanted).await;
    let label = if fetched.is_ok() { "fetched" } else { "failed" };
    metrics::counter!("patchbay_media_total", "outcome" => label).increment(1);
    let response = fetched?;
    let content_type = wanted.content_type.as_deref().or_else(|| response.header("content-type"));
    let file = FetchedFile {
        content_type: content_type.unwrap_or("application/octet-stream").into(),
        octets: response.body,
    };
    if let (Some(media), Some(entry)) = (&context.media, context.directory.channel(channel)) {
        media.store.write(&media_token::name(entry.config.id.as_str(), wanted), &file).await;
    }
    Ok(file)
}

/// Makes the calls for a file and returns the last answer.
async fn call(caller: &Caller, wanted: &MediaRef) -> Result<Response, NoFile> {
    let Some((http, config)) = caller.provider() else { return Err(NoFile::Unknown) };
    let mut answers: Vec<Response> = Vec::new();
    let mut asked: Option<Arc<Request>> = None;
    loop {
        let request = match http.fetch(wanted, &answers) {
            Ok(Fetch::Next(request)) if answers.len() < STEPS_MAX => Arc::new(request),
            Ok(Fetch::Next(_)) => return Err(NoFile::Refused(format!("no file after {STEPS_MAX} calls"))),
            Ok(Fetch::Got) => return answers.pop().ok_or(NoFile::Unknown),
            Err(error) => {
                let text = error.to_string();
                let hidden = asked.map_or(text.clone(), |request| request.redacted(&text));
                return Err(NoFile::Refused(hidden));
            }
        };
        asked = Some(request.clone());
        let file = Call::file(request, config.route.clone());
        let (called, exchange) = caller.call_once(file, None, CALL_TIMEOUT).await;
        caller.keep(exchange);
        match called {
            Called::Answered(response) => answers.push(response),
            Called::Failed(error) => return Err(NoFile::Refused(error.reason)),
            Called::Waiting(_) => return Err(NoFile::Refused("no answer in time".to_owned())),
        }
    }
}
