//! The process's file descriptors: the soft limit is raised to the hard one, and divided so that no
//! stranger's connection can take what the event log needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process itself: standard streams, listeners, signals, runtimes, its own log.
const OWN: usize = 48;
/// Descriptors of the event log beside its look-up files: segments, runs, files being written.
const LOG_BASE: usize = 80;
/// The largest number of look-up files that stay open.
const LOOKUP_FILES_MAX: usize = 256;
/// The largest number of customers' files that are read at once.
const MEDIA_MAX: usize = 256;
/// The largest number of idle connections to providers.
const IDLE_MAX: usize = 256;
/// The largest number of connections to the admin listener.
const ADMIN_MAX: usize = 512;
/// The least that a listener or a kind of file gets, even if the limit is too low.
const LEAST: usize = 8;

/// The largest numbers of files that the parts of the process may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// The limit of the process.
    pub limit: usize,
    /// Look-up files of the event log.
    pub lookup_files: usize,
    /// Customers' files that are being read.
    pub media: usize,
    /// Idle connections to providers.
    pub idle: usize,
    /// Connections to the public listener.
    pub public: usize,
    /// Connections to the admin listener.
    pub admin: usize,
}

impl Descriptors {
    /// Raises the limit of this process and divides it. `outbound` is the number of connections to
    /// providers and destinations that the configuration allows, `public` that of connections to
    /// the public listener.
    pub(crate) fn obtain(outbound: usize, public: usize) -> Self {
        let limit = raise();
        let shares = Self::divide(limit, outbound, public);
        metrics::gauge!("process_max_fds").set(limit as f64);
        tracing::info!(limit, public = shares.public, admin = shares.admin, "open files are limited");
        if shares.public < public {
            tracing::warn!(
                limit,
                connections_max = public,
                allowed = shares.public,
                "the limit on open files allows fewer connections than [http] connections_max; raise it (LimitNOFILE, ulimit -n)"
            );
        }
        shares
    }

    fn divide(limit: usize, outbound: usize, public: usize) -> Self {
        let part = |of: usize, max: usize| (limit / of).clamp(LEAST, max);
        let (lookup_files, media, idle) =
            (part(8, LOOKUP_FILES_MAX), part(16, MEDIA_MAX), part(32, IDLE_MAX));
        let left = limit.saturating_sub(OWN + LOG_BASE + lookup_files + media + idle);
        // Calls that find no descriptor are made later, so they leave at least half.
        let left = left.saturating_sub(outbound).max(left / 2);
        let admin = (left / 8).clamp(LEAST, ADMIN_MAX);
        let public = public.min(left.saturating_sub(admin)).max(LEAST);
        Self { limit, lookup_files, media, idle, public, admin }
    }
}

/// Raises the soft limit on open files to the hard one; returns the limit.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            current
        }
    };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_exceed_the_limit() {
        for limit in [256, 512, 1_024, 4_096, 65_536, 1_048_576, usize::MAX] {
            for outbound in [0, 16, 32] {
                let shares = Descriptors::divide(limit, outbound, 10_000);
                let Descriptors { lookup_files, media, idle, public, admin, .. } = shares;
                let all = OWN + LOG_BASE + lookup_files + media + idle + outbound + public + admin;
                assert!(all <= limit, "{limit} {outbound}: {all} {shares:?}");
                assert!(public >= LEAST && admin >= LEAST);
            }
        }
        assert_eq!(Descriptors::divide(1_048_576, 100, 10_000).public, 10_000);
        assert_eq!(Descriptors::divide(1_048_576, 100, 10).public, 10);
        let low = Descriptors::divide(1_024, 50, 10_000);
        assert!(low.public > 400 && low.public < 700, "{low:?}");
        // A configuration with more calls than descriptors leaves half to connections.
        assert!(Descriptors::divide(1_024, 100_000, 10_000).public > 250);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        assert_eq!(now.current.map_or(usize::MAX, |limit| limit as usize), limit);
    }
}
