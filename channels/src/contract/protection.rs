//! How providers protect their webhooks, as data. Reads nothing itself: `verify.rs` verifies.

/// The protection of a provider's webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The provider calls no webhooks; calls are refused.
    NoWebhooks,
    /// Nothing: the provider offers no proof. A channel must say that it accepts that.
    Unsigned,
    /// A keyed hash.
    Hmac(Hmac),
    /// A signature by a private key, of which the account has the public half.
    Ed25519(Ed25519),
    /// Basic credentials.
    Basic {
        /// The key of the account that holds the user.
        user: &'static str,
        /// The key of the account that holds the password.
        password: SecretKey,
    },
    /// A shared secret, sent along as it is.
    Token {
        /// Where it is.
        place: Place,
        /// The key of the account that holds it.
        secret: SecretKey,
    },
    /// Both of them.
    Both(&'static Self, &'static Self),
    /// One for GET, another for every other method.
    ByMethod {
        /// Protects a GET.
        get: &'static Self,
        /// Protects every other method.
        other: &'static Self,
    },
}

/// A keyed hash in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// The hash function.
    pub algorithm: Algorithm,
    /// The header, in lower case.
    pub header: &'static str,
    /// The text before the hash.
    pub prefix: Prefix,
    /// How the hash is written.
    pub encoding: Encoding,
    /// The hashed text.
    pub over: Over,
    /// The key of the account that holds the secret.
    pub secret: SecretKey,
    /// The status of a refusal: 401 or 403.
    pub refusal: u16,
}

impl Hmac {
    /// HMAC-SHA-256 over the body, in hexadecimal.
    pub const fn sha256_hex(header: &'static str, prefix: Prefix, secret: SecretKey) -> Self {
        let (algorithm, encoding) = (Algorithm::Sha256, Encoding::Hex);
        Self { algorithm, header, prefix, encoding, over: Over::Body, secret, refusal: 401 }
    }
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the functions' own")]
pub enum Algorithm {
    Sha1,
    Sha256,
}

/// The text before a hash, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Never.
    None,
    /// Always.
    Required(&'static str),
    /// Some senders write it, others do not.
    Optional(&'static str),
}

/// How octets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal in any case.
    Hex,
    /// Standard base64 with padding.
    Base64,
}

/// The text that a hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The body as received.
    Body,
    /// Twilio's scheme: the address with its query, followed by the sorted fields of a form; or the
    /// address alone when its parameter `bodySHA256` names the hash of the body. With and without
    /// the port.
    UrlAndForm,
}

/// An Ed25519 signature in a header, over `<time><separator><body>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519 {
    /// The header of the signature in base64, in lower case.
    pub signature: &'static str,
    /// The header of the time in seconds since 1970, in lower case.
    pub timestamp: &'static str,
    /// The text between time and body.
    pub separator: &'static str,
    /// Maximum distance of the time from now, in milliseconds. Anything further is refused as a
    /// replay.
    pub age_max_ms: u64,
    /// The key of the account that holds the public key in base64.
    pub public_key: &'static str,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this header, in lower case.
    Header(&'static str),
    /// In the header that this key of the account names.
    HeaderNamedBy(&'static str),
    /// In this parameter of the query.
    Parameter(&'static str),
}

/// A key of the account that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKey {
    /// The account must have it.
    Required(&'static str),
    /// The account may lack it. If nothing else proves a webhook then, the channel must say that it
    /// accepts unsigned ones.
    Optional(&'static str),
}

impl SecretKey {
    /// Returns the name of the key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required(name) | Self::Optional(name) => name,
        }
    }
}

/// Whether webhooks are signed, and by which key of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The provider calls no webhooks.
    NoWebhooks,
    /// Never.
    None,
    /// When the account has this key.
    Optional(&'static str),
    /// Always: the account must have this key.
    Required(&'static str),
}

/// Why nothing proves that an account's webhooks come from its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The provider offers no proof.
    NoScheme,
    /// The account lacks this key.
    Lacks(&'static str),
}

impl Protection {
    /// Returns why webhooks of an account are accepted from anyone; `None` if they are proved, or
    /// if the provider calls no webhooks. `credential` looks up a key of the account.
    pub fn unproven<'a>(&self, credential: &dyn Fn(&str) -> Option<&'a str>) -> Option<Unproven> {
        let lacks = |key: &'static str| {
            let has = credential(key).is_some_and(|value| !value.trim().is_empty());
            (!has).then_some(Unproven::Lacks(key))
        };
        match self {
            Self::NoWebhooks => None,
            Self::Unsigned => Some(Unproven::NoScheme),
            Self::Hmac(Hmac { secret: key, .. })
            | Self::Basic { password: key, .. }
            | Self::Token { secret: key, .. } => lacks(key.name()),
            Self::Ed25519(scheme) => lacks(scheme.public_key),
            // Each is enough, and each is checked for which the account has the secret.
            Self::Both(first, second) => {
                first.unproven(credential).filter(|_| second.unproven(credential).is_some())
            }
            Self::ByMethod { get, other } => get.unproven(credential).or_else(|| other.unproven(credential)),
        }
    }

    /// Returns the key of the account by which webhooks are protected; of two, the first.
    pub fn signature(&self) -> Signature {
        match self {
            Self::NoWebhooks => Signature::NoWebhooks,
            Self::Unsigned => Signature::None,
            Self::Hmac(Hmac { secret: key, .. })
            | Self::Basic { password: key, .. }
            | Self::Token { secret: key, .. } => match key {
                SecretKey::Required(key) => Signature::Required(key),
                SecretKey::Optional(key) => Signature::Optional(key),
            },
            Self::Ed25519(scheme) => Signature::Required(scheme.public_key),
            Self::Both(first, _) | Self::ByMethod { other: first, .. } => first.signature(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn token(secret: SecretKey) -> Protection {
        Protection::Token { place: Place::Header("x"), secret }
    }

    const REQUIRED: Protection = token(SecretKey::Required("a"));
    const OPTIONAL: Protection = token(SecretKey::Optional("b"));

    #[test]
    fn webhooks_are_proved_or_it_is_said_why_not() {
        let lacks = |key| Some(Unproven::Lacks(key));
        let both = Protection::Both(&REQUIRED, &OPTIONAL);
        let by_method = Protection::ByMethod { get: &OPTIONAL, other: &REQUIRED };
        let basic = Protection::Basic { user: "u", password: SecretKey::Optional("b") };
        let hmac = Protection::Hmac(Hmac::sha256_hex("x", Prefix::None, SecretKey::Optional("b")));
        for (protection, has, expected) in [
            (Protection::NoWebhooks, &[][..], None),
            (Protection::Unsigned, &["a", "b"], Some(Unproven::NoScheme)),
            (REQUIRED, &["a"], None),
            (REQUIRED, &["b"], lacks("a")),
            (OPTIONAL, &[], lacks("b")),
            (basic, &["u"], lacks("b")),
            (hmac, &["a"], lacks("b")),
            (both, &["a"], None),
            (both, &["b"], None),
            (both, &[], lacks("a")),
            (by_method, &["a", "b"], None),
            (by_method, &["a"], lacks("b")),
            (by_method, &["b"], lacks("a")),
        ] {
            let credential = |key: &str| has.contains(&key).then_some("secret");
            assert_eq!(protection.unproven(&credential), expected, "{protection:?} {has:?}");
        }
        assert_eq!(OPTIONAL.unproven(&|_| Some(" ")), lacks("b"), "an empty secret proves nothing");
    }
}
