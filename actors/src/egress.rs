//! The egress of a channel's calls: proxy, trusted roots, and the addresses that are never dialled.
//! Pure: names are resolved elsewhere, and only an address that was checked here may be dialled.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

use secrecy::SecretString;

/// The egress of one channel.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The channel's id; connections are not shared between channels.
    pub channel: Arc<str>,
    /// The forward proxy.
    pub proxy: Option<Proxy>,
    /// Places that are reached without the proxy.
    pub no_proxy: Vec<Place>,
    /// A PEM file of roots to trust beside the built-in ones.
    pub trust: Option<Arc<Path>>,
    /// Places that may be reached although they are not public.
    pub allow_private: Vec<Place>,
}

/// A forward proxy, reached over plain HTTP.
#[derive(Clone)]
pub struct Proxy {
    /// Host name or address of the proxy.
    pub host: Arc<str>,
    /// TCP port of the proxy.
    pub port: u16,
    /// `Basic ...`, when it wants a login.
    pub authorization: Option<SecretString>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Hosts or addresses, as an operator writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host by its name or address, on one port or all.
    Host {
        /// In lower case, without brackets.
        name: Box<str>,
        /// The port, or `None` for all.
        port: Option<u16>,
    },
    /// All names below a domain, and itself; in lower case, without the leading dot.
    Domain(Box<str>),
    /// Addresses.
    Net {
        /// Its first address.
        first: IpAddr,
        /// How many leading bits count.
        prefix: u8,
    },
    /// Everything.
    All,
}

impl Place {
    /// Parses `example.org`, `example.org:8080`, `.example.org`, `*.example.org`, `10.1.2.3`,
    /// `10.0.0.0/8`, `[::1]:80`, `fc00::/7` or `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((first, prefix)) = text.split_once('/') {
            let first: IpAddr = first.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            let most = if first.is_ipv4() { 32 } else { 128 };
            return (prefix <= most).then_some(Self::Net { first, prefix });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Host { name: address.to_string().into(), port: None });
        }
        if let Some(domain) = text.strip_prefix("*.").or(text.strip_prefix('.')) {
            return is_name(domain).then(|| Self::Domain(domain.into()));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !text.ends_with(']') => (name, Some(port.parse().ok()?)),
            _ => (&*text, None),
        };
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let is_host = is_name(name) || name.parse::<IpAddr>().is_ok();
        is_host.then(|| Self::Host { name: name.into(), port })
    }

    /// Whether a host's name is covered.
    fn names(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Host { name, port: only } => {
                name.eq_ignore_ascii_case(host) && only.is_none_or(|p| p == port)
            }
            Self::Domain(domain) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(&**domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Net { .. } => host.parse().is_ok_and(|address| self.holds(address)),
        }
    }

    /// Whether an address is covered.
    fn holds(&self, address: IpAddr) -> bool {
        let Self::Net { first, prefix } = self else { return false };
        match (first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

fn is_name(name: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 253 && name.bytes().all(of_name)
}

impl Route {
    /// Returns the proxy on the way to a host, if any.
    pub fn proxy_to(&self, host: &str, port: u16) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.no_proxy.iter().any(|place| place.names(host, port)))
    }

    /// Returns whether an address to which a host's name resolved may be dialled.
    ///
    /// # Errors
    ///
    /// Returns the kind of address, in words for the operator.
    pub fn may_dial(&self, host: &str, port: u16, address: IpAddr) -> Result<(), &'static str> {
        let address = address.to_canonical();
        let Some(kind) = not_public(address) else { return Ok(()) };
        let named = self.allow_private.iter().any(|place| place.names(host, port) || place.holds(address));
        if named { Ok(()) } else { Err(kind) }
    }
}

/// Returns the kind of an address that is not part of the public Internet.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [127, ..] => "a loopback address",
        [0, ..] => "an unspecified address",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [169, 254, ..] => "a link-local address (where clouds keep their metadata)",
        [100, 64..=127, ..] => "a carrier's shared address",
        [192, 0, 0, _] => "an address of a protocol",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address of documentation",
        [198, 18..=19, ..] => "an address of benchmarks",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address",
        _ => return None,
    })
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        // IPv4-compatible addresses and the forms of translators: the embedded address decides.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            not_public_v4(within(high, low))
        }
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfeff, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0..=0x1ff, ..] => Some("an address of a protocol"),
        [0x2001, 0xdb8, ..] => Some("an address of documentation"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(allow: &[&str]) -> Route {
        Route { allow_private: allow.iter().map(|p| Place::parse(p).unwrap()).collect(), ..Route::default() }
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_spelling() {
        let refused = "127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 \
            169.254.169.254 100.64.0.1 100.100.100.200 192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 ::1 :: \
            ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.1.1.1 ::10.0.0.1 64:ff9b::a00:1 2002:a00:1:: fe80::1 \
            fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001::1 2001:db8::1 64:ff9b:1::1 100::1 5f00::1";
        for text in refused.split_whitespace() {
            let address: IpAddr = text.parse().unwrap();
            assert!(not_public(address).is_some(), "{text}");
            assert!(route(&[]).may_dial("example.org", 443, address).is_err(), "{text}");
        }
        for text in
            "8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 ::ffff:8.8.8.8 2606:4700::1111"
                .split(' ')
        {
            assert!(not_public(text.parse().unwrap()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_named_place_is_allowed_and_nothing_beside_it() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let named = route(&["gateway.local", "10.1.0.0/16", "127.0.0.1:8443", "fd00::/8", ".lan"]);
        let may = |host: &str, port: u16, address: &str| named.may_dial(host, port, ip(address)).is_ok();
        assert!(may("gateway.local", 80, "192.168.0.9") && !may("other.local", 80, "192.168.0.9"));
        assert!(may("x", 80, "10.1.255.1") && may("x", 80, "::ffff:10.1.0.1") && !may("x", 80, "10.2.0.1"));
        assert!(may("127.0.0.1", 8443, "127.0.0.1") && !may("127.0.0.1", 8444, "127.0.0.1"));
        assert!(may("x", 1, "fd12::1") && !may("x", 1, "fe80::1"));
        assert!(may("a.lan", 1, "10.9.9.9") && may("LAN", 1, "10.9.9.9") && !may("elan", 1, "10.9.9.9"));
    }

    #[test]
    fn places_that_make_no_sense_are_none() {
        for text in
            ["", "10.0.0.0/33", "::/129", "a b", "host:port", "http://x", "x/8", "[::1", "x:99999", "*."]
        {
            assert_eq!(Place::parse(text), None, "{text}");
        }
        assert_eq!(Place::parse("*"), Some(Place::All));
        assert!(Place::parse("[::1]:80").unwrap().names("::1", 80));
        assert!(Place::parse("[::1]").unwrap().names("::1", 443));
    }

    proptest! {
        #[test]
        fn a_net_holds_what_shares_its_bits(first: u32, other: u32, prefix in 0u8..=32) {
            let net = Place::Net { first: Ipv4Addr::from_bits(first).into(), prefix };
            let same = prefix == 0 || first >> (32 - prefix) == other >> (32 - prefix);
            prop_assert_eq!(net.holds(Ipv4Addr::from_bits(other).into()), same);
        }

        #[test]
        fn no_text_breaks_a_place(text in "\\PC{0,60}") {
            if let Some(place) = Place::parse(&text) {
                let _ = place.names("127.0.0.1", 80) || place.holds(Ipv4Addr::LOCALHOST.into());
            }
        }
    }
}
