//! The difference between two configurations, and what each part of it means for a running
//! Patchbay: which channels and destinations start, stop or start again, which settings hold at
//! once, and which need a restart of the process. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::inventory::{Inventory, TableName};

/// Settings that hold at once. All others need a restart.
const LIVE: [&str; 8] = [
    "http.api_keys",
    "admin.token",
    "retention",
    "limits.checkpoint_events",
    "limits.checkpoint_every",
    "limits.replay_events_max",
    "limits.unwritten_max",
    "limits.waiting_sessions_max",
];
/// The key of a destination that concerns the public listener alone.
const API_KEY: &str = "api_key";

/// The changes that a reload makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Changes of `[[channel]]` tables.
    pub channels: Changes,
    /// Changes of `[[destination]]` tables.
    pub destinations: Changes,
    /// Whether the order in which channels are chosen changes.
    pub reordered: bool,
    /// The settings that change at once.
    pub settings: Vec<String>,
    /// The settings that differ and are not used before the next start.
    pub needs_restart: Vec<String>,
}

/// The changes of the tables of one kind, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// Those that start.
    pub added: Vec<String>,
    /// Those that are drained and start again.
    pub changed: Vec<Changed>,
    /// Those that are drained and stop.
    pub removed: Vec<String>,
    /// Those that go on as they are.
    pub unchanged: Vec<String>,
}

/// A thing with other settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changed {
    /// The id of the table.
    pub id: String,
    /// The keys that differ.
    pub keys: Vec<String>,
}

/// Compares two configurations.
pub fn plan(old: &Inventory, new: &Inventory) -> Plan {
    let mut plan = Plan::default();
    let added = new.tables().filter(|table| !old.has(table));
    for table in old.tables().chain(added) {
        let (changes, id) = match table {
            TableName::Settings => {
                let keys = old.differences(new, table).unwrap_or_default();
                (plan.settings, plan.needs_restart) =
                    keys.into_iter().partition(|key| LIVE.contains(&key.as_str()));
                continue;
            }
            TableName::Channel(id) => (&mut plan.channels, id.clone()),
            TableName::Destination(id) => (&mut plan.destinations, id.clone()),
        };
        match old.differences(new, table) {
            Some(keys) if keys.is_empty() => changes.unchanged.push(id),
            Some(keys) => changes.changed.push(Changed { id, keys }),
            None if new.has(table) => changes.added.push(id),
            None => changes.removed.push(id),
        }
    }
    let stay = |of: &Inventory, other: &Inventory| {
        let ids = of.channels().iter().filter(|id| other.channels().contains(id));
        ids.cloned().collect::<Vec<String>>()
    };
    plan.reordered = stay(old, new) != stay(new, old);
    plan
}

impl Changed {
    /// Whether it has to start again: a key for the public listener changes nothing in a
    /// destination itself.
    pub fn starts_again(&self) -> bool {
        self.keys.iter().any(|key| key != API_KEY)
    }
}

impl Plan {
    /// Whether the two configurations say the same.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
            && self.destinations.is_empty()
            && !self.reordered
            && self.settings.is_empty()
            && self.needs_restart.is_empty()
    }

    /// Returns the plan in words, one line for each change.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.destinations.lines("destination");
        lines.extend(self.channels.lines("channel"));
        if self.reordered {
            lines.push("channels are chosen in another order".to_owned());
        }
        lines.extend(self.settings.iter().map(|key| format!("~ {key}: holds at once")));
        let restart =
            |key: &String| format!("! {key}: differs, and is not used before a restart of Patchbay");
        lines.extend(self.needs_restart.iter().map(restart));
        lines
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    fn lines(&self, kind: &str) -> Vec<String> {
        let added = self.added.iter().map(|id| format!("+ {kind} {id}"));
        let changed = self.changed.iter().map(|c| format!("~ {kind} {}: {}", c.id, c.keys.join(", ")));
        let removed = self.removed.iter().map(|id| format!("- {kind} {id}"));
        added.chain(changed).chain(removed).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use toml::de::DeTable;

    use super::*;

    const BASE: &str = r#"
        retention = "30d"
        [http]
        listen = "127.0.0.1:0"
        api_keys = ["one"]
        [limits]
        hosts = 2
        [[destination]]
        id = "crm"
        url = "http://127.0.0.1:1/"
        api_key = "k"
        [[channel]]
        id = "a"
        dids = [{ number = "1", destination = "crm" }]
        [channel.account]
        password = "x"
        port = 2775
        [[channel]]
        id = "b"
        dids = ["2"]
    "#;

    fn inventory(text: &str, folder: &Path) -> Inventory {
        Inventory::of(DeTable::parse(text).unwrap().get_ref(), folder)
    }

    /// Plans from [`BASE`] to the same with one replacement.
    fn changed(from: &str, to: &str) -> String {
        assert!(BASE.contains(from), "{from}");
        let nowhere = Path::new("/nowhere");
        let new = inventory(&BASE.replacen(from, to, 1), nowhere);
        plan(&inventory(BASE, nowhere), &new).lines().join("; ")
    }

    #[test]
    fn each_difference_is_told_with_its_key_and_its_consequence() {
        let later = "differs, and is not used before a restart of Patchbay";
        let table = [
            ("\"30d\"", "\"31d\"", "~ retention: holds at once".to_owned()),
            ("[\"one\"]", "[\"one\", \"two\"]", "~ http.api_keys: holds at once".to_owned()),
            ("127.0.0.1:0", "127.0.0.1:1", format!("! http.listen: {later}")),
            ("hosts = 2", "hosts = 3", format!("! limits.hosts: {later}")),
            (
                "hosts = 2",
                "hosts = 2\ncheckpoint_events = 9",
                "~ limits.checkpoint_events: holds at once".into(),
            ),
            ("hosts = 2", "", format!("! limits.hosts: {later}")),
            ("/\"", "/x\"", "~ destination crm: url".into()),
            ("\"k\"", "\"l\"", "~ destination crm: api_key".into()),
            ("\"x\"", "\"y\"", "~ channel a: account.password".into()),
            ("2775", "\"2775\"", "~ channel a: account.port".into()),
            ("2775", "2775\nwindow = 5\ntls = true", "~ channel a: account.tls, account.window".into()),
            ("{ number = \"1\"", "{ number = \"3\"", "~ channel a: dids".into()),
            ("id = \"b\"", "id = \"c\"", "+ channel c; - channel b".into()),
            ("id = \"crm\"", "id = \"erp\"", "+ destination erp; - destination crm".into()),
            ("\"x\"", "\"x\" # a comment", String::new()),
        ];
        for (from, to, expected) in table {
            assert_eq!(changed(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn what_does_not_differ_goes_on() {
        let all = inventory(BASE, Path::new("/nowhere"));
        let same = plan(&all, &all);
        assert!(same.is_empty() && same.lines().is_empty());
        assert_eq!(same.channels.unchanged, ["a", "b"]);
        assert_eq!(same.destinations.unchanged, ["crm"]);
    }

    #[test]
    fn an_order_of_channels_is_a_difference_and_an_addition_before_them_is_none() {
        let of = |text: &str| inventory(text, Path::new("/nowhere"));
        let channel = |id: &str| format!("[[channel]]\nid = \"{id}\"\n");
        let old = of(&(channel("a") + &channel("b")));
        let turned = plan(&old, &of(&(channel("b") + &channel("a"))));
        assert_eq!(turned.lines(), ["channels are chosen in another order"]);
        assert!(!turned.is_empty());
        let more = plan(&old, &of(&(channel("c") + &channel("a") + &channel("b"))));
        assert_eq!((more.reordered, more.channels.added), (false, vec!["c".to_owned()]));
    }

    #[test]
    fn a_rotated_secret_or_file_is_a_difference_although_the_text_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "[[channel]]\nid = \"a\"\n[channel.account]\npassword = \"file:secret\"\ntls_ca = \"ca.pem\"\n";
        let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
        write("secret", "old\n");
        write("ca.pem", "one");
        let old = inventory(text, folder.path());
        assert!(!format!("{old:?}").contains("old"));
        write("secret", "new\n");
        let rotated = inventory(text, folder.path());
        assert_eq!(plan(&old, &rotated).lines(), ["~ channel a: account.password"]);
        write("ca.pem", "two");
        let renewed = inventory(text, folder.path());
        assert_eq!(plan(&rotated, &renewed).lines(), ["~ channel a: account.tls_ca"]);
    }

    #[test]
    fn a_setting_that_needs_a_restart_is_told_again_at_the_next_reload() {
        let nowhere = Path::new("/nowhere");
        let old = inventory(BASE, nowhere);
        let text = BASE.replace("hosts = 2", "hosts = 3\nlive_sessions_max = 7");
        let new = inventory(&text, nowhere);
        let first = plan(&old, &new);
        let mut applied = new.clone();
        applied.keep_settings(&old, &first.needs_restart);
        assert_eq!(plan(&applied, &new), first);
        assert!(plan(&applied, &old).is_empty(), "taken back, nothing differs");
    }

    #[test]
    fn a_key_for_the_listener_does_not_start_a_destination_again() {
        let of =
            |keys: &[&str]| Changed { id: "d".into(), keys: keys.iter().map(ToString::to_string).collect() };
        assert!(!of(&["api_key"]).starts_again());
        assert!(of(&["api_key", "url"]).starts_again());
    }
}
