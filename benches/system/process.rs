//! Child processes: output in a file, measured through `/proc`, killed on drop. Nothing of a run
//! outlives it.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// How often a condition is polled.
pub const LOOK: Duration = Duration::from_millis(10);
/// How long a process may take to start, or to stop when asked.
const START: Duration = Duration::from_secs(30);
/// Linux counts processor time in hundredths of a second on every platform Rust supports.
const TICKS_PER_S: f64 = 100.0;

#[allow(clippy::disallowed_methods, reason = "a bench measures time; everything here asks this function")]
pub fn now() -> Instant {
    Instant::now()
}

pub struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Process {
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self> {
        let output = folder.join(format!("{name}.out"));
        let file = File::create(&output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|e| format!("{name} cannot be started: {e}"))?;
        Ok(Self { name, child, output })
    }

    /// Waits for the first output line that contains `mark`; returns the line from there on.
    pub fn line_after(&mut self, mark: &str) -> Result<String> {
        let until = now() + START;
        while now() < until {
            let text = fs::read_to_string(&self.output)?;
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some((_, rest)) = whole.lines().find_map(|line| line.split_once(mark)) {
                return Ok(rest.trim().to_owned());
            }
            self.still_runs()?;
            thread::sleep(LOOK);
        }
        Err(format!("{} did not say {mark:?}: {}", self.name, self.output.display()).into())
    }

    /// Fails with the end of the output if the process has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let text = fs::read_to_string(&self.output)?;
                Err(format!("{} ended ({status}):\n{text}", self.name).into())
            }
        }
    }

    /// Returns user and system time so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        cpu_of(&stat)
    }

    /// Returns the largest resident memory so far, in bytes.
    pub fn rss_bytes_max(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// Returns the resident memory, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    fn memory_bytes(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Sends SIGTERM and waits.
    pub fn stop(mut self) -> Result<()> {
        // The child was not waited for, so its id cannot belong to another process.
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let until = now() + START;
        while now() < until {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        Err(format!("{} did not end when asked to", self.name).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Usually it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the processor time of this process (driver and sink), in seconds.
pub fn own_cpu_s() -> f64 {
    cpu_of(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

fn cpu_of(stat: &str) -> f64 {
    // The second field is a name in brackets that may hold spaces. User and system time are the
    // fields 14 and 15.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
}

/// Returns the disk space used by the files of a folder, in bytes.
pub fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => disk_bytes(&entry.path()),
        Ok(facts) => facts.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Returns a free port, for a program that cannot choose one itself.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until a port accepts connections.
pub fn wait_for_port(address: SocketAddr) -> Result<()> {
    let until = now() + START;
    while TcpStream::connect(address).is_err() {
        if now() > until {
            return Err(format!("nobody listens on {address}").into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// A folder for one run, removed afterwards unless it is to be kept.
pub struct Folder {
    pub path: PathBuf,
    keep: bool,
}

impl Folder {
    pub fn new(below: &Path, keep: bool) -> Result<Self> {
        fs::create_dir_all(below)?;
        let path = tempfile::Builder::new().prefix("system-").tempdir_in(below)?.keep();
        if keep {
            println!("kept: {}", path.display());
        }
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
