//! Commands to try after the demo's script, with the addresses of this run.

use super::provider::Provider;
use crate::console;

/// Prints the commands; with `--once`, only how to get them.
pub(super) fn print(providers: &[Provider], public_url: &str, admin_url: &str, once: bool) {
    if once {
        console::line("Without --once, the demo keeps running, with a web page and commands to try.");
        return;
    }
    console::line("\nTo try now, in another terminal:");
    tip("The web page: channels, sessions, the timeline of every message", &[&format!("{admin_url}/")]);
    // A provider with a control API can show more.
    let Some(provider) = providers.iter().find(|provider| provider.control().is_some()).or(providers.first())
    else {
        return;
    };
    let program = std::env::args().next().unwrap_or_else(|| "patchbay".into());
    let (label, did, customer) = (provider.channel.label(), &provider.did, &provider.customer);
    tip("Follow all events; end it with Ctrl-C", &[&format!("{program} tail --url {admin_url}")]);
    tip(
        &format!("Send a message to the customer on {label} and follow its status"),
        &[
            &format!("{program} send --url {public_url} --wait \\"),
            &format!("  --from {did} --to {customer} --text Hello"),
        ],
    );
    tip(
        "See beforehand what would be sent, over which channel, and why",
        &[
            &format!("{program} send --url {public_url} --plan \\"),
            &format!("  --from {did} --to {customer} --text Hello"),
        ],
    );
    let buttons = [
        &format!(
            "curl -s '{public_url}/v1/messages' -H 'Content-Type: application/json' -d '{{\"id\": \"offer-1\","
        ),
        "  \"header\": {\"channelData\": {",
        &format!("    \"serviceIdentifier\": \"{did}\", \"channelCustomerIdentifier\": \"{customer}\"}}}},"),
        "  \"body\": {\"type\": \"BUTTON\", \"markdownText\": \"Shall we?\", \"buttons\": [",
        "    {\"type\": \"reply\", \"title\": \"Yes\", \"payload\": \"y\"},",
        "    {\"type\": \"reply\", \"title\": \"No\", \"payload\": \"n\"}]}}'",
    ];
    tip("Send a message with buttons over HTTP", &buttons);
    tip("Look up its status and its events", &[&format!("curl -s {public_url}/v1/messages/offer-1")]);
    if let Some(control) = provider.control() {
        tip(
            &format!("Write as the customer on {label}"),
            &[&format!("curl -s {control}/_sim/inbound -d '{{\"text\": \"Good morning\"}}'")],
        );
        tip(
            "See the HTTP exchanges with the provider, without secrets",
            &[&format!("curl -s '{admin_url}/api/channels/{}/exchanges'", provider.channel.id())],
        );
    }
    console::line("\nCustomers keep writing every few seconds. Press Ctrl-C to stop.\n");
}

fn tip(what: &str, command: &[&str]) {
    console::line(format!("\n  {what}:"));
    for line in command {
        console::line(format!("    {line}"));
    }
}
