//! A configuration that is being made, and its text.

use channels::PROVIDERS;

use crate::run::Failure;

/// Stands for a value that is not known while the draft is examined.
pub(super) const PLACEHOLDER: &str = "placeholder";
/// A stand-in for a key `token`, in the form that Telegram expects.
const TOKEN: &str = "123456:placeholder";

/// A configuration that is being made.
pub(super) struct Draft {
    pub(super) destination: String,
    pub(super) public_url: Option<String>,
    pub(super) channels: Vec<DraftChannel>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { destination: "http://127.0.0.1:9000/cim".into(), public_url: None, channels: Vec::new() }
    }
}

/// One `[[channel]]` with its account.
pub(super) struct DraftChannel {
    pub(super) id: String,
    pub(super) provider: String,
    own: String,
    pub(super) unsigned: bool,
    pub(super) account: Vec<AccountValue>,
}

/// A key of an account, with its value.
pub(super) struct AccountValue {
    key: String,
    pub(super) value: String,
    /// Whether it is written without quotes.
    pub(super) bare: bool,
}

impl AccountValue {
    /// Whether the value may be a number or a truth value.
    pub(super) fn may_be_bare(&self) -> bool {
        self.value.parse::<i64>().is_ok() || matches!(&*self.value, "true" | "false")
    }
}

/// Checks the name of a provider.
pub(super) fn provider(name: &str) -> Result<String, Failure> {
    let name = name.to_lowercase();
    if PROVIDERS.iter().any(|provider| provider.name == name) {
        return Ok(name);
    }
    let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    Err(Failure::Usage(format!("unknown provider {name:?}; the providers are {}", names.join(", "))))
}

/// Checks an id.
pub(super) fn id(id: &str) -> Result<String, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.chars().all(fits) {
        return Ok(id.to_owned());
    }
    Err(Failure::Usage(format!("{id:?} is not an id; expected letters, digits, \"-\" and \"_\"")))
}

/// Returns the environment variable that holds a secret, as the configuration names it.
pub(super) fn variable(channel: &str, key: &str) -> String {
    format!("env:{}_{}", channel.replace('-', "_").to_uppercase(), key.to_uppercase())
}

impl Draft {
    /// Adds a channel from `ID=PROVIDER:ADDRESS`.
    pub(super) fn add_channel(&mut self, text: &str) -> Result<(), Failure> {
        let usage = || {
            Failure::Usage(format!(
                "--channel {text:?}: expected ID=PROVIDER:ADDRESS, for example sms=smpp:5155"
            ))
        };
        let (id, rest) = text.split_once('=').ok_or_else(usage)?;
        let (provider, own) = rest.split_once(':').filter(|(_, own)| !own.is_empty()).ok_or_else(usage)?;
        let named = |e: Failure| Failure::Usage(format!("--channel {text:?}: {e}"));
        self.add(self::id(id).map_err(named)?, self::provider(provider).map_err(named)?, own.to_owned())
    }

    pub(super) fn add(&mut self, id: String, provider: String, own: String) -> Result<(), Failure> {
        if self.channels.iter().any(|channel| channel.id == id) {
            return Err(Failure::Usage(format!(
                "there are two channels with the id {id:?}; give one another id"
            )));
        }
        self.channels.push(DraftChannel { id, provider, own, unsigned: false, account: Vec::new() });
        Ok(())
    }

    /// Returns an id that no channel has.
    pub(super) fn free_id(&self, provider: &str) -> String {
        let is_free = |id: &String| !self.channels.iter().any(|channel| channel.id == *id);
        let numbered = (2..).map(|number| format!("{provider}-{number}"));
        std::iter::once(provider.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
    }

    /// Sets a key of an account from `ID.KEY=VALUE`.
    pub(super) fn set(&mut self, text: &str) -> Result<(), Failure> {
        let usage = || {
            // The text may hold a secret.
            let name = text.split('=').next().unwrap_or_default();
            Failure::Usage(format!(
                "--set {name:?}: expected ID.KEY=VALUE, for example sms.host=smpp.example.net"
            ))
        };
        let (name, value) = text.split_once('=').ok_or_else(usage)?;
        let (channel, key) = name.split_once('.').filter(|(_, key)| id(key).is_ok()).ok_or_else(usage)?;
        self.put(channel, key, value)
    }

    /// Sets a key of an account.
    pub(super) fn put(&mut self, channel: &str, key: &str, value: &str) -> Result<(), Failure> {
        let known: Vec<String> = self.channels.iter().map(|channel| channel.id.clone()).collect();
        let Some(found) = self.channels.iter_mut().find(|one| one.id == channel) else {
            return Err(Failure::Usage(format!(
                "--set {channel}.{key}: no --channel has the id {channel:?}; there are: {}",
                known.join(", ")
            )));
        };
        found.account.retain(|one| one.key != key);
        found.account.push(AccountValue { key: key.into(), value: value.into(), bare: false });
        Ok(())
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        self.written(|_, value| value.to_owned())
    }

    /// Returns the text with a stand-in for each secret that is held elsewhere.
    pub(super) fn examined(&self) -> String {
        self.written(|key, value| match value.split_once(':') {
            Some(("env" | "file", _)) if key == "token" => TOKEN.to_owned(),
            Some(("env" | "file", _)) => PLACEHOLDER.to_owned(),
            _ => value.to_owned(),
        })
    }

    fn written(&self, value_of: impl Fn(&str, &str) -> String) -> String {
        let public_url = match &self.public_url {
            Some(url) => format!("public_url = {}", quoted(url)),
            None => "# public_url = \"https://chat.example.org\"".to_owned(),
        };
        let mut text = format!(
            "# Patchbay's configuration, written by `patchbay init`.\n\
             # Check it with `patchbay check --probe`, run it with `patchbay run`.\n\n\
             data_dir = \"data\"            # the folder of the event log\n\n\
             [http]                       # the send API, and the webhooks of providers\n\
             listen = \"127.0.0.1:8080\"\n\
             {public_url}    # where providers reach this address, such as a TLS proxy\n\
             # api_keys = [\"env:PATCHBAY_API_KEY\"]   # needed unless the address is a loopback one\n\n\
             [admin]                      # the web page, metrics and `patchbay status`\n\
             listen = \"127.0.0.1:9090\"\n\
             # token = \"env:PATCHBAY_ADMIN_TOKEN\"    # needed unless the address is a loopback one\n\n\
             [[destination]]              # your service: messages and notifications are posted to it\n\
             id = \"support\"\n\
             url = {}\n\
             # secret = \"env:SUPPORT_SECRET\"         # signs what is posted\n",
            quoted(&self.destination)
        );
        for channel in &self.channels {
            text.push_str(&channel.written(&value_of));
        }
        text
    }
}

impl DraftChannel {
    fn written(&self, value_of: &impl Fn(&str, &str) -> String) -> String {
        let unsigned = if self.unsigned {
            "unsigned = true              # the provider does not sign webhooks: anyone who knows the address can write\n"
        } else {
            ""
        };
        let mut text = format!(
            "\n[[channel]]\nid = {}\nprovider = {}\n\
             dids = [{{ number = {}, destination = \"support\" }}]   # your own address; its messages go there\n\
             {unsigned}[channel.account]            # all keys: patchbay providers {}\n",
            quoted(&self.id),
            quoted(&self.provider),
            quoted(&self.own),
            self.provider
        );
        for AccountValue { key, value, bare } in &self.account {
            let value = value_of(key, value);
            let value = if *bare { value } else { quoted(&value) };
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_flags_name_what_is_expected_and_no_secret() {
        let mut draft = Draft::default();
        for text in ["sms", "sms=smpp", "sms=smpp:", "s/s=smpp:1", "sms=fax:1"] {
            let why = draft.add_channel(text).unwrap_err().to_string();
            assert!(why.contains("expected") || why.contains("the providers are"), "{text}: {why}");
        }
        draft.add_channel("sms=smpp:5155").unwrap();
        assert!(draft.add_channel("sms=smpp:5156").is_err(), "two of one id");
        for text in ["sms.password", "password=sesame", "sms.=sesame", "tg.token=sesame"] {
            let why = draft.set(text).unwrap_err().to_string();
            assert!(!why.contains("sesame"), "{text}: {why}");
        }
        assert_eq!(draft.free_id("smpp"), "smpp");
        assert_eq!(draft.free_id("sms"), "sms-2");
    }

    #[test]
    fn values_are_quoted() {
        let mut draft = Draft::default();
        draft.add_channel("sms=smpp:5155").unwrap();
        draft.set("sms.password=a\"b\\c=d").unwrap();
        let table: toml::Table = draft.text().parse().unwrap();
        assert_eq!(table["channel"][0]["account"]["password"].as_str(), Some("a\"b\\c=d"));
    }
}
