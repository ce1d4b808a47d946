//! The simulated SMSC's memory, which outlives connections and routers: what it took, what it must
//! still deliver, and what it will report of each part, drawn when it takes it.

use message::{PartState, PartStatus};

use crate::{
    rng::Rng,
    script::{IdStyle, MoPlan},
};

/// A part that the SMSC took.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) message: usize,
    pub(crate) part: u16,
    pub(crate) id: String,
    pub(crate) at_ms: u64,
    pub(crate) text: String,
    pub(crate) customer: String,
    /// The router's own name for the part, where it is told one.
    pub(crate) reference: Option<String>,
    /// How it will end, as SMPP numbers it.
    pub(crate) state: u8,
}

/// A submit that came, taken or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at_ms: u64,
    pub(crate) message: usize,
}

/// Something to be delivered until it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) kind: JobKind,
    pub(crate) state: JobState,
    pub(crate) sends: u32,
    pub(crate) acked: bool,
    /// The link on which it was delivered is gone, and with it perhaps its acknowledgement.
    pub(crate) is_lost: bool,
    /// Chooses the connection.
    salt: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum JobKind {
    Receipt { copy: usize, id: String, word: &'static str, with_tlv: bool, shape: u8 },
    Mo { mo: usize, part: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    Due(u64),
    With(u64),
    Done,
}

/// One SMSC; it outlives the router.
pub(crate) struct Smsc {
    style: IdStyle,
    next_number: u64,
    /// The next number of each node.
    nodes: [u64; 3],
    pub(crate) copies: Vec<Copy>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) jobs: Vec<Job>,
    /// Connections that can receive.
    pub(crate) receivers: Vec<u64>,
    pub(crate) attempts: u64,
    /// The number of the newest update that was told to somebody who asked.
    pub(crate) updates: u64,
}

/// The meaning of a receipt's status word.
pub(crate) fn state_of(word: &str) -> PartState {
    match word {
        "DELIVRD" => PartState::reached(PartStatus::Delivered),
        "ENROUTE" => PartState::reached(PartStatus::Enroute),
        "ACCEPTD" | "UNKNOWN" => PartState::reached(PartStatus::Sent),
        _ => PartState::failure(),
    }
}

impl Smsc {
    pub(crate) fn new(base: u64, style: IdStyle) -> Self {
        Self {
            style,
            next_number: base,
            nodes: [0; 3],
            copies: Vec::new(),
            arrivals: Vec::new(),
            jobs: Vec::new(),
            receivers: Vec::new(),
            attempts: 0,
            updates: 0,
        }
    }

    /// A customer writes.
    pub(crate) fn write(&mut self, n: usize, mo: &MoPlan, rng: &mut Rng) {
        let mut order: Vec<usize> = (0..mo.parts.len()).collect();
        rng.shuffle(&mut order);
        for part in order {
            let due = mo.at_ms + rng.pick(&[0, 0, 40, 3_000]);
            self.add(JobKind::Mo { mo: n, part }, due, rng);
        }
    }

    fn add(&mut self, kind: JobKind, due: u64, rng: &mut Rng) {
        let salt = rng.next();
        self.jobs.push(Job { kind, state: JobState::Due(due), sends: 0, acked: false, is_lost: false, salt });
    }

    /// Every connection is gone.
    pub(crate) fn all_gone(&mut self) {
        self.receivers.clear();
        for job in &mut self.jobs {
            if matches!(job.state, JobState::With(_)) {
                (job.state, job.is_lost) = (JobState::Due(0), true);
            }
        }
    }

    pub(crate) fn gone(&mut self, connection: u64, now: u64) {
        self.receivers.retain(|known| *known != connection);
        for job in &mut self.jobs {
            if job.state == JobState::With(connection) {
                (job.state, job.is_lost) = (JobState::Due(now + 300), true);
            }
        }
    }

    /// The number of the next part to a customer.
    fn number(&mut self, customer: &str) -> u64 {
        let counter = match self.style {
            IdStyle::Nodes => {
                let node = customer.bytes().map(usize::from).sum::<usize>() % self.nodes.len();
                &mut self.nodes[node]
            }
            _ => &mut self.next_number,
        };
        *counter += 1;
        *counter
    }

    /// The id in an answer, and in receipts.
    fn spell(&self, number: u64) -> (String, String) {
        match self.style {
            IdStyle::Decimal | IdStyle::Nodes => (number.to_string(), number.to_string()),
            IdStyle::HexThenDecimal => (format!("{number:x}"), number.to_string()),
            IdStyle::DecimalThenHex => (number.to_string(), format!("{number:X}")),
            IdStyle::CaseChanges => (format!("AB{number:X}"), format!("ab{number:x}")),
            IdStyle::ZerosVanish => (format!("{number:016}"), number.to_string()),
        }
    }

    /// Takes a part, and plans what will be reported of it; gives its id.
    pub(crate) fn take(&mut self, mut copy: Copy, answer_ms: u64, quiet: bool, rng: &mut Rng) -> String {
        let number = self.number(&copy.customer);
        let (answered, reported) = self.spell(number);
        copy.id = answered.clone();
        let now = copy.at_ms;
        let last =
            rng.pick(&["DELIVRD", "DELIVRD", "DELIVRD", "DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", ""]);
        copy.state = match last {
            "DELIVRD" => 2,
            "UNDELIV" => 5,
            "EXPIRED" => 3,
            "REJECTD" => 8,
            _ => 1,
        };
        let at = self.copies.len();
        self.copies.push(copy);
        let mut words = Vec::new();
        if rng.chance(150) {
            words.push(rng.pick(&["ENROUTE", "ACCEPTD"]));
        }
        if !last.is_empty() {
            words.push(last);
        }
        if !quiet && last == "UNDELIV" && rng.chance(200) {
            words.push("DELIVRD");
        }
        if !quiet && rng.chance(80) {
            words.extend(words.clone());
        }
        for word in words {
            let delay = match rng.weighed(&[50, 15, 20, 15]) {
                0 => answer_ms + rng.within(1, 2_000),
                1 => rng.below(answer_ms + 1),
                2 => answer_ms,
                _ => rng.within(1, 9_000),
            };
            let with_tlv = rng.chance(400);
            let (id, shape) = (reported.clone(), rng.below(8) as u8);
            self.add(JobKind::Receipt { copy: at, id, word, with_tlv, shape }, now + delay, rng);
        }
        answered
    }

    /// The next thing for a connection, and when there will be one.
    pub(crate) fn next_job(&self, connection: u64, now: u64) -> (Option<usize>, u64) {
        let mut next = u64::MAX;
        if !self.receivers.contains(&connection) {
            return (None, next);
        }
        for (n, job) in self.jobs.iter().enumerate() {
            let JobState::Due(due) = job.state else { continue };
            if self.receivers[job.salt as usize % self.receivers.len()] != connection {
                continue;
            }
            if due <= now {
                return (Some(n), now);
            }
            next = next.min(due);
        }
        (None, next)
    }
}

impl Copy {
    /// The answer to a query.
    pub(crate) fn final_state(&self) -> PartState {
        match self.state {
            2 => PartState::reached(PartStatus::Delivered),
            3 | 5 | 8 => PartState::failure(),
            _ => PartState::reached(PartStatus::Sent),
        }
    }
}
