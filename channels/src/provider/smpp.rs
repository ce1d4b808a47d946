//! SMS over SMPP: the channel of an [`Account`]. Texts are cut into parts here; binds belong to
//! [`crate::smpp`].

use std::sync::Arc;

use message::{
    Content, cim,
    event::{Cause, Concatenation, SmsHandling, SmsPorts},
};
use smallvec::SmallVec;

use crate::{
    contract::{
        AccountError, Capabilities, Channel, LinkKind, Prepared, Protection, Provider, Rejection,
        capability::DefaultRate,
    },
    smpp::{
        account::{Account, BindRole},
        submit,
    },
    text::split,
    toolkit::account,
};

/// The description of `smpp`.
pub const PROVIDER: Provider = Provider {
    name: "smpp",
    channel_types: &["SMS"],
    summary: "SMS over persistent SMPP 3.4 binds",
    documentation: "https://smpp.org/SMPP_v3_4_Issue1_2.pdf",
    secrets: &["password"],
    webhook: Protection::NoWebhooks,
    capabilities: CAPABILITIES,
    statuses: &[],
    events: &[],
    channel: &|_, table| Ok(Arc::new(read_account(table)?)),
};

/// The keys of an account, each with its meaning, its values and its default.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("host", "the SMSC's host name or address"),
    ("port", "2775; often 3550 with TLS"),
    ("tls", "whether SMPP runs inside TLS; default false"),
    ("tls_ca", "a PEM file with trusted roots instead of the built-in ones"),
    ("system_id", "the account's name"),
    ("password", "the account's password"),
    ("system_type", "the system type of the bind; default empty"),
    ("bind", "transceiver (default), pair, transmitter (no inbound messages), receiver (nothing is sent)"),
    ("binds", "number of connections, or of pairs: 1 to 64; default 1"),
    ("window", "unanswered submits of one connection: 1 to 10000; default 10"),
    ("interface_version", "0x34 (default) or 0x50"),
    ("address_range", "the addresses that the bind serves; default empty"),
    ("addr_ton", "type of number of address_range, 0 to 7; default 0 (SMPP 3.4, 4.1.1)"),
    ("addr_npi", "numbering plan of address_range, 0 to 18; default 0"),
    ("enquire_link", "silence after which an enquire_link is sent; default 30s"),
    ("reply_timeout", "how long an answer is waited for; then the part is in doubt; default 60s"),
    ("bind_timeout", "how long a bind may take; default 30s"),
    ("connect_timeout", "how long connecting may take; default 10s"),
    (
        "registered_delivery",
        "receipts: 0 none, 1 always (default), 2 failures only; plus 16 for intermediate ones",
    ),
    ("service_type", "service_type of each submit; default empty"),
    ("source_ton", "type of number of the sender; by default from its form: 5 name, 3 short code, 1"),
    ("source_npi", "numbering plan of the sender; by default from its form"),
    (
        "dest_ton",
        "type of number of the customer, unless the address says its own (;ton=2); by default 1, 0 up to 8 digits",
    ),
    ("dest_npi", "numbering plan of the customer; default 1"),
    ("country_code", "the country of national numbers, such as \"44\": they become international"),
    (
        "trunk_prefix",
        "with country_code: the prefix that international numbers lack; default: the country's, mostly 0",
    ),
    (
        "unknown_numbers",
        "with country_code: inbound numbers of type 0 are international (default) or national",
    ),
    (
        "validity_form",
        "how the SMSC is told a message's validity: relative (default, at most 63 days), absolute, none",
    ),
    ("default_alphabet", "data_coding 0 in both directions: gsm7 (default), latin1, ascii"),
    (
        "alphabet_in",
        "data_coding 0 of inbound texts: gsm7, gsm7_packed, latin1, ascii, utf8, ucs2; default default_alphabet",
    ),
    ("alphabet_out", "data_coding 0 of outbound texts: gsm7, latin1, ascii; default default_alphabet"),
    ("concatenation", "marks of long texts: udh8 (default), udh16, sar, payload"),
    (
        "transliterate",
        "replace characters that cost UCS-2: off (default), on, one_part (only to keep one part), ascii",
    ),
    ("strip_accents", "with transliterate: also drop accents; default false"),
    ("national_language", "a shift table that avoids UCS-2: tr, es, pt"),
    ("parts_max", "parts of one message: 1 to 255 (default)"),
    ("characters_max", "characters of one message: default 1600"),
    ("receipt_ids", "spelling of ids in receipts: auto (default), exact, hex_to_decimal, decimal_to_hex"),
    ("receipts", "what one receipt reports on: part (default), message"),
    ("receipt_words", "the vendor's words for states: { NOT_DELIVERED = \"failed\" }"),
    ("query_after", "time without a final receipt after which query_sm is sent; default never"),
    ("errors", "reactions to statuses: { \"0x58\" = \"retry\" | \"throttled\" | \"permanent\" }"),
];

const CAPABILITIES: Capabilities = Capabilities {
    text_characters_max: split::CHARACTERS_MAX as usize,
    send_rate: DefaultRate { per_second: 0, basis: "the window and the provider's throttling pace it" },
    ..Capabilities::TEXT
};

fn read_account(table: toml::Table) -> Result<Account, AccountError> {
    let account: Account = account::account(table)?;
    account.check().map_err(|error| AccountError { key: error.key.into(), problem: error.problem })?;
    Ok(account)
}

impl Channel for Account {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            text_characters_max: self.characters_max,
            receipts: self.registered_delivery & 0x03 != 0,
            inbound: self.bind != BindRole::Transmitter,
            ..CAPABILITIES
        }
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        self.numbering().customer(address).map(Arc::from).map_err(|why| Rejection(Cause::new("400", why)))
    }

    fn did(&self, address: &str) -> Arc<str> {
        self.numbering().own(address).into()
    }

    fn check_did(&self, address: &str) -> Result<(), String> {
        submit::check_source(self, address)
    }

    fn sends(&self) -> Result<(), Rejection> {
        if self.bind != BindRole::Receiver {
            return Ok(());
        }
        let reason = "the channel only receives: its account has bind = \"receiver\"; set bind = \"transceiver\", \
                      \"pair\" or \"transmitter\" to send";
        Err(Rejection(Cause::new("400", reason)))
    }

    fn untold_validity(&self, ms: u64) -> Option<Box<str>> {
        Account::untold_validity(self, ms).map(Box::from)
    }

    fn prepare(&self, content: &Content, reference: u16) -> Result<Prepared, Rejection> {
        self.prepare_as(content, reference, SmsHandling::PLAIN)
    }

    fn prepare_as(
        &self,
        content: &Content,
        reference: u16,
        handling: SmsHandling,
    ) -> Result<Prepared, Rejection> {
        self.sends()?;
        let in_header = !matches!(self.concatenation, Concatenation::Sar | Concatenation::Payload);
        let ports = handling.ports.map(|ports| SmsPorts { in_header, ..ports });
        let policy = split::Policy { handling: SmsHandling { ports, ..handling }, ..self.policy() };
        let refused = |error: &dyn std::fmt::Display| Rejection(Cause::new("400", error.to_string()));
        if let Content::Binary(octets) = content {
            let split = split::plan_octets(octets, &policy, reference).map_err(|e| refused(&e))?;
            let content = content.clone();
            return Ok(Prepared { content, split, adapted: SmallVec::new(), choices: Box::default() });
        }
        let adapted = cim::plain_text_of(content).map_err(|e| refused(&e))?;
        let prepared = split::prepare(&adapted.text, &policy, reference).map_err(|e| refused(&e))?;
        let notes = adapted.notes.into_iter().chain(prepared.adapted.iter().map(|a| Box::from(a.as_str())));
        Ok(Prepared {
            adapted: notes.collect(),
            choices: adapted.choices.into(),
            split: prepared.split,
            content: Content::Text(prepared.text.into()),
        })
    }

    fn link(&self) -> LinkKind<'_> {
        LinkKind::Smpp(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::event::Alphabet;

    use crate::{smpp::status::Class, text::national::Language};

    fn account_with(text: &str) -> Result<Account, AccountError> {
        let base = "host = \"h\"\nsystem_id = \"s\"\npassword = \"p\"\n";
        read_account(format!("{base}{text}").parse().unwrap())
    }

    #[test]
    fn wrong_accounts_name_the_key_and_the_fix() {
        for (text, expected) in [
            ("window = 0", "window: is 0, expected 1 to 10000"),
            ("binds = 65", "binds: is 65, expected 1 to 64"),
            ("national_language = \"de\"", "national_language is \"de\", expected tr, es or pt"),
            (
                "errors = { \"0x58\" = \"sometimes\" }",
                "errors.0x58 is \"sometimes\", expected retry, throttled, queue_full, permanent or credentials",
            ),
            ("errors = { \"many\" = \"retry\" }", "errors.many is not a status code"),
            ("concatenation = \"udh\"", "udh8"),
            ("windows = 10", "unknown field `windows`"),
        ] {
            let error = account_with(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_key_is_described() {
        let keys = crate::provider::account_keys(crate::provider("smpp").unwrap());
        assert!(keys.len() > 30);
        for key in keys {
            assert!(KEYS.iter().any(|(known, words)| *known == key && !words.is_empty()), "{key}");
        }
    }

    #[test]
    fn keys_that_contradict_each_other_name_the_fix() {
        for (text, expected) in [
            ("addr_ton = 8", "addr_ton: is 8, expected 0 to 7"),
            ("addr_npi = 19", "addr_npi: is 19, expected 0 to 18"),
            ("dest_npi = 99", "dest_npi: is 99, expected 0 to 18"),
            ("address_range = \"^4917\u{e9}\"", "address_range: is"),
            ("country_code = \"+44\"", "country_code: is \"+44\", expected 1 to 3 digits"),
            ("country_code = \"044\"", "country_code: is \"044\""),
            ("trunk_prefix = \"0\"", "trunk_prefix: has no effect without country_code"),
            ("unknown_numbers = \"national\"", "unknown_numbers: has no effect without country_code"),
            ("validity_form = \"days\"", "absolute"),
            ("alphabet_in = \"gsm8\"", "gsm7_packed"),
            ("alphabet_out = \"utf8\"", "alphabet_out: is \"utf8\", expected"),
            ("default_alphabet = \"ucs2\"", "set alphabet_in"),
            ("alphabet_out = \"latin1\"\nnational_language = \"tr\"", "national_language: needs GSM"),
            ("transliterate = \"sometimes\"", "transliterate is \"sometimes\", expected"),
            ("transliterate = 3", "transliterate has a wrong type, expected"),
            ("strip_accents = true", "strip_accents: has no effect without transliterate"),
        ] {
            let error = account_with(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn each_direction_has_its_alphabet() {
        for (text, inbound, outbound) in [
            ("", (Alphabet::Gsm7, false), Alphabet::Gsm7),
            ("default_alphabet = \"latin1\"", (Alphabet::Latin1, false), Alphabet::Latin1),
            ("alphabet_in = \"latin1\"", (Alphabet::Latin1, false), Alphabet::Gsm7),
            ("alphabet_out = \"latin1\"", (Alphabet::Gsm7, false), Alphabet::Latin1),
            ("alphabet_in = \"utf8\"\nalphabet_out = \"ascii\"", (Alphabet::Provider, false), Alphabet::Ucs2),
            ("alphabet_in = \"gsm7_packed\"", (Alphabet::Gsm7, true), Alphabet::Gsm7),
            (
                "default_alphabet = \"latin1\"\nalphabet_in = \"ucs2\"",
                (Alphabet::Ucs2, false),
                Alphabet::Latin1,
            ),
        ] {
            let account = account_with(text).unwrap();
            let decoding = account.decoding();
            assert_eq!((decoding.default_alphabet, decoding.packed), inbound, "{text}");
            let prepared = account.prepare(&Content::Text("M\u{fc}ller".into()), 1).unwrap();
            assert_eq!(prepared.split.alphabet, outbound, "{text}");
        }
    }

    #[test]
    fn transliteration_is_a_choice() {
        let long = |tail: &str| format!("{}{tail}", "x".repeat(155));
        for (setting, text, sent, parts) in [
            ("off", "It\u{2019}s", "It\u{2019}s".to_owned(), 1),
            ("on", "It\u{2019}s", "It's".to_owned(), 1),
            ("one_part", "It\u{2019}s", "It\u{2019}s".to_owned(), 1),
            ("one_part", &long("It\u{2019}s"), long("It's"), 1),
            ("one_part", &long("It\u{2019}s long"), long("It\u{2019}s long"), 3),
            ("on", &long("It\u{2019}s long"), long("It's long"), 2),
            ("ascii", "\u{c9}t\u{e9} \u{20ac}", "Ete EUR".to_owned(), 1),
            ("ascii", "\u{394} \u{e9}", "\u{394} \u{e9}".to_owned(), 1),
        ] {
            let account = account_with(&format!("transliterate = \"{setting}\"")).unwrap();
            let prepared = account.prepare(&Content::Text(text.into()), 1).unwrap();
            assert_eq!(prepared.content, Content::Text(sent.into()), "{setting} {text}");
            assert_eq!(prepared.split.parts, parts, "{setting} {text}");
        }
    }

    #[test]
    fn a_channel_that_only_receives_refuses_at_once() {
        for (bind, may) in [("receiver", false), ("transmitter", true), ("pair", true), ("transceiver", true)]
        {
            let account = account_with(&format!("bind = \"{bind}\"")).unwrap();
            let prepared = account.prepare(&Content::Text("hi".into()), 1);
            assert_eq!(prepared.is_ok(), may, "{bind}");
            if let Err(rejection) = prepared {
                assert_eq!(&*rejection.0.code, "400");
                assert!(rejection.0.reason.contains("bind = \"transceiver\""), "{rejection}");
            }
            let octets = account.prepare(&Content::Binary([1].into()), 1);
            assert_eq!(octets.is_ok(), may, "{bind}");
        }
    }

    #[test]
    fn settings_are_read_into_their_types() {
        let account =
            account_with("national_language = \"tr\"\nerrors = { \"0x58\" = \"permanent\" }").unwrap();
        assert_eq!(account.national_language, Some(Language::Turkish));
        assert_eq!(account.errors.get(&0x58), Some(&Class::Permanent));
    }

    #[test]
    fn numbers_have_one_spelling() {
        let account = account_with("").unwrap();
        for spelling in ["+49 176 0000-0001", "0049176 00000001", "4917600000001", "+4917600000001"] {
            assert_eq!(&*account.customer(spelling).unwrap(), "4917600000001", "{spelling}");
        }
        assert_eq!(&*account.did("5155"), "5155");
        assert_eq!(&*account.did("Patch Bay"), "Patch Bay");
        assert!(account.customer("Ann").is_err());
        assert!(account.customer("").is_err());
        assert!(account.customer("123456789012345678901").is_err());
    }

    #[test]
    fn the_password_is_never_shown() {
        let shown = format!("{:?}", account_with("").unwrap());
        assert!(!shown.contains("\"p\""), "{shown}");
    }
}
