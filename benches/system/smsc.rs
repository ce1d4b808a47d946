//! The simulated SMSC as a process, and its control port. It only counts, to cost little.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Plan, Result,
    process::{LOOK, Process, now},
};

/// How long after the submit a receipt comes.
const RECEIPT_DELAY: &str = "1s";
pub const RECEIPT_DELAY_MS: u64 = 1_000;

pub struct Smsc {
    pub process: Process,
    pub address: SocketAddr,
    control_at: String,
    control: Option<TcpStream>,
}

impl Smsc {
    /// Starts an SMSC whose receipts come one second after the submit.
    pub fn start(plan: &Plan, folder: &Path) -> Result<Self> {
        Self::with(plan, folder, "smsc", &[])
    }

    /// Starts an SMSC with further settings.
    pub fn with(plan: &Plan, folder: &Path, name: &'static str, settings: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
        command.args(["sim", "smsc", "--listen", "127.0.0.1:0", "--control-port", "0"]);
        command.args(["--receipt-delay", RECEIPT_DELAY, "--set", "remember=counts"]);
        command.args(["--latency", &format!("{}ms", plan.smsc_latency_ms)]);
        command.args(["--set", &format!("mo_customers={}", plan.customers)]);
        for (key, value) in settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        let mut process = Process::start(name, &mut command, folder)?;
        let address = process.line_after("simulated SMSC")?.parse()?;
        let url = process.line_after("control port")?;
        Ok(Self { process, address, control_at: url.trim_start_matches("http://").to_owned(), control: None })
    }

    /// Returns one of its counts.
    pub fn count(&mut self, name: &str) -> Result<u64> {
        let counts = self.ask("GET", "/counts", "")?;
        Ok(counts.get(name).and_then(Value::as_u64).unwrap_or(0))
    }

    /// Changes its script.
    pub fn change(&mut self, script: &str) -> Result<()> {
        self.ask("PATCH", "/script", script).map(|_| ())
    }

    /// Waits until a count reaches a number; returns when.
    pub fn wait(&mut self, name: &str, number: u64, limit: Duration) -> Result<Instant> {
        let until = now() + limit;
        loop {
            let count = self.count(name)?;
            if count >= number {
                return Ok(now());
            }
            if now() > until {
                return Err(format!("the SMSC counts {count} {name}, not {number}, after {limit:?}").into());
            }
            thread::sleep(LOOK);
        }
    }

    /// An idle connection may have been closed meanwhile, so a request is tried twice.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        if let Ok(answer) = self.ask_once(method, path, body) {
            return Ok(answer);
        }
        self.control = None;
        self.process.still_runs()?;
        self.ask_once(method, path, body)
    }

    fn ask_once(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        let control = match &mut self.control {
            Some(control) => control,
            none => {
                let control = TcpStream::connect(&self.control_at)?;
                control.set_nodelay(true)?;
                control.set_read_timeout(Some(Duration::from_secs(10)))?;
                none.insert(control)
            }
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: smsc\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        control.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = control.read(&mut chunk)?;
            answer.extend_from_slice(&chunk[..count]);
            if let Some((status, from, length)) = crate::driver::head(&answer)
                && answer.len() >= from + length
            {
                let body = &answer[from..from + length];
                if status != 200 {
                    return Err(format!("the SMSC: {}", String::from_utf8_lossy(body)).into());
                }
                return Ok(serde_json::from_slice(body)?);
            }
            if count == 0 {
                return Err("the SMSC closed its control port".into());
            }
        }
    }
}
