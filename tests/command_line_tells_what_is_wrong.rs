//! The command line as a process: exit codes (0 success, 1 failure while running, 2 bad usage or
//! configuration) and their messages.

#![allow(clippy::unwrap_used, reason = "a test ends on the first surprise")]

#[path = "support/command_line.rs"]
mod command_line;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
};

use command_line::check;

fn config(listen: &str) -> String {
    format!(
        r#"
[http]
listen = "{listen}"
[admin]
listen = "127.0.0.1:0"
[[destination]]
id = "support"
url = "http://127.0.0.1:9/cim"
[[channel]]
id = "sms-main"
provider = "smpp"
dids = ["5155"]
[channel.account]
host = "127.0.0.1"
port = 9
system_id = "patchbay"
password = "x"
"#
    )
}

/// Returns a folder with configurations, right and wrong.
fn configurations() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "retenton = \"30d\"\n").unwrap();
    fs::write(folder.path().join("good.toml"), config("127.0.0.1:0")).unwrap();
    fs::write(
        folder.path().join("file.toml"),
        format!("data_dir = \"good.toml\"\n{}", config("127.0.0.1:0")),
    )
    .unwrap();
    let alone = config("127.0.0.1:0")
        .replace("[[destination]]\nid = \"support\"\nurl = \"http://127.0.0.1:9/cim\"\n", "");
    fs::write(folder.path().join("alone.toml"), alone).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    folder
}

#[test]
fn usage_and_configuration_end_with_2() {
    let folder = configurations();
    for (arguments, code, told) in [
        (&[][..], 2, "Usage: patchbay"),
        (&["bogus"], 2, "unrecognized subcommand"),
        (&["run", "--confg", "x"], 2, "--config"),
        (&["--version"], 0, "patchbay 0."),
        (&["--help"], 0, "demo"),
        (&["run"], 2, "config.toml: the file does not exist"),
        (&["run", "-c", "bad.toml"], 2, "bad.toml:1: retenton: unknown key; did you mean \"retention\"?"),
        (&["check", "-c", "bad.toml"], 2, "bad.toml:1: "),
        (&["check", "-c", "bad.toml", "--json"], 2, "\"line\":1"),
        (&["check", "-c", "good.toml"], 0, "good.toml is valid"),
        (&["send", "--to", "1", "--from", "2", "--text", "x", "--url", "nowhere"], 2, "--url"),
        (&["send", "--to", "1", "--from", "2", "--text", "x", "--wait", "soon"], 2, "--wait"),
        (&["sim", "smsc", "--set", "swalow=always"], 2, "swallow"),
        (&["sim", "smsc", "--account", "nocolon"], 2, "system_id:password"),
        (&["sim", "telnyx", "--set", "hagn=always"], 2, "hang"),
        (&["sim", "viber", "--credential", "key=x", "--listen", "127.0.0.1:0"], 2, "auth_token"),
        (&["sim", "twilio", "--print-script", "--set", "hang=1/7"], 0, "hang = \"1/7\""),
        (&["sim", "smsc", "--print-script", "--set", "swallow=1/7"], 0, "swallow = \"1/7\""),
        (&["providers"], 0, "twilio_whatsapp"),
        (&["providers", "telnyx"], 0, "api_key (required, a text in quotes, secret"),
        (&["providers", "nobody"], 2, "unknown provider \"nobody\""),
        (&["providers", "--json"], 0, "\"name\":\"twilio_whatsapp\""),
        (&["providers", "telnyx", "--json"], 0, "\"api_key\": {"),
        (&["providers", "nobody", "--json"], 2, "{\"error\":\"unknown provider \\\"nobody"),
        (&["explain", "twilio", "21610", "--json"], 0, "\"fix\":\""),
        (&["explain", "smpp", "--json"], 0, "\"meaning\":\""),
    ] {
        check(folder.path(), arguments, code, told);
    }
}

#[test]
fn wrong_orders_of_an_operator_end_with_2() {
    let folder = configurations();
    for (arguments, code, told) in [
        (&["send", "--to", "1", "--from", "2"][..], 2, "required"),
        (&["send", "--to", "1", "--json"], 2, "\"exitCode\":2"),
        (&["send", "--to", "1", "--from", "2", "--text", "x", "--body", "y"], 2, "cannot be used with"),
        (
            &["send", "--to", "1", "--from", "2", "--body", "nowhere.json"],
            2,
            "--body nowhere.json: cannot be read",
        ),
        (&["send", "--to", "1", "--from", "2", "--body", "good.toml"], 2, "--body good.toml: not valid JSON"),
        (&["send", "--help"], 0, "4  with --wait: the status is not final in time"),
        (&["messages", "--from", "yesterday"], 2, "or a time before now such as 2h"),
        (&["messages", "m1", "--list", "failed"], 2, "cannot be used with"),
        (&["dead-letters", "replay"], 2, "IDS"),
        (&["dead-letters", "replay", "x", "--all"], 2, "cannot be used with"),
        (&["dead-letters", "replay", "x", "--channel", "sms"], 2, "cannot be used with"),
        (&["in-doubt", "lose", "x"], 2, "lose"),
    ] {
        check(folder.path(), arguments, code, told);
    }
}

#[test]
fn what_is_written_and_read_is_named() {
    let folder = configurations();
    for (arguments, code, told) in [
        (&["demo", "--port", "65535"][..], 2, "65535 is not in"),
        (&["completions", "bash"], 0, "complete -F _patchbay"),
        (&["completions", "fish"], 0, "dead-letters"),
        (&["completions", "tcsh"], 2, "bash"),
        (&["man"], 0, ".TH patchbay 1"),
        (
            &["init", "-c", "good.toml", "--channel", "sms=smpp:5155"],
            2,
            "good.toml exists already and is never overwritten",
        ),
        (&["init", "-c", "new.toml"], 2, "name at least one channel"),
        (&["init", "-c", "new.toml", "--channel", "sms=fax:5155"], 2, "unknown provider \"fax\""),
        (
            &["init", "-c", "new.toml", "--channel", "sms=smpp:5155"],
            2,
            "missing: --set sms.host=..., --set sms.system_id=...",
        ),
        (&["log", "stats", "--data-dir", "nowhere"], 2, "no event log in nowhere"),
        (&["log", "verify", "--data-dir", "empty"], 2, "no event log in empty"),
        (
            &["send", "--to", "1", "--from", "2", "--text", "x", "--url", "ftp://host"],
            2,
            "--url \"ftp://host\"",
        ),
        (
            &["send", "--to", "1", "--from", "2", "--text", "x", "--api-key", "a\nb"],
            2,
            "not allowed in an HTTP header",
        ),
        (&["tail", "--url", "nowhere"], 2, "expected http://host:port"),
        (&["sim", "telnyx", "--webhook", "nowhere"], 2, "--webhook \"nowhere\" is not a valid URL"),
        (&["sim", "telnyx", "--deliver-to", "host:80"], 2, "--deliver-to"),
        (&["sim", "telnyx", "--base-url", "/x"], 2, "--base-url"),
        (&["check", "-c", "alone.toml"], 2, "messages to \"5155\" need a [[destination]]"),
        (&["run", "-c", "file.toml"], 1, "good.toml\"): not a folder; name a folder that can be written"),
    ] {
        check(folder.path(), arguments, code, told);
    }
    assert!(!folder.path().join("nowhere").exists(), "reading creates nothing");
    assert!(!folder.path().join("new.toml").exists(), "a configuration that lacks something is not written");
    assert_eq!(folder.path().join("empty").read_dir().unwrap().count(), 0, "reading creates nothing");
}

#[test]
fn the_configuration_of_the_readme_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    fs::write(folder.path().join("my.toml"), block).unwrap();
    // Without its secrets it is not valid: the missing variable is named.
    check(folder.path(), &["check", "-c", "my.toml"], 2, "the environment variable SMPP_PASSWORD is not set");
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
    let secrets = block.split("\"env:").skip(1).filter_map(|rest| rest.split('"').next());
    let output = command
        .current_dir(folder.path())
        .envs(secrets.map(|name| (name, if name == "TELEGRAM_TOKEN" { "123456:bot" } else { "a-secret" })))
        .args(["check", "-c", "my.toml"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("my.toml is valid: 4 channels, 1 destination"), "{output:?}");
}

#[test]
fn init_writes_a_configuration_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "init",
        "-c",
        "new.toml",
        "--channel",
        "sms=smpp:5155",
        "--set",
        "sms.host=smpp.example.net",
        "--set",
        "sms.system_id=shop",
        "--set",
        "sms.port=2776",
        "--channel",
        "tg=telegram:example_shop_bot",
        "--destination",
        "http://127.0.0.1:9000/hook",
        "--public-url",
        "https://chat.example.org",
    ];
    let told = check(folder.path(), &arguments, 0, "new.toml is written");
    // What is still to be done is told: the secrets, and the next commands.
    for piece in ["SMS_PASSWORD is not set", "TG_TOKEN is not set", "patchbay check -c new.toml --probe"] {
        assert!(told.contains(piece), "{piece}:\n{told}");
    }
    let text = fs::read_to_string(folder.path().join("new.toml")).unwrap();
    assert!(text.contains("port = 2776\n") && text.contains("# "), "{text}");
    let output = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .current_dir(folder.path())
        .envs([("SMS_PASSWORD", "sesame"), ("TG_TOKEN", "123456:bot"), ("TG_SECRET_TOKEN", "a-secret")])
        .args(["check", "-c", "new.toml"])
        .output()
        .unwrap();
    let checked = String::from_utf8_lossy(&output.stdout);
    assert!(checked.contains("new.toml is valid: 2 channels, 1 destination"), "{output:?}\n{text}");
    // It may hold secrets, and is never overwritten.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(folder.path().join("new.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    check(folder.path(), &arguments, 2, "exists already");
    assert_eq!(fs::read_to_string(folder.path().join("new.toml")).unwrap(), text);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let told = check(folder.path(), &["man", "--dir", "man1"], 0, "pages in man1");
    let page = |name: &str| {
        fs::read_to_string(folder.path().join("man1").join(name))
            .unwrap_or_else(|e| panic!("{name}: {e}\n{told}"))
    };
    assert!(page("patchbay.1").contains("dead\\-letters"));
    assert!(page("patchbay-send.1").contains("Exit codes"));
    assert!(page("patchbay-channel-pause.1").contains("patchbay channel pause sms"));
    assert!(page("patchbay-sim-telegram.1").contains("Credentials"));
}

#[test]
fn what_fails_while_running_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(folder.path().join("config.toml"), config(&address)).unwrap();
    check(folder.path(), &["run"], 1, &format!("cannot listen on {address}"));
    assert!(!folder.path().join("data").exists(), "the log is not touched");
    check(folder.path(), &["sim", "smsc", "--listen", &address], 1, &format!("cannot listen on {address}"));
    drop(taken);
    let url = format!("http://{address}");
    let send = ["send", "--to", "1", "--from", "2", "--text", "x", "--url", &url];
    let told = check(folder.path(), &send, 5, &format!("cannot connect to {url}"));
    assert!(told.contains("[http] listen") && told.contains("PATCHBAY_URL"), "{told}");
    for command in [
        &["tail"][..],
        &["status"],
        &["messages"],
        &["messages", "m1"],
        &["in-doubt"],
        &["in-doubt", "resend", "m1"],
        &["dead-letters", "list"],
        &["dead-letters", "replay", "--all"],
        &["channel", "pause", "sms"],
        &["destination", "try-now", "support"],
        &["reload", "--plan"],
    ] {
        let command = [command, &["--url", &url]].concat();
        let told = check(folder.path(), &command, 5, &format!("cannot connect to {url}"));
        assert!(told.contains("[admin] listen") && told.contains("PATCHBAY_ADMIN_URL"), "{told}");
    }
    check(folder.path(), &["status", "--json", "--url", &url], 5, "\"exitCode\":5");
    check(folder.path(), &["check", "--probe"], 1, "FAILED   channel sms-main (127.0.0.1:9)");
}

#[test]
fn a_probe_logs_in_at_the_provider() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .args(["sim", "smsc", "--listen", "127.0.0.1:0", "--account", "patchbay:right"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().unwrap().to_owned();
    let destination = TcpListener::bind("127.0.0.1:0").unwrap();
    for (password, code, told) in
        [("right", 0, "reached  channel sms-main"), ("wrong", 1, "the login was refused")]
    {
        let text = config("127.0.0.1:0")
            .replace("port = 9", &format!("port = {port}"))
            .replace("127.0.0.1:9/", &format!("{}/", destination.local_addr().unwrap()))
            .replace("\"x\"", &format!("{password:?}"));
        fs::write(folder.path().join("config.toml"), text).unwrap();
        check(folder.path(), &["check", "--probe"], code, told);
    }
    simulator.kill().unwrap();
    simulator.wait().unwrap();
}
