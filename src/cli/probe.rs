//! The probes of `patchbay check --probe`: a login to each provider, a connection to each
//! destination. Sends and accepts no messages.

use std::{sync::Arc, time::Duration};

use actors::{
    Seams,
    config::ChannelConfig,
    seams::{Call, Stream, Target, Tls},
};
use channels::{
    HttpChannel, LinkKind, SendError, Signature,
    http::Request,
    smpp::{
        CloseReason,
        account::Account,
        pdu::BindKind,
        session::{Config, Session, SessionEvent},
        status,
    },
};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    config::Settings,
    run::Failure,
    seams::{self, Stopwatch},
};

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The size of one read, in bytes.
const READ_BYTES: usize = 4096;

/// The result of one probe.
pub(super) struct Probe {
    /// The channel or destination that was probed.
    pub(super) what: String,
    /// The time it took, or the reason why it failed.
    pub(super) result: Result<Duration, String>,
}

/// Probes every channel and every destination.
pub(super) async fn probe(settings: &Settings) -> Result<Vec<Probe>, Failure> {
    let seams = seams::real(settings.trust.as_deref(), 0).map_err(Failure::running)?;
    let mut probes = Vec::new();
    for channel in &settings.router.channels {
        let (what, result) = match channel.channel.link() {
            LinkKind::Smpp(account) => {
                let what = format!("channel {} ({}:{})", channel.id, account.host, account.port);
                (what, timed(login(&seams, account)).await)
            }
            LinkKind::Http(http) => {
                // This provider has no harmless call to try.
                let Some(request) = http.probe() else { continue };
                let what = format!("channel {} ({})", channel.id, http.provider().name);
                (what, timed(call(&seams, http, request, channel)).await)
            }
        };
        probes.push(Probe { what, result });
    }
    for destination in &settings.router.destinations {
        let Ok(uri) = destination.url.parse::<http::Uri>() else { continue };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        // The certificate may be signed by configured roots, so only the TCP connection is tried.
        let target = Target { host: host.into(), port: uri.port_u16().unwrap_or(default), tls: Tls::Off };
        let what = format!("destination {} ({})", destination.id, destination.url);
        let result = timed(async { connect(&seams, target).await.map(drop) }).await;
        probes.push(Probe { what, result });
    }
    Ok(probes)
}

async fn timed(probe: impl Future<Output = Result<(), String>>) -> Result<Duration, String> {
    let watch = Stopwatch::start();
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(())) => Ok(watch.elapsed()),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())),
    }
}

/// Makes a harmless call, and compares our own addresses with those that the provider states.
/// Secrets that the provider repeats in its answer are hidden.
async fn call(
    seams: &Seams,
    http: &dyn HttpChannel,
    request: Request,
    channel: &ChannelConfig,
) -> Result<(), String> {
    let route = &channel.http.route;
    let request = Arc::new(request);
    let answered = seams.client.call(Call::api(request.clone(), route.clone())).await;
    let probed = answered.map_err(|error| request.redacted(&error.reason))?;
    http.parse_probe(&probed).map_err(|error| {
        format!("{}{}", request.redacted(&error.to_string()), keys_to_check(http, &error))
    })?;
    let own = match http.ask_addresses() {
        None => http.parse_addresses(&probed),
        // What the provider does not tell cannot be compared.
        Some(request) => match seams.client.call(Call::api(Arc::new(request), route.clone())).await {
            Ok(response) => http.parse_addresses(&response),
            Err(_) => None,
        },
    };
    let dids = channel.dids.iter().map(|did| &*did.number);
    match own.and_then(|own| channels::mismatch(&*channel.channel, dids, &own)) {
        Some(mismatch) => Err(mismatch),
        None => Ok(()),
    }
}

/// Names the keys to look at when the credentials are refused.
fn keys_to_check(http: &dyn HttpChannel, error: &SendError) -> String {
    if !matches!(error, SendError::CredentialsRefused(_)) {
        return String::new();
    }
    let provider = http.provider();
    let keys = provider.account_keys();
    let needed = keys.iter().filter(|key| key.is_required && key.is_secret).map(|key| &*key.name);
    // The secret of webhooks is used in calls only where it is the only one.
    let of_webhooks = match provider.signature() {
        Signature::Required(key) | Signature::Optional(key) => key,
        Signature::NoWebhooks | Signature::None => "",
    };
    let mut named: Vec<&str> = needed.clone().filter(|key| *key != of_webhooks).collect();
    if named.is_empty() {
        named.extend(needed);
    }
    format!("; check {} in [channel.account]", named.join(" and "))
}

async fn connect(seams: &Seams, target: Target) -> Result<Box<dyn Stream>, String> {
    seams.connector.connect(target).await.map_err(|e| e.to_string())
}

async fn login(seams: &Seams, account: &Account) -> Result<(), String> {
    let target = Target {
        host: (&*account.host).into(),
        port: account.port,
        tls: if account.tls { Tls::trusting(account.tls_ca.as_deref().map(Into::into)) } else { Tls::Off },
    };
    for bind in account.connections() {
        let stream = connect(seams, target.clone()).await?;
        login_as(bind, account, stream).await?;
    }
    Ok(())
}

/// Binds and unbinds. The caller sets the time limit, so the session's clock may stand still.
async fn login_as(bind: BindKind, account: &Account, mut stream: Box<dyn Stream>) -> Result<(), String> {
    let config = Config {
        bind,
        system_id: account.system_id.to_string(),
        password: account.password.expose_secret().to_owned(),
        system_type: account.system_type.to_string(),
        interface_version: account.interface_version,
        address_range: account.address_range.to_string(),
        ..Config::default()
    };
    let mut session = Session::<()>::new(&config, 1, 0).map_err(|e| e.to_string())?;
    let mut bound = false;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        stream.write_all(session.peer().transmit()).await.map_err(|e| e.to_string())?;
        session.peer_mut().transmitted(usize::MAX);
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Bound { .. } => {
                    bound = true;
                    session.close(0);
                }
                SessionEvent::Closed { .. } if bound => return Ok(()),
                SessionEvent::Closed { reason: CloseReason::BindRefused(code), .. } => {
                    return Err(format!(
                        "the login was refused: {} (0x{code:08X}); check system_id, password and system_type in \
                         [channel.account]",
                        status::describe(code)
                    ));
                }
                SessionEvent::Closed { reason, .. } => return Err(format!("no login: {reason:?}")),
                _ => {}
            }
        }
        if !session.peer().transmit().is_empty() {
            continue;
        }
        match stream.read(&mut buffer).await.map_err(|e| e.to_string())? {
            0 => session.handle_eof(0),
            count => session.handle_bytes(buffer.get(..count).unwrap_or_default(), 0),
        }
    }
}
