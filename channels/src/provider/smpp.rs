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
        AccountError, AccountErrors, Capabilities, Channel, LinkKind, Prepared, Protection, Provider,
        Rejection, capability::DefaultRate, keys_of,
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
    account: &keys_of::<Account>,
    needs_https: false,
    channel: &|_, table| Ok(Arc::new(read_account(table)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    text_characters_max: split::CHARACTERS_MAX as usize,
    send_rate: DefaultRate { per_second: 0, basis: "the window and the provider's throttling pace it" },
    ..Capabilities::TEXT
};

fn read_account(table: toml::Table) -> Result<Account, AccountErrors> {
    let account: Account = account::account(table)?;
    let wrong = account.check().into_iter();
    AccountErrors::all(
        wrong.map(|wrong| Err(AccountError { key: wrong.key.into(), problem: wrong.problem })),
    )?;
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

    fn account_with(text: &str) -> Result<Account, AccountErrors> {
        let base = "host = \"h\"\nsystem_id = \"s\"\npassword = \"p\"\n";
        let table = format!("{base}{text}").parse().unwrap();
        let problems = PROVIDER.check_account(&table);
        if problems.is_empty() { read_account(table) } else { Err(AccountErrors(problems)) }
    }

    #[test]
    fn wrong_accounts_name_the_key_and_the_fix() {
        for (text, expected) in [
            ("window = 0", "window: found 0; expected a whole number from 1 to 10000"),
            ("binds = 65", "binds: found 65; expected a whole number from 1 to 64"),
            (
                "national_language = \"de\"",
                "national_language: found \"de\"; expected \"tr\", \"es\" or \"pt\"",
            ),
            (
                "errors = { \"0x58\" = \"sometimes\" }",
                "errors.0x58: found \"sometimes\"; expected \"retry\", \"throttled\", \"queue_full\", \"permanent\" or",
            ),
            ("errors = { \"many\" = \"retry\" }", "errors.many is not a status code"),
            ("concatenation = \"udh\"", "udh8"),
            ("windows = 10", "windows: unknown key; did you mean \"window\"?"),
        ] {
            let error = account_with(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let error =
            account_with("port = \"2775\"\nbinds = 0\nbind = \"trx\"\nhots = \"h\"").unwrap_err().to_string();
        for part in [
            "port: found \"2775\"; expected a whole number from 1 to 65535; remove the quotes",
            "binds: found 0; expected a whole number from 1 to 64",
            "bind: found \"trx\"; expected \"transceiver\", \"pair\", \"transmitter\" or \"receiver\"",
            "hots: unknown key; did you mean \"host\"?",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let error = account_with("country_code = \"044\"\nstrip_accents = true").unwrap_err().to_string();
        assert!(error.contains("country_code: ") && error.contains("strip_accents: "), "{error}");
    }

    #[test]
    fn keys_that_contradict_each_other_name_the_fix() {
        for (text, expected) in [
            ("addr_ton = 8", "addr_ton: found 8; expected a whole number from 0 to 7"),
            ("addr_npi = 19", "addr_npi: found 19; expected a whole number from 0 to 18"),
            ("dest_npi = 99", "dest_npi: found 99; expected a whole number from 0 to 18"),
            ("address_range = \"^4917\u{e9}\"", "address_range: found"),
            ("country_code = \"+44\"", "country_code: found \"+44\"; expected 1 to 3 digits"),
            ("country_code = \"044\"", "country_code: found \"044\""),
            ("trunk_prefix = \"0\"", "trunk_prefix: has no effect without country_code"),
            ("unknown_numbers = \"national\"", "unknown_numbers: has no effect without country_code"),
            ("validity_form = \"days\"", "absolute"),
            ("alphabet_in = \"gsm8\"", "gsm7_packed"),
            ("alphabet_out = \"utf8\"", "alphabet_out: found \"utf8\"; expected"),
            ("default_alphabet = \"ucs2\"", "set alphabet_in"),
            ("alphabet_out = \"latin1\"\nnational_language = \"tr\"", "national_language: needs GSM"),
            ("transliterate = \"sometimes\"", "transliterate: found \"sometimes\"; expected \"off\", \"on\""),
            ("transliterate = 3", "transliterate: found 3; expected \"off\""),
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
