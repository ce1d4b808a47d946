//! Every family of metrics has a meaning; the alert rules and the dashboard are valid, and name
//! only metrics that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use simulators::smsc::Pattern;

use crate::support::{
    Peer, SOON, Setup, Sink,
    cim::{self, customer},
    peer::{With, promtool},
    until,
};

fn ops(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(file)
}

/// Runs promtool; returns what it told.
fn told(arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(promtool());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// Returns what a run that met everything usual tells.
async fn scrape() -> String {
    let peer = Peer::start(With::Sim, json!({ "receipt_delay_ms": 20 })).await;
    let sink = Sink::start().await;
    let setup = Setup::simple(peer.port, &sink.url).tables("[limits]\ncheckpoint_every = \"200ms\"");
    let patchbay = setup.start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    patchbay.until_status("m-1", "DELIVERED").await;
    peer.smsc().change(|script| script.receipt_failed = Pattern::Always);
    patchbay.send(&cim::text("m-2", &customer(2), "Hello")).await;
    patchbay.until_status("m-2", "FAILED").await;
    until("a checkpoint", SOON, || async {
        let metrics = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
        if metrics.contains("patchbay_checkpoint_seconds_count") { Ok(metrics) } else { Err(metrics) }
    })
    .await
}

/// Returns the families of a scrape.
fn families(scrape: &str) -> BTreeSet<&str> {
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

/// Returns the names of metrics in a text, without the endings of a histogram's series.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("patchbay_") || word.starts_with("process_"));
    let base = |name: &str| {
        let ending = ["_bucket", "_sum", "_count"].into_iter().find_map(|ending| name.strip_suffix(ending));
        ending.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_of_a_real_scrape_has_a_meaning() {
    let scrape = scrape().await;
    let families = families(&scrape);
    assert!(families.len() > 40, "{families:?}");
    for family in &families {
        let help = scrape.lines().find_map(|line| line.strip_prefix(&format!("# HELP {family} ")));
        assert!(help.is_some_and(|help| help.ends_with('.')), "{family} has no HELP");
    }
    for line in [
        format!("patchbay_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "patchbay_message_outcomes_total{channel=\"sms\",outcome=\"delivered\",code=\"\"} 1".to_owned(),
        "patchbay_message_outcomes_total{channel=\"sms\",outcome=\"sent\",code=\"\"} 2".to_owned(),
        "patchbay_messages_waiting{channel=\"sms\"} 0".to_owned(),
        "patchbay_receipt_seconds_count{channel=\"sms\"} 2".to_owned(),
        "patchbay_link_attempts_total{channel=\"sms\"} 1".to_owned(),
    ] {
        assert!(scrape.contains(&line), "no {line}:\n{scrape}");
    }
    let failed = scrape.lines().find(|line| line.contains("outcome=\"failed\"")).unwrap();
    assert!(failed.contains("code=\"UNDELIV"), "{failed}");
    let (is_good, told) = told(&["check", "metrics"], &scrape);
    println!("promtool check metrics: {is_good} {told}");
    assert!(!told.contains("no help text"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_are_valid_and_name_what_exists() {
    let rules = ops("alerts.yml");
    let (is_good, what) = told(&["check", "rules", rules.to_str().unwrap()], "");
    assert!(is_good && what.contains("SUCCESS"), "{what}");
    let alerts = fs::read_to_string(&rules).unwrap();

    let dashboard = fs::read_to_string(ops("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    assert!(expressions.len() > 20, "{expressions:?}");
    // Grafana replaces its variables before Prometheus reads an expression.
    let expressions: Vec<String> = expressions
        .iter()
        .map(|text| text.replace("$__rate_interval", "1m").replace("$channel", ".*"))
        .collect();
    let as_rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| json!({ "record": format!("panel:{at}"), "expr": expression }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    // JSON is YAML.
    fs::write(&file, json!({ "groups": [{ "name": "dashboard", "rules": as_rules }] }).to_string()).unwrap();
    let (is_good, what) = told(&["check", "rules", file.to_str().unwrap()], "");
    assert!(is_good, "an expression of the dashboard: {what}");

    let scrape = scrape().await;
    let families = families(&scrape);
    let all: BTreeSet<String> = named(&alerts).into_iter().chain(named(&expressions.join("\n"))).collect();
    assert!(all.len() > 20, "{all:?}");
    let missing: Vec<_> = all.iter().filter(|name| !families.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "named, but not in a scrape: {missing:?}\n{families:?}");
}
