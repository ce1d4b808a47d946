//! The files of captured traffic: one for each provider or vendor, with several items.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use channels::Provider;
use serde::Deserialize;

use crate::sign::{Signature, Signing};

/// Providers that share the wire form of `general`, which has the items.
pub(crate) const ALIKE: [&str; 5] = ["alhambra", "athena", "ixica", "netplanet", "vetta"];

/// The file in this folder that has another form; a test of `channels` reads it.
const RECEIPTS: &str = "receipts.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    provider: String,
    did: String,
    #[serde(default)]
    account: toml::Table,
    /// The headers of every webhook.
    #[serde(default)]
    headers: toml::Table,
    /// The provider's answer to a message; `{id}` stands for its id.
    #[serde(default)]
    answer: String,
    /// A webhook that comes before the business sends: the customer's first words, where a provider
    /// demands them.
    #[serde(default)]
    opening: String,
    item: Vec<Item>,
}

/// A provider's file.
pub(crate) struct CapturedFile {
    pub(crate) name: String,
    pub(crate) provider: &'static Provider,
    pub(crate) did: String,
    pub(crate) account: toml::Table,
    pub(crate) headers: toml::Table,
    pub(crate) answer: String,
    pub(crate) opening: String,
    pub(crate) items: Vec<Item>,
    path: PathBuf,
}

/// A piece of traffic, and its expected outcome.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// Where the shape was seen.
    pub(crate) source: String,
    /// Keys laid over those of the file's account.
    #[serde(default)]
    pub(crate) account: toml::Table,
    /// Messages that the business sent before, with the ids that the provider gave them.
    #[serde(default)]
    pub(crate) sent: Vec<SentBefore>,
    /// SMPP: PDUs, in the form of [`octets`], each written once the one before was answered.
    #[serde(default)]
    pub(crate) pdus: Vec<String>,
    /// A webhook.
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    signature: Signature,
    /// Several webhooks instead of one.
    #[serde(default)]
    calls: Vec<CallForm>,
    /// The rows of the provider's table of events by which something was ignored, as `place name`.
    #[serde(default)]
    pub(crate) ignored: Vec<String>,
    #[serde(default)]
    pub(crate) expect: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentBefore {
    pub(crate) to: String,
    pub(crate) id: String,
    #[serde(default = "hello")]
    pub(crate) text: String,
}

fn hello() -> String {
    "Hello".into()
}

fn post() -> String {
    "POST".into()
}

/// A webhook.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CallForm {
    pub(crate) method: String,
    pub(crate) query: String,
    pub(crate) body: String,
    pub(crate) signature: Signature,
}

impl Default for CallForm {
    fn default() -> Self {
        let (query, body) = Default::default();
        Self { method: post(), query, body, signature: Signature::default() }
    }
}

impl CallForm {
    pub(crate) fn of(body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::default() }
    }

    pub(crate) fn signing(&self) -> Signing {
        Signing { signature: self.signature, ..Signing::default() }
    }
}

impl Item {
    /// Its webhooks, in order.
    pub(crate) fn webhooks(&self) -> Vec<CallForm> {
        let Self { method, query, body, signature, .. } = self;
        if query.is_empty() && body.is_empty() {
            return self.calls.clone();
        }
        let (method, query, body) = (method.clone(), query.clone(), body.clone());
        vec![CallForm { method, query, body, signature: *signature }]
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../channels/fixtures/captured")
}

/// The start of an item, and of its outcome.
const ITEM: &str = "[[item]]\n";
const EXPECT: &str = "expect = '''\n";
const END: &str = "'''\n";

impl CapturedFile {
    /// Reads all files, in the order of their names.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = entries.filter(|path| !path.ends_with(RECEIPTS)).collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let form: Form = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let provider = channels::provider(&form.provider).expect("a provider");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Form { did, account, headers, answer, opening, item: items, .. } = form;
        Self { name, provider, did, account, headers, answer, opening, items, path }
    }

    /// The account of an item.
    pub(crate) fn account(&self, item: &Item) -> toml::Table {
        let mut account = self.account.clone();
        account.extend(item.account.clone());
        account
    }

    /// Writes the outcomes into the file, and leaves everything else in it as it is.
    pub(crate) fn record(&self, outcomes: &[String]) {
        let text = fs::read_to_string(&self.path).unwrap();
        let mut pieces = text.split(ITEM);
        let mut out = pieces.next().unwrap().to_owned();
        for (piece, outcome) in pieces.zip(outcomes) {
            let (before, after) = match piece.split_once(EXPECT) {
                Some((before, rest)) => (before.to_owned(), rest.split_once(END).unwrap().1),
                None => (format!("{}\n", piece.trim_end()), "\n"),
            };
            let after = if after.is_empty() { "" } else { after };
            write!(out, "{ITEM}{before}{EXPECT}{outcome}{END}{after}").unwrap();
        }
        fs::write(&self.path, format!("{}\n", out.trim_end())).unwrap();
    }
}

/// Reads octets: pairs of hexadecimal digits with spaces anywhere, `"text"` in ASCII, and comments
/// from `#` to the end of the line.
pub(crate) fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for line in text.lines() {
        let mut digits = String::new();
        let flush = |digits: &mut String, octets: &mut Vec<u8>| {
            octets.extend(hex(&std::mem::take(digits)));
        };
        for (n, piece) in line.split('"').enumerate() {
            if n % 2 == 1 {
                flush(&mut digits, &mut octets);
                octets.extend_from_slice(piece.as_bytes());
                continue;
            }
            let code = piece.split('#').next().unwrap();
            digits.extend(code.chars().filter(|c| !c.is_whitespace()));
            if code.len() < piece.len() {
                break;
            }
        }
        flush(&mut digits, &mut octets);
    }
    octets
}

fn hex(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Shows two texts line by line: `-` what is expected alone, `+` what came alone.
pub(crate) fn difference(expected: &str, got: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), got.lines().collect());
    let mut out = String::new();
    let line = |mark: char, text: &str, out: &mut String| writeln!(out, "{mark} {text}").unwrap();
    let mut at = 0;
    for text in &new {
        match old[at..].iter().position(|known| known == text) {
            Some(further) => {
                old[at..at + further].iter().for_each(|gone| line('-', gone, &mut out));
                line(' ', text, &mut out);
                at += further + 1;
            }
            None => line('+', text, &mut out),
        }
    }
    old[at..].iter().for_each(|gone| line('-', gone, &mut out));
    out
}
