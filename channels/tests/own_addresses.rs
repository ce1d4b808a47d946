//! Own addresses as the provider states them, compared with those of the configuration.

#![allow(clippy::unwrap_used, reason = "a test ends on the first surprise")]

use channels::{Channel, HttpChannel, LinkKind, OwnAddresses, http::Response, mismatch};

fn http(channel: &dyn Channel) -> &dyn HttpChannel {
    let LinkKind::Http(http) = channel.link() else { unreachable!("it is called over HTTP") };
    http
}

#[test]
fn only_what_the_list_could_have_is_a_mismatch() {
    let account = toml::toml! {
        account_sid = "AC1"
        auth_token = "t"
    };
    let channel = channels::provider("twilio").unwrap().open(account).unwrap();
    let own = |addresses: &[&str], only_numbers| OwnAddresses {
        addresses: addresses.iter().map(|address| (*address).into()).collect(),
        called: "numbers",
        only_numbers,
    };
    let list = own(&["+15557770000"], true);
    for did in ["15557770000", "+1 555 777-0000", "72727", "MyShop"] {
        assert_eq!(mismatch(&*channel, [did], &list), None, "{did}");
    }
    let told = mismatch(&*channel, ["+15557770000", "+15557770001"], &list).unwrap();
    for part in ["dids has \"+15557770001\"", "numbers is \"+15557770000\"", "set dids = [\"+15557770000\"]"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(mismatch(&*channel, ["72727"], &own(&["+15557770000"], false)).is_some());
    assert_eq!(mismatch(&*channel, ["72727"], &own(&[], false)), None, "it does not say");
}

/// A provider with its account, an own address, an answer that has it, and one that may lack some.
const LISTS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "telnyx",
        "api_key = \"KEY1\"\npublic_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
        "+15557770000",
        r#"{"data":[{"phone_number":"+15557770000"}],"meta":{"total_pages":1}}"#,
        r#"{"data":[{"phone_number":"+15557770000"}],"meta":{"total_pages":3}}"#,
    ),
    (
        "twilio",
        "account_sid = \"AC1\"\nauth_token = \"t\"",
        "+15557770000",
        r#"{"incoming_phone_numbers":[{"phone_number":"+15557770000"}],"next_page_uri":null}"#,
        r#"{"incoming_phone_numbers":[{"phone_number":"+15557770000"}],"next_page_uri":"/2010-04-01/x"}"#,
    ),
    (
        "twilio_whatsapp",
        "account_sid = \"AC1\"\nauth_token = \"t\"",
        "+15557770000",
        r#"{"senders":[{"sender_id":"whatsapp:+15557770000"}],"meta":{"next_page_url":null}}"#,
        r#"{"senders":[{"sender_id":"whatsapp:+15557770000"}],"meta":{"next_page_url":"https://x"}}"#,
    ),
    (
        "voipms",
        "api_key = \"a@b.c\"\napi_secret = \"s\"\nwebhook_secret = \"w\"",
        "+15557770000",
        r#"{"status":"success","dids":[{"did":"5557770000"},{"did":"5557770009"}]}"#,
        r#"{"status":"no_did"}"#,
    ),
    (
        "viber",
        "auth_token = \"t\"\nname = \"Shop\"",
        "myshop",
        r#"{"status":0,"id":"pa:1","name":"My Shop","uri":"myshop"}"#,
        r#"{"status":2,"status_message":"invalidAuthToken"}"#,
    ),
];

#[test]
fn each_list_is_read_and_an_incomplete_one_says_nothing() {
    for (name, account, did, whole, part) in LISTS {
        let channel = channels::provider(name).unwrap().open(account.parse().unwrap()).unwrap();
        let http = http(&*channel);
        let answer =
            |body: &str, status| Response { status, headers: Vec::new(), body: body.to_owned().into() };
        let own = http.parse_addresses(&answer(whole, 200)).unwrap();
        assert_eq!(mismatch(&*channel, [*did], &own), None, "{name}");
        assert!(mismatch(&*channel, ["+15550000000"], &own).is_some(), "{name}");
        assert_eq!(http.parse_addresses(&answer(part, 200)), None, "{name}");
        assert_eq!(http.parse_addresses(&answer(whole, 403)), None, "{name}: the key may not list");
    }
    // Everybody may use Twilio's sandbox, and an account without a sender has nothing else.
    let account = "account_sid = \"AC1\"\nauth_token = \"t\"".parse().unwrap();
    let channel = channels::provider("twilio_whatsapp").unwrap().open(account).unwrap();
    for senders in ["[]", r#"[{"sender_id":"whatsapp:+15557770000"}]"#] {
        let body = format!("{{\"senders\":{senders},\"meta\":{{}}}}");
        let answer = Response { status: 200, headers: Vec::new(), body: body.into() };
        let own = http(&*channel).parse_addresses(&answer).unwrap();
        assert_eq!(mismatch(&*channel, ["+14155238886"], &own), None, "{senders}");
    }
}
