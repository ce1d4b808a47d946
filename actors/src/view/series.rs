//! The counts of channels over time, as charts need them.

use message::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// One-minute counts of a channel, or of all. The last step is the current minute, which is not
/// over.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesView {
    /// The beginning of the first step.
    pub from: Timestamp,
    /// The length of a step, in seconds.
    pub step_seconds: u32,
    /// Messages of which the provider accepted the last part.
    pub sent: Vec<u64>,
    /// Messages delivered.
    pub delivered: Vec<u64>,
    /// Messages that failed.
    pub failed: Vec<u64>,
    /// Messages of customers.
    pub received: Vec<u64>,
    /// Messages that waited for the provider's answers at the end of the step.
    pub waiting: Vec<u64>,
    /// Mean time from the submit of a part to its receipt, in seconds; `None`: no receipt came.
    pub receipt_seconds: Vec<Option<f64>>,
}
