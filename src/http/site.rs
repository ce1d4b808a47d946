//! Requests that a browser makes for a page of another site. Such a page must neither send nor read
//! anything where no key or token protects a listener.

use http::{HeaderMap, Method, header};

/// Whether a request that changes something was made by a page of another site. Browsers send
/// `Origin` with it, and `Sec-Fetch-Site`.
pub(super) fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let own = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, authority)| authority);
    own.is_none() || own != host
}

/// Whether a request names this machine by its address or as `localhost`. A page can point a host
/// name of its own at this machine (DNS rebinding), and the browser then takes both for one site.
pub(super) fn is_local_name(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return true };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<http::uri::Authority>() else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_local = name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok();
    is_local && hosts.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        HeaderMap::from_iter(all.iter().map(pair))
    }

    #[test]
    fn pages_of_other_sites_are_recognised() {
        let host = ("host", "127.0.0.1:8080");
        for (given, is) in [
            (&[host][..], false),
            (&[host, ("origin", "http://127.0.0.1:8080")], false),
            (&[host, ("origin", "http://127.0.0.1:9999")], true),
            (&[host, ("origin", "https://evil.example")], true),
            (&[host, ("origin", "null")], true),
            (&[host, ("origin", "file://")], true),
            (&[host, ("sec-fetch-site", "cross-site")], true),
            (&[host, ("sec-fetch-site", "same-site")], true),
            (&[host, ("sec-fetch-site", "same-origin")], false),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[("origin", "http://localhost")], true),
        ] {
            assert_eq!(is_foreign(&Method::POST, &headers(given)), is, "{given:?}");
            assert_eq!(is_foreign(&Method::DELETE, &headers(given)), is, "{given:?}");
            assert!(!is_foreign(&Method::GET, &headers(given)), "a link may lead here: {given:?}");
        }
    }

    #[test]
    fn only_addresses_and_localhost_are_local_names() {
        for (host, is) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("LocalHost", true),
            ("192.168.0.7", true),
            ("evil.example", false),
            ("localhost.evil.example:8080", false),
            ("127.0.0.1.nip.io", false),
            ("localhost@evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local_name(&headers(&[("host", host)])), is, "{host}");
        }
        assert!(is_local_name(&HeaderMap::new()), "browsers always send it");
    }
}
