//! One table of mistakes in a configuration file, each tried with the real binary.

use std::{fs, net::TcpListener, path::Path};

use serde::Deserialize;

use super::command_line::{check, run};

/// A configuration without a mistake.
const GOOD: &str = r#"data_dir = "data"
[http]
listen = "127.0.0.1:0"
public_url = "https://p.example"
[admin]
listen = "127.0.0.1:0"
[[destination]]
id = "support"
url = "http://127.0.0.1:9000/cim"
[[channel]]
id = "sms"
provider = "smpp"
dids = ["5155"]
send_rate = 10
[channel.account]
host = "127.0.0.1"
port = 2775
system_id = "patchbay"
password = "pw"
[[channel]]
id = "bot"
provider = "telegram"
dids = ["shop_bot"]
[channel.account]
token = "123456:bot"
secret_token = "chosen-1"
[[channel]]
id = "wa"
provider = "whatsapp_cloud"
dids = ["+15557770000"]
[channel.account]
access_token = "t"
app_secret = "s"
phone_number_id = "1"
"#;

/// The account of a second channel with the number of `wa`.
const SECOND: &str = "[[channel]]\nid = \"us\"\nprovider = \"twilio\"\ndids = [\"+1 555 777 0000\"]\n\
                      [channel.account]\naccount_sid = \"AC1\"\nauth_token = \"t\"\n";

/// A row of `configuration.toml`, which explains the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    from: String,
    to: String,
    #[serde(default)]
    on: String,
    told: Vec<String>,
}

#[derive(Deserialize)]
struct Table {
    mistake: Vec<Row>,
}

fn applied(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let preferred = SECOND.replace("provider", "preferred = true\nprovider");
    let to = to.replace("PREFERRED", &preferred).replace("SECOND", SECOND);
    GOOD.replacen(from, &to, 1)
}

/// Returns the number of the line that has this text, from 1.
fn line_of(text: &str, piece: &str) -> usize {
    let found = text.lines().position(|line| line.contains(piece));
    found.unwrap_or_else(|| panic!("{piece:?} is in no line of\n{text}")) + 1
}

/// Returns what is wrong with the answer to a mistake.
fn try_row(folder: &Path, row: &Row) -> Option<String> {
    let Row { what, from, to, on, told } = row;
    let text = applied(from, to);
    fs::write(folder.join("my.toml"), &text).unwrap();
    let place = match on.is_empty() {
        true => "my.toml:".to_owned(),
        false => format!("my.toml:{}: ", line_of(&text, on)),
    };
    let (code, all) = run(folder, &["check", "-c", "my.toml"]);
    if code != Some(2) {
        return Some(format!("{what}: exit code {code:?}:\n{all}"));
    }
    let is_told = |line: &str| line.starts_with(&place) && told.iter().all(|part| line.contains(part));
    if !all.lines().any(is_told) {
        return Some(format!("{what}: no line begins with {place:?} and has {told:?}:\n{all}"));
    }
    let of_rust = ["u16", "invalid type", "variant", "field `", "Some("].into_iter();
    let word = of_rust.into_iter().find(|word| all.contains(word))?;
    Some(format!("{what}: {word:?} is Rust's word:\n{all}"))
}

#[test]
fn each_is_told_with_its_place_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "no certificate").unwrap();
    fs::write(folder.path().join("my.toml"), GOOD).unwrap();
    check(folder.path(), &["check", "-c", "my.toml"], 0, "my.toml is valid: 3 channels, 1 destination");
    let table: Table = toml::from_str(include_str!("configuration.toml")).unwrap();
    assert!(table.mistake.len() >= 53, "{} mistakes", table.mistake.len());
    let wrong: Vec<String> = table.mistake.iter().filter_map(|row| try_row(folder.path(), row)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.mistake.len(), wrong.join("\n"));
}

#[test]
fn all_of_an_account_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = applied(
        "port = 2775\nsystem_id = \"patchbay\"\npassword = \"pw\"",
        "port = \"2775\"\nbind = \"trx\"\nwindow = 0\nsystem_id = 7\npassword = \"env:PB_NO_SUCH\"",
    );
    fs::write(folder.path().join("my.toml"), &text).unwrap();
    let all = check(folder.path(), &["check", "-c", "my.toml"], 2, "my.toml:17: ");
    for key in ["port", "bind", "window", "system_id", "password"] {
        let start =
            format!("my.toml:{}: [[channel]] \"sms\" account {key}: ", line_of(&text, &format!("{key} = ")));
        assert!(all.contains(&start), "{start}\n{all}");
    }
}

#[test]
fn what_the_machine_refuses_is_told_with_its_key_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("my.toml"), text).unwrap();
    let told = |arguments: &[&str], code: i32, expected: &[&str]| {
        let all = check(folder.path(), arguments, code, expected[0]);
        for part in expected {
            assert!(all.contains(part), "{part}\n{all}");
        }
    };
    told(&["run", "-c", "none.toml"], 2, &["none.toml: the file does not exist", "name one with --config"]);
    write("");
    told(
        &["check", "-c", "my.toml"],
        0,
        &["WARNING  no [[channel]] is configured", "`patchbay providers`", "`patchbay demo`"],
    );
    write(&GOOD.replace("data_dir = \"data\"", "data_dir = \"my.toml\""));
    told(
        &["run", "-c", "my.toml"],
        1,
        &["data_dir = \"my.toml\"", "not a folder", "name a folder that can be written"],
    );
    told(&["check", "-c", "my.toml"], 0, &["WARNING  data_dir \"", "not a folder"]);
    write(&GOOD.replace("data_dir = \"data\"", "data_dir = \"my.toml/data\""));
    told(&["run", "-c", "my.toml"], 1, &["cannot be created", "my.toml is not a folder", "in data_dir"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (table, at) in [("[http]", 0), ("[admin]", 1)] {
        let text = GOOD
            .match_indices("127.0.0.1:0")
            .nth(at)
            .map(|(from, found)| format!("{}{address}{}", &GOOD[..from], &GOOD[from + found.len()..]));
        write(&text.unwrap());
        let listen = format!("{table} listen: cannot listen on {address}");
        told(
            &["run", "-c", "my.toml"],
            1,
            &[&listen, "another process uses this port", "choose another port in listen"],
        );
    }
    told(&["providers", "smpp"], 0, &["port (a whole number from 1 to 65535, default 2775): The port"]);
    told(&["providers", "smpp", "--json"], 0, &["\"maximum\": 65535", "\"default\": 2775", "\"required\""]);
}
