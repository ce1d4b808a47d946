//! `patchbay demo` as a newcomer runs it: no configuration, no account, free ports. Each channel
//! shows its conversation in order, with receipts, and the suggested commands work as printed.

#[path = "support/command_line.rs"]
mod command_line;

use std::{net::TcpListener, process::Command, time::Duration};

use command_line::check;
use running::{Demo, in_order};

#[cfg(test)]
mod running {
    use std::{
        io::{BufRead, BufReader, Lines},
        process::{Child, ChildStdout, Command, Stdio},
    };

    /// Checks that these pieces occur in this order.
    #[track_caller]
    pub(super) fn in_order(told: &str, pieces: &[&str]) {
        let mut rest = told;
        for piece in pieces {
            let Some(at) = rest.find(piece) else {
                panic!("the demo does not tell {piece:?} there:\n{told}")
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
    }

    /// A running demo, and its output.
    pub(super) struct Demo {
        pub(super) child: Child,
        pub(super) lines: Lines<BufReader<ChildStdout>>,
    }

    impl Demo {
        pub(super) fn start(arguments: &[&str]) -> Self {
            let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
            let mut child = command.arg("demo").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            Self { child, lines }
        }

        /// Reads its output up to this piece.
        pub(super) fn until(&mut self, piece: &str) -> Vec<String> {
            let mut told = Vec::new();
            for line in self.lines.by_ref().map(Result::unwrap) {
                let found = line.contains(piece);
                told.push(line);
                if found {
                    return told;
                }
            }
            panic!("it ended before it told {piece:?}: {told:#?}");
        }

        /// Interrupts it as Ctrl-C does, and returns its exit code.
        pub(super) fn interrupt(mut self) -> Option<i32> {
            let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
            assert!(killed.success());
            self.child.wait().unwrap().code()
        }
    }
}

#[test]
fn all_four_channels_talk_and_the_demo_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let told = check(folder.path(), &["demo", "--once", "--patience", "60s"], 0, "All round trips worked");
    for channel in ["SMS", "WhatsApp", "Messenger", "Telegram"] {
        let of: String = told
            .lines()
            .filter(|line| line.trim_start().starts_with(channel))
            .map(|l| format!("{l}\n"))
            .collect();
        let receipts = match channel {
            "SMS" => "receipts  sent, delivered\n",
            "Telegram" => "receipts  sent (this provider reports nothing more)\n",
            _ => "receipts  sent, delivered, read\n",
        };
        let answers = if channel == "SMS" { "customer  2\n" } else { "customer  taps [Tomorrow]\n" };
        in_order(
            &of,
            &[
                "customer  Hi, where is my parcel?\n",
                "bot       You wrote: Hi, where is my parcel?\n",
                receipts,
                "bot       When shall we deliver it?",
                answers,
                "bot gets  \"Tomorrow\" with the payload day:tomorrow\n",
                "bot       Booked for you: Tomorrow.\n",
                receipts,
            ],
        );
        let buttons = "[Today]  [Tomorrow]  [Saturday]";
        assert_eq!(of.contains(buttons), channel != "SMS", "buttons on {channel}:\n{told}");
        let refused = "router    refused with HTTP 401; nothing changed\n";
        assert_eq!(of.contains(refused), channel != "SMS", "a forged webhook on {channel}:\n{told}");
    }
    in_order(
        &told,
        &["🎉", "🙏", "joined in the right order", "You wrote: Great", "🙏", "split into 3 SMS segments"],
    );
    in_order(&told, &["1. Today", "2. Tomorrow", "3. Saturday", "numbered-list: 3 buttons"]);
    in_order(
        &told,
        &["a picture", "/media/whatsapp/", "1700 bytes of image/png", "Thank you for the picture"],
    );
    assert!(
        told.lines().all(|line| line.chars().count() <= 100 || line.contains("/media/")),
        "wide:\n{told}"
    );
    assert!(!told.contains('\u{1b}'), "colours without a terminal:\n{told}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn channels_are_chosen_and_what_does_not_come_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = check(folder.path(), &["demo", "--once", "--channels", "telegram,sms"], 0, "All round trips");
    assert!(!told.contains("WhatsApp") && !told.contains("Messenger"), "{told}");
    in_order(&told, &["/media/telegram/", "refused with HTTP 401"]);
    check(folder.path(), &["demo", "--channels", "fax"], 2, "possible values: sms, whatsapp");
    let hasty = ["demo", "--once", "--channels", "whatsapp", "--patience", "1ms"];
    check(folder.path(), &hasty, 1, "on a slow machine try --patience");
}

#[test]
fn what_it_suggests_works_as_it_is_printed() {
    let mut demo = Demo::start(&[]);
    demo.until("To try now");
    let told = demo.until("Press Ctrl-C to stop");
    let mut commands: Vec<String> = Vec::new();
    for pair in told.windows(2) {
        let Some(line) = pair[1].strip_prefix("    ") else { continue };
        match commands.last_mut().filter(|_| pair[0].starts_with("    ")) {
            Some(command) => command.push_str(&format!("\n{line}")),
            None => commands.push(line.to_owned()),
        }
    }
    // The first word is an address.
    commands[0] = format!("curl -sf {}", commands[0]);
    // The second never ends by itself; it is ended once it has told something.
    commands[1] = format!("timeout 20 {} | head -n 1", commands[1]);
    let expected = [
        "<!DOCTYPE html>",
        "Z ",
        " READ (1 part)",
        "because        it has the serviceIdentifier",
        "\"ACCEPTED\"",
        "\"adapted\"",
        "\"taken\":true",
        "<image/png, 1700 bytes>",
    ];
    assert_eq!(commands.len(), expected.len(), "{commands:#?}");
    for (command, expected) in commands.iter().zip(expected) {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && answer.contains(expected), "{command}\n{answer}\n{output:?}");
    }
    // The customer's text is shown, and answered.
    demo.until("You wrote: Good morning");
    assert_eq!(demo.interrupt(), Some(0), "an interrupted demo that was done is no failure");
}

#[test]
fn its_ports_can_be_chosen_and_are_refused_when_they_are_in_use() {
    // Seven consecutive ports that are free, by luck: another process may take one meanwhile.
    let first = (0..100).find_map(|_| {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = probe.local_addr().unwrap().port().checked_add(1)?;
        let ports = first..first.checked_add(7)?;
        ports.into_iter().all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()).then_some(first)
    });
    let first = first.expect("seven free ports");
    let mut demo = Demo::start(&["--port", &first.to_string(), "--channels", "sms"]);
    let told = demo.until("To try now");
    assert!(told.iter().any(|line| line.contains(&format!("127.0.0.1:{}", first + 3))), "{told:#?}");
    demo.until(&format!("http://127.0.0.1:{first}/"));
    let folder = tempfile::tempdir().unwrap();
    let again = ["demo", "--once", "--port", &first.to_string()];
    check(folder.path(), &again, 1, &format!("cannot listen on 127.0.0.1:{}", first + 1));
    check(folder.path(), &again, 1, "choose another --port");
    assert_eq!(demo.interrupt(), Some(0));
}

#[test]
fn it_ends_when_nobody_reads_any_more_and_when_it_is_interrupted() {
    let mut demo = Demo::start(&["--channels", "sms"]);
    demo.until("Press Ctrl-C to stop");
    let Demo { mut child, lines } = demo;
    drop(lines);
    let status = (0..1200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        child.try_wait().unwrap()
    });
    child.kill().unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(0), "it goes on without a reader");
    let mut early = Demo::start(&["--once"]);
    early.until("Patchbay demo");
    assert_eq!(early.interrupt(), Some(1), "the round trips were not done");
}
