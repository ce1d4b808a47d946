//! Work for later: receipts, webhooks and file fetches by the time at which they are due. Never
//! reads a clock.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::contract::{Message, ReportStatus, Signature, StatusReport};

/// Maximum number of waiting jobs; further ones are dropped.
const JOBS_MAX: usize = 1_000_000;

/// A unit of work with a due time.
pub(super) enum Job {
    Receipt(Report),
    Webhook(PendingWebhook),
    Fetch(FileFetch),
}

/// A receipt that is to be posted.
pub(super) struct Report {
    pub(super) message: Arc<Message>,
    pub(super) status: ReportStatus<'static>,
    pub(super) code: Option<String>,
}

impl Report {
    pub(super) fn as_ref(&self) -> StatusReport<'_> {
        StatusReport { message: &self.message, status: self.status, code: self.code.as_deref() }
    }
}

/// A file of a message, which the provider fetches.
pub(super) struct FileFetch {
    pub(super) message_id: String,
    pub(super) url: String,
}

/// A webhook before one of its attempts.
#[derive(Clone)]
pub(super) struct PendingWebhook {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) events: Arc<[Value]>,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) signature: Signature,
}

/// All jobs, by due time and then by age; and the next message of the background customers.
#[derive(Default)]
pub(super) struct Agenda {
    jobs: BTreeMap<(u64, u64), Job>,
    added: u64,
    customers_due: Option<u64>,
}

impl Agenda {
    pub(super) fn add(&mut self, due_ms: u64, job: Job) {
        if self.jobs.len() < JOBS_MAX {
            self.added += 1;
            self.jobs.insert((due_ms, self.added), job);
        }
    }

    /// Removes and returns the oldest job that is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Job> {
        Some(self.jobs.first_entry().filter(|entry| entry.key().0 <= now_ms)?.remove())
    }

    /// Starts or stops the messages that customers write by themselves.
    pub(super) fn set_customers(&mut self, write: bool, now_ms: u64) {
        self.customers_due = write.then(|| self.customers_due.unwrap_or(now_ms));
    }

    /// Returns when the next customer writes, if that is due.
    pub(super) fn customer_due(&self, now_ms: u64) -> Option<u64> {
        self.customers_due.filter(|due| *due <= now_ms)
    }

    pub(super) fn plan_customer(&mut self, due_ms: u64) {
        self.customers_due = Some(due_ms);
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let job = self.jobs.first_key_value().map(|((due, _), _)| *due);
        [job, self.customers_due].into_iter().flatten().min()
    }
}
