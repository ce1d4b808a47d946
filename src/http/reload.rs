//! Reads the configuration again while messages flow, and applies what differs. A file with a
//! problem changes nothing. One reload at a time; it goes on when its caller goes away.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actors::{Reconfiguration, Router, config::Tunable};
use message::{ChannelId, DestinationId};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    config::{self, ConfigError, Inventory, Plan, Settings},
    http::keys::{AdminToken, Keys},
};

/// Reads the configuration again.
pub struct Reloader {
    /// The file; `None` if the configuration came from elsewhere.
    file: Option<PathBuf>,
    router: Router,
    keys: Arc<Keys>,
    token: Arc<AdminToken>,
    /// Digests of the keys in use.
    applied: Mutex<Inventory>,
    /// Whether a signal waits for its reload.
    is_waiting: AtomicBool,
}

/// The outcome of a reload.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// Whether the plan was applied, and not only made.
    pub applied: bool,
    /// The differences.
    #[serde(flatten)]
    pub plan: Plan,
    /// The plan in words.
    pub text: Vec<String>,
    /// Things that did not go as usual.
    pub remarks: Vec<String>,
    /// Remarks of the check that do not prevent the reload.
    pub warnings: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The process has no configuration file.
    #[error("this Patchbay was started without a configuration file: there is nothing to read again")]
    NoFile,
    /// The file has problems.
    #[error("the configuration has problems; nothing was changed:\n{0}")]
    Broken(ConfigError),
    /// The change cannot be made now.
    #[error("nothing was changed: {0}")]
    Refused(String),
}

impl Reloader {
    /// Begins with the configuration that is in use.
    pub fn new(
        file: Option<PathBuf>,
        inventory: Inventory,
        router: Router,
        keys: Arc<Keys>,
        token: Arc<AdminToken>,
    ) -> Self {
        Self { file, router, keys, token, applied: Mutex::new(inventory), is_waiting: AtomicBool::new(false) }
    }

    /// Whether there is a file to read.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file and applies what differs, beside everything else. A signal during that is not
    /// lost: one more reload follows.
    pub fn hang_up(self: &Arc<Self>) {
        if self.is_waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::info!(signal = "SIGHUP", "reading the configuration again");
        let reloader = self.clone();
        #[allow(clippy::disallowed_methods, reason = "one reload and one that waits for it")]
        tokio::spawn(async move {
            let _logged = reloader.reload(false).await;
        });
    }

    /// Reads the file and applies what differs, or only makes the plan.
    ///
    /// # Errors
    /// Nothing was changed, because the file has problems or the change is refused.
    pub async fn reload(self: Arc<Self>, only_plan: bool) -> Result<Reloaded, NotReloaded> {
        #[allow(clippy::disallowed_methods, reason = "a caller that goes away must not stop it half-way")]
        let done = tokio::spawn(async move {
            let done = self.perform(only_plan).await;
            match &done {
                Ok(reloaded) => log(reloaded),
                Err(why) => log_refusal(why),
            }
            done
        });
        done.await.unwrap_or_else(|_| Err(NotReloaded::Refused("the reload failed; see the log".into())))
    }

    async fn perform(&self, only_plan: bool) -> Result<Reloaded, NotReloaded> {
        let mut applied = self.applied.lock().await;
        self.is_waiting.store(false, Ordering::Release);
        let file = self.file.clone().ok_or(NotReloaded::NoFile)?;
        let read = tokio::task::spawn_blocking(move || config::load(&file)).await;
        let read = read.map_err(|_| NotReloaded::Refused("the file could not be read".into()))?;
        let settings = read.map_err(NotReloaded::Broken)?;
        let plan = config::plan(&applied, &settings.inventory);
        let (text, warnings) = (plan.lines(), settings.warnings());
        let mut reloaded = Reloaded { applied: !only_plan, plan, text, remarks: Vec::new(), warnings };
        if only_plan || reloaded.plan.is_empty() {
            return Ok(reloaded);
        }
        let mut inventory = settings.inventory.clone();
        inventory.keep_settings(&applied, &reloaded.plan.needs_restart);
        reloaded.remarks = self.apply(settings, &reloaded.plan).await?;
        *applied = inventory;
        Ok(reloaded)
    }

    async fn apply(&self, settings: Settings, plan: &Plan) -> Result<Vec<String>, NotReloaded> {
        let grace = settings.drain_timeout;
        let change = change(settings.router, plan, grace);
        let done = self.router.control().reconfigure(change).await;
        let done = done.map_err(|why| NotReloaded::Refused(why.to_string()))?;
        // After the destinations: a new key may name a new one.
        self.keys.replace(settings.http.api_keys);
        if plan.settings.iter().any(|key| key == "admin.token") {
            self.token.replace(settings.admin.token);
        }
        Ok(done.remarks)
    }
}

/// Returns the change that leads from the configuration in use to `config`.
fn change(config: actors::Config, plan: &Plan, grace: Duration) -> Reconfiguration {
    let starts = |changes: &config::Changes, id: &str| {
        changes.added.iter().any(|added| added == id)
            || changes.changed.iter().any(|changed| changed.id == id && changed.starts_again())
    };
    let removed = |changes: &config::Changes| changes.removed.clone();
    Reconfiguration {
        tunable: Some(Tunable::of(&config)),
        order: config.channels.iter().map(|channel| channel.id.clone()).collect(),
        channels: config.channels.into_iter().filter(|c| starts(&plan.channels, c.id.as_str())).collect(),
        removed_channels: removed(&plan.channels).into_iter().map(ChannelId::new).collect(),
        destinations: config
            .destinations
            .into_iter()
            .filter(|d| starts(&plan.destinations, d.id.as_str()))
            .collect(),
        removed_destinations: removed(&plan.destinations).into_iter().map(DestinationId::new).collect(),
        grace,
    }
}

fn log(reloaded: &Reloaded) {
    let Reloaded { applied, plan, text, remarks, warnings } = reloaded;
    let unchanged = plan.channels.unchanged.len() + plan.destinations.unchanged.len();
    let what = if *applied { "configuration read again" } else { "plan of a reload; nothing was changed" };
    tracing::info!(differences = text.len(), unchanged, "{what}");
    for line in text {
        tracing::info!("{line}");
    }
    for line in remarks.iter().chain(warnings) {
        tracing::warn!("{line}");
    }
}

fn log_refusal(why: &NotReloaded) {
    let NotReloaded::Broken(problems) = why else {
        return tracing::error!(%why, "the configuration was not read again");
    };
    let count = problems.problems.len();
    tracing::error!(problems = count, "the configuration has problems; everything goes on as before");
    for line in problems.to_string().lines() {
        tracing::error!("{line}");
    }
}
