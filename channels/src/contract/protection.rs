//! How providers protect their webhooks, as data. Reads nothing itself: `verify.rs` verifies.

/// The protection of a provider's webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing but the unguessable address, or no webhooks at all.
    None,
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
    /// Without it webhooks are accepted unprotected.
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
    /// Never.
    None,
    /// When the account has this key.
    Optional(&'static str),
    /// Always: the account must have this key.
    Required(&'static str),
}

impl Protection {
    /// Returns the key of the account by which webhooks are protected; of two, the first.
    pub fn signature(&self) -> Signature {
        match self {
            Self::None => Signature::None,
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
