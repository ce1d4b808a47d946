//! `patchbay tail`: prints the events of a running Patchbay as they happen.

use channels::url::percent_encode;
use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use message::Timestamp;
use serde::Deserialize;

use super::{admin::AdminArguments, client::Answer};
use crate::{console, instant, run::Failure};

/// The longest line of the stream, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

const EXAMPLES: &str = "Examples:\n  patchbay tail\n  patchbay tail --channel sms --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TailArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// Only events of this channel
    #[arg(long)]
    channel: Option<String>,
    /// Only events of this session
    #[arg(long)]
    session: Option<String>,
    /// Only events of this message
    #[arg(long)]
    message: Option<String>,
    /// Print each event as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrintedEvent {
    at: u64,
    event: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    message_id: String,
    part: Option<u16>,
    #[serde(default)]
    detail: String,
}

pub(super) async fn perform(arguments: TailArguments) -> Result<(), Failure> {
    let admin = arguments.admin.client()?;
    let client = admin.client();
    let filters =
        [("channel", &arguments.channel), ("session", &arguments.session), ("message", &arguments.message)];
    let query: Vec<String> = filters
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|v| format!("{key}={}", percent_encode(v))))
        .collect();
    let answer = client.open(Method::GET, &format!("/api/tail?{}", query.join("&")), None).await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = answer.into_body();
    if status != 200 {
        let body = body.collect().await.map_err(Failure::running)?.to_bytes();
        return Err(client.refused(&Answer { status, headers, body }));
    }
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::Running(format!("the connection was lost: {e}")))?;
        rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if show(&line, arguments.json).is_err() {
                return Ok(());
            }
        }
        if rest.len() > LINE_BYTES_MAX {
            return Err(Failure::running("a line of the stream is too long"));
        }
    }
    Err(Failure::running("Patchbay ended the stream"))
}

/// Prints a line. An error means that standard output is closed.
fn show(line: &[u8], as_json: bool) -> std::io::Result<()> {
    let Some(data) = line.trim_ascii_end().strip_prefix(b"data: ") else { return Ok(()) };
    let mut text = match serde_json::from_slice::<PrintedEvent>(data) {
        Ok(line) if !as_json => {
            let part = line.part.map(|p| format!(" part {p}")).unwrap_or_default();
            let at = instant::rfc3339(Timestamp(line.at));
            format!("{at} {:<18} {:<12} {}{part} {}", line.event, line.channel, line.message_id, line.detail)
                .into_bytes()
        }
        _ => data.to_vec(),
    };
    text.push(b'\n');
    console::bytes(&text)
}
