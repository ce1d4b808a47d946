//! SMS over SMPP: the channel of an [`Account`]. Texts are cut into parts here; binds belong to
//! [`crate::smpp`].

use std::sync::Arc;

use message::{Content, cim, event::Cause};
use smallvec::SmallVec;

use crate::{
    address::number,
    contract::{AccountError, Capabilities, Channel, LinkKind, Prepared, Protection, Provider, Rejection},
    smpp::account::{Account, BindRole},
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
    webhook: Protection::None,
    capabilities: Capabilities { text_characters_max: split::CHARACTERS_MAX as usize, ..Capabilities::TEXT },
    statuses: &[],
    channel: &|_, table| Ok(Arc::new(read_account(table)?)),
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
            ..Capabilities::TEXT
        }
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        Ok(number::customer(address)?)
    }

    fn did(&self, address: &str) -> Arc<str> {
        number::canonical(address).into()
    }

    fn prepare(&self, content: &Content, reference: u16) -> Result<Prepared, Rejection> {
        let policy = self.policy();
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
                "errors.0x58 is \"sometimes\", expected retry, throttled or permanent",
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
