//! Customers' files: fetched with their channel's credentials, kept for a while, given to whoever has their address. A
//! file that cannot be had is told with the provider's reason; no secret is.

use std::{sync::Arc, time::Duration};

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
        Shared,
        media_queue::{NoFile, Wanted},
        media_store::MediaFile,
    },
    entry::router::Router,
    seams::Call,
};

/// Calls for one file.
const STEPS_MAX: usize = 4;
/// How long one call for a file may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at what is old or too much.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
impl Router {
    /// A customer's file by its address: from here, or from the provider.
    ///
    /// # Errors
    /// When there is none of this address, or it cannot be had now.
    pub async fn media(&self, channel: &ChannelId, token: &str) -> Result<MediaFile, NoFile> {
        let (Some(config), Some(files)) = (&self.shared.config.media, &self.shared.files) else {
            return Err(NoFile::Unknown);
        };
        let (ix, _) = self.shared.channel(channel).ok_or(NoFile::Unknown)?;
        let file = media_token::open(&config.key, channel.as_str(), token).ok_or(NoFile::Unknown)?;
        let name = media_token::name(channel.as_str(), &file);
        if let Some(kept) = files.store.read(&name).await {
            return Ok(MediaFile { name: file.file_name, ..kept });
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
async fn fetched(shared: &Arc<Shared>, channel: ChannelIx, wanted: &MediaRef) -> Result<MediaFile, NoFile> {
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
    let file = MediaFile {
        content_type: told.unwrap_or("application/octet-stream").into(),
        name: wanted.file_name.clone(),
        octets: response.body,
    };
    if let (Some(files), Some(entry)) = (&shared.files, shared.channels.get(channel)) {
        files.store.write(&media_token::name(entry.config.id.as_str(), wanted), &file).await;
    }
    Ok(file)
}
