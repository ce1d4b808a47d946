//! Connects to a provider: resolves its name, judges each address, and dials exactly the address
//! that was judged; then asks a proxy for a tunnel, and starts TLS. Writes nothing of a call.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actors::{
    egress::{Proxy, Route},
    seams::Stream,
};
use rustls::{ClientConfig, pki_types::ServerName};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::write::{AGENT, CallTarget};

/// How long all attempts to connect may take together. The caller limits the whole call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest number of addresses tried for one name.
const ADDRESSES_MAX: usize = 4;
/// The longest answer of a proxy, in bytes.
const PROXY_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Connects to a place.
pub(super) async fn dial(
    target: &CallTarget,
    route: &Route,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>, String> {
    let tcp = match route.proxy_to(target.host(), target.port()) {
        None => directly(target, route).await?,
        Some(proxy) => {
            judge_name(target, route)?;
            let mut tcp = to_proxy(proxy).await?;
            if target.tls() {
                timed("the proxy's tunnel", tunnel(&mut tcp, target, proxy)).await?;
            }
            tcp
        }
    };
    let Some(tls) = tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from(target.host().to_owned()).map_err(|e| format!("TLS: {e}"))?;
    let handshake =
        async { TlsConnector::from(tls).connect(name, tcp).await.map_err(|e| format!("TLS: {e}")) };
    Ok(Box::new(timed("TLS", handshake).await?))
}

async fn timed<T>(what: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("{what}: nothing within {} s", CONNECT_TIMEOUT.as_secs());
    timeout(CONNECT_TIMEOUT, work).await.map_err(late)?
}

/// Resolves a name, judges its addresses and dials.
async fn directly(target: &CallTarget, route: &Route) -> Result<TcpStream, String> {
    let (host, port) = (target.host(), target.port());
    let found = timed("name resolution", async {
        lookup_host((host, port)).await.map_err(|e| format!("{host}: {e}"))
    });
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found.await? {
        match route.may_dial(host, port, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(kind) => refused = Some((address.ip(), kind)),
        }
    }
    match (allowed.is_empty(), refused) {
        (true, Some((ip, kind))) => Err(format!(
            "{host} resolves to {ip}, {kind}; to allow it, name it in allow_private of [channel.http]"
        )),
        (true, None) => Err(format!("{host} has no address")),
        (false, _) => connect(&allowed).await,
    }
}

/// A proxy resolves names itself. Literal addresses and names of this machine are still judged
/// here.
fn judge_name(target: &CallTarget, route: &Route) -> Result<(), String> {
    let (host, port) = (target.host(), target.port());
    let literal = match host {
        "localhost" => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        name if name.ends_with(".localhost") => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        name => name.parse().ok(),
    };
    let Some(address) = literal else { return Ok(()) };
    route
        .may_dial(host, port, address)
        .map_err(|kind| format!("{host} is {kind}; to allow it, name it in allow_private of [channel.http]"))
}

async fn to_proxy(proxy: &Proxy) -> Result<TcpStream, String> {
    let whole = async {
        let found = lookup_host((&*proxy.host, proxy.port)).await.map_err(|e| e.to_string())?;
        connect(&found.collect::<Vec<_>>()).await
    };
    timed("connection", whole).await.map_err(|why| format!("the proxy {proxy:?}: {why}"))
}

/// Returns a connection to the first address that accepts one.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let tried = addresses.get(..ADDRESSES_MAX).unwrap_or(addresses);
    let each = CONNECT_TIMEOUT / u32::try_from(tried.len().max(1)).unwrap_or(1);
    let mut why = "no address".to_owned();
    for address in tried {
        why = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // Without TCP_NODELAY, small requests wait for acknowledgements.
                let _delayed_at_worst = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_) => format!("{address}: no connection within {} s", each.as_secs_f32()),
        };
    }
    Err(why)
}

/// Asks a proxy for a tunnel with HTTP CONNECT.
async fn tunnel(tcp: &mut TcpStream, target: &CallTarget, proxy: &Proxy) -> Result<(), String> {
    let to = if target.host().contains(':') {
        format!("[{}]:{}", target.host(), target.port())
    } else {
        format!("{}:{}", target.host(), target.port())
    };
    let mut ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {AGENT}\r\n");
    if let Some(login) = &proxy.authorization {
        ask.push_str(&format!("Proxy-Authorization: {}\r\n", login.expose_secret()));
    }
    ask.push_str("\r\n");
    tcp.write_all(ask.as_bytes()).await.map_err(|e| format!("the proxy {proxy:?}: {e}"))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= PROXY_HEAD_BYTES_MAX {
            return Err(format!("the proxy {proxy:?} sent a head of more than {PROXY_HEAD_BYTES_MAX} bytes"));
        }
        // Read byte by byte, since everything after the answer belongs to the tunnel; it happens
        // once per connection.
        let octet = tcp.read_u8().await.map_err(|e| format!("the proxy {proxy:?}: {e}"))?;
        head.push(octet);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => Ok(()),
        _ => Err(format!("the proxy {proxy:?} refuses a tunnel to {to}: {line}")),
    }
}
