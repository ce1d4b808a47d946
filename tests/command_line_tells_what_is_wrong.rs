//! The command line as a process: exit codes (0 fine, 1 failed while running, 2 bad usage or configuration) and
//! the words that go with them.

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

#[test]
fn usage_and_configuration_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "retenton = \"30d\"\n").unwrap();
    fs::write(folder.path().join("good.toml"), config("127.0.0.1:0")).unwrap();
    for (arguments, code, told) in [
        (&[][..], 2, "Usage: patchbay"),
        (&["bogus"], 2, "unrecognized subcommand"),
        (&["run", "--confg", "x"], 2, "--config"),
        (&["--version"], 0, "patchbay 0."),
        (&["--help"], 0, "demo"),
        (&["run"], 2, "config.toml: there is no such file"),
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
        (&["providers", "telnyx"], 0, "api_key (secret)"),
        (&["providers", "nobody"], 2, "there is no provider \"nobody\""),
        (&["log", "stats", "--data-dir", "nowhere"], 2, "there is no log in nowhere"),
    ] {
        check(folder.path(), arguments, code, told);
    }
    assert!(!folder.path().join("nowhere").exists(), "looking creates nothing");
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
    check(
        folder.path(),
        &["send", "--to", "1", "--from", "2", "--text", "x", "--url", &url],
        1,
        "cannot be reached",
    );
    check(folder.path(), &["tail", "--url", &url], 1, "cannot be reached");
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
