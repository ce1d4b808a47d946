//! Addresses of simulators: the given one, or the usual port or the next free one.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::run::Failure;

/// How many ports are tried, from the usual one on.
const PORTS_MAX: u16 = 100;

/// A bound address.
pub(super) struct Bound {
    pub(super) tcp: TcpListener,
    pub(super) address: SocketAddr,
    /// Says that the usual port is in use, if it is.
    pub(super) note: Option<String>,
}

/// Binds the given address, or the first free loopback port from the usual one on.
pub(super) async fn bind(given: Option<SocketAddr>, usual: u16) -> Result<Bound, Failure> {
    if let Some(address) = given {
        let tcp = TcpListener::bind(address).await.map_err(|e| failed(address, &e))?;
        let address = tcp.local_addr().map_err(Failure::running)?;
        return Ok(Bound { tcp, address, note: None });
    }
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, usual));
    let mut last = failed(wanted, &std::io::Error::from(std::io::ErrorKind::AddrInUse));
    for port in usual..usual.saturating_add(PORTS_MAX) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address).await {
            Ok(tcp) => {
                let note = (port != usual).then(|| format!("port {usual} is in use: this one has {port}"));
                return Ok(Bound { tcp, address, note });
            }
            Err(e) => last = failed(address, &e),
        }
    }
    Err(last)
}

fn failed(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Running(format!("cannot listen on {address}: {error}; name a free address with --listen"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_free_port_is_taken_and_told_but_a_given_one_is_kept_to() {
        let (taken, usual) = loop {
            let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = taken.local_addr().unwrap().port();
            if port < u16::MAX - PORTS_MAX {
                break (taken, port);
            }
        };
        let bound = bind(None, usual).await.unwrap();
        assert!(bound.address.port() > usual);
        assert_eq!(
            bound.note,
            Some(format!("port {usual} is in use: this one has {}", bound.address.port()))
        );
        let refused = bind(Some(taken.local_addr().unwrap()), 1).await.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(&format!("127.0.0.1:{usual}")) && refused.contains("--listen"), "{refused}");
    }
}
