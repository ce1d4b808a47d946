//! The content of a configuration, table by table and key by key, as digests: enough to tell which
//! keys differ from another one, and nothing that could be read back. Secrets and files count with
//! their content, so that a rotated one is a difference.

use std::{collections::BTreeMap, fmt, path::Path};

use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use toml::de::{DeTable, DeValue};

use super::secret;

/// Keys whose values name files that are read when the thing starts.
const FILE_KEYS: [&str; 6] = ["tls_ca", "trust", "manifest", "cert", "key", "client_cert"];
/// The largest file that is compared by its content, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// The keys above and in all tables that exist once, such as `http.listen`.
    Settings,
    /// A `[[destination]]` by its id.
    Destination(String),
    /// A `[[channel]]` by its id.
    Channel(String),
}

/// SHA-256 of a value as written, or of the secret or file that it names.
type ValueDigest = [u8; 32];

/// A configuration as digests.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    tables: BTreeMap<TableName, BTreeMap<String, ValueDigest>>,
    channels: Vec<String>,
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tables.keys()).finish()
    }
}

impl Inventory {
    /// Takes down a whole file. Relative paths start at `folder`.
    pub(super) fn of(root: &DeTable<'_>, folder: &Path) -> Self {
        let mut inventory = Self::default();
        inventory.tables.insert(TableName::Settings, BTreeMap::new());
        for (name, value) in root.iter() {
            let (key, value): (&str, _) = (name.get_ref(), value.get_ref());
            match (key, value.as_array()) {
                ("channel" | "destination", Some(items)) => {
                    for item in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        let id = item.get("id").and_then(|id| id.get_ref().as_str()).unwrap_or_default();
                        let table = match key {
                            "channel" => {
                                inventory.channels.push(id.to_owned());
                                TableName::Channel(id.to_owned())
                            }
                            _ => TableName::Destination(id.to_owned()),
                        };
                        let keys = inventory.tables.entry(table).or_default();
                        take_table(keys, "", item, folder);
                    }
                }
                _ => {
                    let keys = inventory.tables.entry(TableName::Settings).or_default();
                    take(keys, key, key, value, folder);
                }
            }
        }
        inventory
    }

    /// The tables in order.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// The ids of the channels in the order of the file, in which they are chosen.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Returns the keys of a table that differ from those of another configuration, in order;
    /// `None` if the table is not in both.
    pub fn differences(&self, other: &Self, table: &TableName) -> Option<Vec<String>> {
        let (mine, theirs) = (self.tables.get(table)?, other.tables.get(table)?);
        let mut keys: Vec<&String> = mine.keys().chain(theirs.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        Some(keys.into_iter().filter(|key| mine.get(*key) != theirs.get(*key)).cloned().collect())
    }

    /// Whether it has a table.
    pub fn has(&self, table: &TableName) -> bool {
        self.tables.contains_key(table)
    }

    /// Keeps settings as another configuration says them, because they are not used yet.
    pub fn keep_settings(&mut self, of: &Self, keys: &[String]) {
        let before = of.tables.get(&TableName::Settings);
        let settings = self.tables.entry(TableName::Settings).or_default();
        for key in keys {
            match before.and_then(|before| before.get(key)) {
                Some(value) => _ = settings.insert(key.clone(), *value),
                None => _ = settings.remove(key),
            }
        }
    }
}

fn take_table(keys: &mut BTreeMap<String, ValueDigest>, above: &str, table: &DeTable<'_>, folder: &Path) {
    for (name, value) in table.iter() {
        let key: &str = name.get_ref();
        let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        take(keys, &path, key, value.get_ref(), folder);
    }
}

fn take(keys: &mut BTreeMap<String, ValueDigest>, path: &str, key: &str, value: &DeValue<'_>, folder: &Path) {
    match value.as_table() {
        Some(table) => take_table(keys, path, table, folder),
        None => {
            let mut hash = Sha256::new();
            hash_value(&mut hash, key, value, folder);
            keys.insert(path.to_owned(), hash.finalize().into());
        }
    }
}

/// Hashes a value with its type, so that `"1"` and `1` differ.
fn hash_value(hash: &mut Sha256, key: &str, value: &DeValue<'_>, folder: &Path) {
    let mut add = |kind: u8, text: &[u8]| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    match value {
        DeValue::String(text) => {
            add(b's', text.as_bytes());
            let is_secret = text.starts_with("env:") || text.starts_with("file:");
            if is_secret && let Ok(secret) = secret::resolve(text, folder) {
                add(b'S', secret.expose_secret().as_bytes());
            } else if FILE_KEYS.contains(&key)
                && let Some(content) = file_digest(&folder.join(text.as_ref()))
            {
                add(b'F', &content);
            }
        }
        DeValue::Integer(number) => add(b'i', number.to_string().as_bytes()),
        DeValue::Float(number) => add(b'f', number.to_string().as_bytes()),
        DeValue::Boolean(flag) => add(b'b', &[u8::from(*flag)]),
        DeValue::Datetime(time) => add(b'd', time.to_string().as_bytes()),
        DeValue::Array(items) => {
            add(b'a', &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_value(hash, key, item.get_ref(), folder));
        }
        DeValue::Table(table) => {
            add(b't', &(table.len() as u64).to_le_bytes());
            for (name, value) in table.iter() {
                let name: &str = name.get_ref();
                hash.update((name.len() as u64).to_le_bytes());
                hash.update(name.as_bytes());
                hash_value(hash, name, value.get_ref(), folder);
            }
        }
    }
}

fn file_digest(path: &Path) -> Option<[u8; 32]> {
    let is_small = std::fs::metadata(path).ok().filter(|file| file.is_file())?.len() <= FILE_BYTES_MAX;
    let content = is_small.then(|| std::fs::read(path).ok()).flatten()?;
    Some(Sha256::digest(&content).into())
}
