//! Keeps the channels' minutes over a restart, in a file of the log's folder. They are figures for
//! people: a file that cannot be read is dropped, and one that cannot be written is told once.

use std::sync::Arc;

use message::ChannelId;
use serde::{Deserialize, Serialize};

use crate::{context::Context, domain::series::KeptMinutes};

/// The file, beside the segments of the log.
const FILE: &str = "series";

/// The content of the file.
#[derive(Serialize, Deserialize)]
enum KeptSeries {
    V1(Vec<(ChannelId, KeptMinutes)>),
}

/// Reads the minutes of earlier runs. Channels that are no longer configured are forgotten.
pub(crate) fn restore(context: &Context) {
    let bytes = match context.log.read_aside(FILE) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return,
        Err(error) => return tell_dropped(&error),
    };
    let kept = match storage::decode_snapshot(&bytes) {
        Ok(KeptSeries::V1(kept)) => kept,
        Err(error) => return tell_dropped(&error),
    };
    let now = context.now();
    for (channel, minutes) in kept {
        if let Some((_, entry)) = context.directory.channel_by_id(&channel) {
            entry.tally.restore(minutes, now);
        }
    }
}

fn tell_dropped(error: &dyn std::fmt::Display) {
    tracing::warn!(%error, "the counts of the last day cannot be read: they begin anew");
}

/// Writes the minutes of all channels. Returns the number of bytes; waits for the disk.
pub(crate) fn store(context: &Arc<Context>) -> usize {
    let channels = context.directory.channels();
    let kept = channels.map(|(_, entry)| (entry.config.id.clone(), entry.tally.kept()));
    let kept = KeptSeries::V1(kept.filter(|(_, minutes)| !minutes.is_empty()).collect());
    let written = storage::encode_snapshot(&kept).map_err(|error| error.to_string()).and_then(|bytes| {
        context.log.write_aside(FILE, &bytes).map(|()| bytes.len()).map_err(|error| error.to_string())
    });
    written.unwrap_or_else(|error| {
        tracing::warn!(error, "the counts of the last day cannot be kept for the next start");
        0
    })
}
