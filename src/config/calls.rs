//! The `[channel.http]` table: how a channel's provider is called, and where it calls back. The
//! proxy's password is a secret and never printed.

use std::{sync::Arc, time::Duration};

use actors::{
    config::HttpConfig,
    egress::{Place, Proxy, Route, not_public},
};
use channels::{Channel, LinkKind, toolkit::auth, url};
use secrecy::{ExposeSecret, SecretString};

use super::{pem, section::Section};

/// Reads the table of a channel. `public_url` is the one of `[http]`.
pub(super) fn read(
    section: &Section<'_>,
    id: &str,
    channel: &dyn Channel,
    public_url: Option<&str>,
) -> HttpConfig {
    let table = section.table("http");
    let LinkKind::Http(http) = channel.link() else {
        if table.is_some() {
            section.problem("http", format!("{} is not called over HTTP", channel.provider().name));
        }
        return HttpConfig::default();
    };
    let capabilities = http.capabilities();
    let calls_back = capabilities.inbound || capabilities.receipts;
    if public_url.is_none() && calls_back && http.poll(None).is_none() {
        let text = format!(
            "{} needs a webhook: set public_url = \"https://...\" in [http]; the webhook is then \
             <public_url>/webhooks/{id}",
            channel.provider().name
        );
        section.problem("provider", text);
    }
    if let Some(url) = public_url
        && calls_back
        && http.poll(None).is_none()
        && channel.provider().needs_https
        && !url.starts_with("https://")
        && own_place(section).is_none()
    {
        let text = format!(
            "{} calls webhooks over https alone, but [http] public_url is {url:?}: set public_url = \
             \"https://...\", with a certificate that the world trusts",
            channel.provider().name
        );
        section.problem("provider", text);
    }
    let mut config = HttpConfig {
        webhook_url: public_url.map(|url| format!("{}/webhooks/{id}", url.trim_end_matches('/')).into()),
        shared_url: public_url.map(|url| format!("{}/ccm/webhook", url.trim_end_matches('/')).into()),
        ..HttpConfig::default()
    };
    let mut route = Route { channel: id.into(), ..Route::default() };
    if let Some(table) = table {
        config.timeout = timeout(&table, config.timeout);
        let most = HttpConfig::CONNECTIONS_MAX as u64;
        config.connections = usize::try_from(table.number("connections", 1..=most, 16)).unwrap_or(1);
        config.set_up = table.or("set_up", true);
        route.proxy = table.secret("proxy").and_then(|secret| {
            let proxy = proxy(secret.expose_secret());
            if proxy.is_none() {
                table.problem("proxy", "expected \"http://host:port\" or \"http://user:password@host:port\"");
            }
            proxy
        });
        route.no_proxy = places(&table, "no_proxy");
        route.trust = table.path("trust").map(Arc::from);
        if let Some(Err(wrong)) = route.trust.as_deref().map(|path| pem::check_roots("trust", path)) {
            table.problem(wrong.key, wrong.problem);
        }
        route.allow_private = places(&table, "allow_private");
        table.finish();
    }
    route.allow_private.extend(own_place(section));
    config.route = Arc::new(route);
    config
}

/// The largest time limit of a call that may be configured.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

fn timeout(table: &Section<'_>, default: Duration) -> Duration {
    let timeout = table.or("timeout", default);
    if timeout > TIMEOUT_MAX {
        table.problem("timeout", format!("expected at most {} s", TIMEOUT_MAX.as_secs()));
    }
    timeout
}

/// Reads a list of hosts, domains and networks.
fn places(table: &Section<'_>, key: &'static str) -> Vec<Place> {
    let expected =
        "a list of hosts and networks such as [\"gateway.lan\", \".example.org\", \"10.1.0.0/16\"]";
    let Some(value) = table.get(key) else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        table.wrong(key, value, expected);
        return Vec::new();
    };
    let mut places = Vec::new();
    for item in items.iter() {
        match item.get_ref().as_str().and_then(Place::parse) {
            Some(place) => places.push(place),
            None => table.wrong(key, item, expected),
        }
    }
    places
}

/// Parses `http://user:password@host:port`. User and password may be percent-encoded.
fn proxy(text: &str) -> Option<Proxy> {
    let rest = text.trim().strip_prefix("http://")?.trim_end_matches('/');
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let (host, port) = place.rsplit_once(':')?;
    let Place::Host { name, .. } = Place::parse(host)? else { return None };
    let authorization = login.map(|login| {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        SecretString::from(auth::basic(&url::percent_decode(user), &url::percent_decode(password)))
    });
    Some(Proxy { host: Arc::from(&*name), port: port.parse().ok().filter(|p| *p > 0)?, authorization })
}

/// Returns the host of the account's `base_url` if it is a loopback or private address, such as a
/// gateway on the local network or a simulator: naming it there allows calls to it. A public name
/// that only resolves to such an address is not allowed by this.
fn own_place(section: &Section<'_>) -> Option<Place> {
    let account = section.raw().get("account")?.get_ref().as_table()?;
    let url: http::Uri = account.get("base_url")?.get_ref().as_str()?.parse().ok()?;
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let is_named = host == "localhost" || host.parse().is_ok_and(|ip| not_public(ip).is_some());
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    is_named.then(|| Place::Host { name: host.to_ascii_lowercase().into(), port: Some(port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_login_and_never_shown_with_it() {
        let read = proxy("http://us%40er:p+%3A%20w@proxy.lan:3128/").unwrap();
        assert_eq!((&*read.host, read.port), ("proxy.lan", 3128));
        assert_eq!(read.authorization.as_ref().unwrap().expose_secret(), auth::basic("us@er", "p+: w"));
        assert_eq!(format!("{read:?}"), "proxy.lan:3128");
        assert!(proxy("http://proxy.lan:3128").unwrap().authorization.is_none());
        assert_eq!(&*proxy("http://[::1]:3128").unwrap().host, "::1");
        for text in
            ["proxy.lan:3128", "https://proxy.lan:3128", "http://proxy.lan", "http://a:b@:1", "http://x:0"]
        {
            assert!(proxy(text).is_none(), "{text}");
        }
    }
}
