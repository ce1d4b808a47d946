//! Support for the stories: the binary as a process, providers, a business that receives messages,
//! and waiting for facts. Knows nothing of the router's internals.

pub(crate) mod api;
pub(crate) mod cim;
pub(crate) mod forgetful_disk;
pub(crate) mod history;
pub(crate) mod http;
pub(crate) mod moved_clock;
pub(crate) mod patchbay;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod sink;

use std::{fs, future::Future, io::Write, path::Path, time::Duration};

use tokio::time::Instant;

pub(crate) use self::{
    http::{Answer, Http},
    patchbay::{Patchbay, Setup},
    peer::Peer,
    sink::Sink,
};

/// Pause between two polls of a state that announces no changes.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Time limit for a fact, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until `look` succeeds; panics with its last error after `within`.
#[track_caller]
pub(crate) fn until<'a, T, E, F>(
    what: &'a str,
    within: Duration,
    mut look: impl FnMut() -> F + 'a,
) -> impl Future<Output = T> + 'a
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let asked_at = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            match look().await {
                Ok(found) => return found,
                Err(why) if Instant::now() > deadline => {
                    panic!("{asked_at}: waited {within:?} for {what}: {why}")
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// Prints a figure, and adds it to a file of the target folder with the figures of the run.
pub(crate) fn figure(line: &str) {
    println!("{line}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures");
    fs::create_dir_all(&folder).unwrap();
    let test = std::thread::current().name().unwrap_or("?").replace("::", ".");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(folder.join(test)).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Returns the seed of a random test, from `SEED=` or a new one, and prints it.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok().map(|text| text.parse().expect("SEED is a whole number"));
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    println!("SEED={seed}");
    seed
}

/// Random numbers from a seed (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
