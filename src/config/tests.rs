//! A table: bad input, and what the operator must be told.

use std::time::Duration;

use super::*;

/// The smallest configuration that is right, with extra text appended at the end.
const GOOD: &str = r#"
[[destination]]
id = "support"
url = "http://127.0.0.1:9000/cim"
[[channel]]
id = "sms-main"
provider = "smpp"
dids = [{ number = "5155", destination = "support" }]
[channel.account]
host = "127.0.0.1"
system_id = "patchbay"
password = "pa55word"
"#;

fn check(text: &str) -> Result<Settings, String> {
    parse(text, "c.toml", Path::new("/nowhere")).map_err(|e| e.to_string())
}

fn refused(text: &str) -> String {
    check(text).expect_err(text)
}

/// In GOOD, replaces a piece (which must be there).
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn the_smallest_configuration_gets_the_documented_defaults() {
    let settings = check(GOOD).unwrap();
    assert_eq!(settings.data_dir, Path::new("/nowhere/data"));
    assert_eq!(settings.engine, storage::EngineKind::Sled);
    assert_eq!(settings.router.retention, Some(Duration::from_secs(30 * 86400)));
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9090");
    let channel = &settings.router.channels[0];
    assert_eq!((&*channel.name, channel.send_rate), ("sms-main", None));
    assert_eq!(channel.dids[0].destination.as_str(), "support");
}

#[track_caller]
fn told(cases: &[(String, &[&str])]) {
    for (text, parts) in cases {
        let told = refused(text);
        for part in *parts {
            assert!(told.contains(part), "{text}\n---\n{told}\n--- lacks\n{part}");
        }
    }
}

#[test]
fn mistakes_in_channels_and_destinations_are_told_with_line_key_and_way_out() {
    told(&[
        (
            with("provider =", "provder ="),
            &["c.toml:7: ", "provder: unknown key; did you mean \"provider\"?"],
        ),
        (with("provider =", "provder ="), &["[[channel]] \"sms-main\" provider: is missing"]),
        (with("\"smpp\"", "\"smp\""), &["c.toml:7: ", "unknown provider \"smp\"; did you mean \"smpp\"?"]),
        (
            with("destination = \"support\" }", "destination = \"suport\" }"),
            &["c.toml:8: ", "\"5155\" names the unknown destination \"suport\"; did you mean \"support\"?"],
        ),
        (with("host =", "hots ="), &["c.toml:10: ", "account hots: unknown key; did you mean \"host\"?"]),
        (with("host = \"127.0.0.1\"\n", ""), &["account host: is missing"]),
        (
            with("\"pa55word\"", "\"env:PATCHBAY_TEST_UNSET\""),
            &["c.toml:12: ", "account password: ", "PATCHBAY_TEST_UNSET is not set"],
        ),
        (
            with("\"pa55word\"", "\"file:none.txt\""),
            &["c.toml:12: ", "cannot read the secret file /nowhere/none.txt"],
        ),
        (
            with("http://127.0.0.1:9000/cim", "127.0.0.1:9000"),
            &["c.toml:4: ", "url: found \"127.0.0.1:9000\"; expected a URL such as"],
        ),
        (
            with("url =", "batch_max = 0\nurl ="),
            &["c.toml:4: ", "batch_max: found 0; expected a whole number from 1 to 1000"],
        ),
        (
            with("provider =", "send_rate = 0\nprovider ="),
            &["c.toml:7: ", "send_rate: found 0; expected parts per second"],
        ),
        (
            with("provider =", "send_rate = \"fast\"\nprovider ="),
            &["send_rate: found \"fast\"; expected a number"],
        ),
        (
            with("provider =", "on_unknown = \"drop\"\nprovider ="),
            &["on_unknown: found \"drop\"; expected \"resend\""],
        ),
        (
            with("provider =", "inactivity_timeout = \"30\"\nprovider ="),
            &["inactivity_timeout: found \"30\"; expected a duration such as", "\"off\""],
        ),
        (
            with("\"sms-main\"", "\"sms main\""),
            &["c.toml:6: ", "id: found \"sms main\"; expected at most 64 letters"],
        ),
    ]);
}

#[test]
fn senders_and_keys_that_no_smsc_takes_are_told_with_line_key_and_limit() {
    let did = |number: &str| with("number = \"5155\"", &format!("number = \"{number}\""));
    let account = |keys: &str| format!("{GOOD}{keys}\n");
    let name = "a name has at most 11 characters of GSM-7";
    told(&[
        (
            did("PatchBayShopping2026"),
            &["c.toml:8: ", "[[channel]] \"sms-main\" dids: ", "takes 20 characters", name],
        ),
        (did("Caf\u{e9}s"), &["c.toml:8: ", "dids: ", "has the character 'é'", name]),
        (did("[PatchBay]x"), &["c.toml:8: ", "takes 13 characters", name]),
        (did("+1234567890123456"), &["c.toml:8: ", "at most 15 digits (E.164)"]),
        (
            with("{ number = \"5155\", destination = \"support\" }", "\"5155\",\n\"Twelve chars\""),
            &["c.toml:9: ", "takes 12 characters", name],
        ),
        (
            with("{ number = \"5155\", destination = \"support\" }", "\"+49 1760000001\", \"491760000001\""),
            &["c.toml:8: ", "are one address"],
        ),
        (
            account("addr_ton = 9"),
            &["c.toml:13: ", "account addr_ton: found 9; expected a whole number from 0 to 7"],
        ),
        (
            account("country_code = \"0\""),
            &["c.toml:13: ", "account country_code: found \"0\"; expected 1 to 3 digits"],
        ),
        (
            account("trunk_prefix = \"0\""),
            &["c.toml:13: ", "trunk_prefix: has no effect without country_code"],
        ),
        (account("alphabet_out = \"ucs2\""), &["c.toml:13: ", "alphabet_out: found \"ucs2\"; expected"]),
        (account("aphabet_in = \"gsm7\""), &["c.toml:13: ", "did you mean \"alphabet_in\"?"]),
    ]);
}

#[test]
fn mistakes_elsewhere_are_told_with_line_key_and_way_out() {
    told(&[
        (
            format!("{GOOD}{}", &GOOD[GOOD.find("[[channel]]").unwrap()..]),
            &["the id \"sms-main\" is used twice"],
        ),
        (format!("retention = 30\n{GOOD}"), &["c.toml:1: retention: found 30; expected a duration such as"]),
        (
            format!("engine = \"rocks\"\n{GOOD}"),
            &["c.toml:1: engine: found \"rocks\"; expected \"sled\" or \"file\""],
        ),
        (format!("engine = 7\n{GOOD}"), &["engine: found 7; expected \"sled\" or \"file\""]),
        (format!("segment_size = \"1KB\"\n{GOOD}"), &["segment_size: found 1024 bytes; expected 1048576 to"]),
        (
            format!("filter_memory = \"2GB\"\n{GOOD}"),
            &["filter_memory: found 2147483648 bytes; expected 0 to"],
        ),
        (
            format!("{GOOD}[http]\nlisten = \"localhost\""),
            &["[http] listen: found \"localhost\"; expected an address and port"],
        ),
        (
            format!("{GOOD}[http]\nlisten = \"0.0.0.0:80\""),
            &["[http] api_keys: is missing, and 0.0.0.0:80 is not a loopback address"],
        ),
        (
            format!("{GOOD}[admin]\nlisten = \"0.0.0.0:80\""),
            &["[admin] token: is missing, and 0.0.0.0:80 is not a loopback address"],
        ),
        (format!("{GOOD}[admin]\nlisten = \"127.0.0.1:8080\""), &["same address as [http]"]),
        (format!("{GOOD}[http.tls]\ncert = \"a.pem\""), &["[http] tls cert: expected cert and key"]),
        (
            format!("{GOOD}[http.tls]\nself_signed = true\ncert = \"a.pem\""),
            &["[http] tls self_signed: is true, but cert or key is given"],
        ),
        (
            format!("{GOOD}[log]\nformat = \"xml\""),
            &["[log] format: found \"xml\"; expected \"text\" or \"json\""],
        ),
        (format!("{GOOD}[htp]\n"), &["htp: unknown key; did you mean \"http\"?"]),
        ("a = \n".into(), &["c.toml:1: not TOML"]),
        ("[http]\nlisten = 1\n[http]\n".into(), &["c.toml:3: not TOML"]),
    ]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = with("url =", "ulr = 1\nurl =").replace("\"smpp\"", "\"telegarm\"") + "[admin]\ntokn = \"x\"";
    let told = refused(&text);
    let places: Vec<_> = ["ulr", "telegarm", "tokn"].map(|word| told.find(word).expect(word)).into();
    assert!(places.is_sorted(), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn a_secret_is_never_repeated() {
    for (from, to) in [
        ("password = \"pa55word\"", "password = \"pa55word\"\nwindow = 0.5"),
        ("password = \"pa55word\"", "password = [\"pa55word\"]"),
        ("password = \"pa55word\"", "pasword = \"pa55word\""),
    ] {
        let told = refused(&with(from, to));
        assert!(!told.contains("pa55word"), "{told}");
    }
    let shown = format!("{:?}", check(&format!("{GOOD}[http]\napi_keys = [\"hush-hush\"]")).unwrap());
    assert!(!shown.contains("pa55word") && !shown.contains("hush-hush"), "{shown}");
}

#[test]
fn secrets_come_from_files_and_one_api_key_belongs_to_a_destination() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "k-1\n").unwrap();
    let text = with("url =", "api_key = \"file:key\"\nurl =");
    let settings = parse(&text, "c.toml", folder.path()).unwrap();
    let key = &settings.http.api_keys[0];
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key.key), "k-1");
    assert_eq!(key.destination.as_ref().unwrap().as_str(), "support");
}

#[test]
fn signing_secrets_are_at_most_two_and_of_the_documented_form() {
    let keys = |list: &str| check(&with("url =", &format!("signing_secrets = {list}\nurl =")));
    let good = format!("\"whsec_{}\"", "A".repeat(32));
    let settings = keys(&format!("[{good}, {good}]")).unwrap();
    assert_eq!(settings.router.destinations[0].signing_keys.len(), 2);
    assert_eq!(settings.router.destinations[0].signing_keys[0].len(), 24);
    for (list, told) in [
        (format!("[{good}, {good}, {good}]"), "at most 2 secrets"),
        ("[\"whsec_c2hvcnQ=\"]".into(), "whsec_"),
        (format!("[{}]", good.replace("whsec_", "")), "whsec_"),
        ("\"whsec_x\"".into(), "expected a list of secrets"),
    ] {
        let error = keys(&list).unwrap_err().to_string();
        assert!(error.contains("signing_secrets") && error.contains(told), "{list}: {error}");
    }
}

#[test]
fn the_documented_example_is_right() {
    let text = include_str!("../../config.toml").replace("env:", "");
    parse(&text, "config.toml", Path::new("/nowhere")).map_err(|e| e.to_string()).unwrap();
}

/// A root certificate in PEM.
fn root() -> String {
    rcgen::generate_simple_self_signed(vec!["root.lan".into()]).unwrap().cert.pem()
}

#[test]
fn roots_to_trust_are_read_and_mistakes_name_file_and_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let whole = root();
    // A certificate in the right armour that is none.
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write("good.pem", &whole);
    write("second.pem", &format!("{whole}{none}"));
    write("cut.pem", &whole[..whole.len() / 2]);
    write("text.pem", "my root");
    let smpp = |file: &str| with("[channel.account]", &format!("[channel.account]\ntls_ca = {file:?}"));
    let rest = |file: &str| called(&format!("trust = {file:?}"));
    for place in ["account tls_ca", "http trust"] {
        let config = |file: &str| if place == "http trust" { rest(file) } else { smpp(file) };
        let read = |file: &str| parse(&config(file), "c.toml", folder.path()).map_err(|e| e.to_string());
        read("good.pem").unwrap();
        for (file, words) in [
            ("none.pem", "none.pem does not exist; name the PEM file"),
            ("text.pem", "text.pem has no certificate; expected a PEM file"),
            ("cut.pem", "cut.pem is damaged"),
            ("second.pem", "certificate 2 in the file"),
        ] {
            let told = read(file).unwrap_err();
            let line = config(file).lines().position(|line| line.contains(file)).unwrap() + 1;
            assert!(told.contains(words) && told.contains(place), "{place} {file}: {told}");
            assert!(told.starts_with(&format!("c.toml:{line}: ")), "{place} {file}: {told}");
            assert_eq!(told.lines().count(), 1, "nothing else is wrong: {told}");
        }
    }
}

/// A channel that is called over HTTP, with keys of `[channel.http]`.
fn called(http: &str) -> String {
    let public = "[http]\npublic_url = \"https://p.example/\"\n";
    let account = "api_key = \"k\"\npublic_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n";
    format!(
        "{GOOD}\n[[channel]]\nid = \"us\"\nprovider = \"telnyx\"\ndids = [\"+1202\"]\n[channel.http]\n{http}\n\
         [channel.account]\nbase_url = \"http://127.0.0.1:8089\"\n{account}{public}"
    )
}

#[test]
fn how_a_provider_is_called_is_read_with_its_defaults() {
    let settings = check(&called("")).unwrap();
    let http = &settings.router.channels[1].http;
    assert_eq!((http.timeout, http.connections), (Duration::from_secs(30), 16));
    assert_eq!(http.webhook_url.as_deref(), Some("https://p.example/webhooks/us"));
    let ip = |text: &str| text.parse().unwrap();
    // The account's own address is named; nothing beside it is.
    assert!(http.route.may_dial("127.0.0.1", 8089, ip("127.0.0.1")).is_ok());
    assert!(http.route.may_dial("127.0.0.1", 8090, ip("127.0.0.1")).is_err());
    assert!(http.route.may_dial("api.example", 443, ip("10.0.0.1")).is_err());
    let keys = "timeout = \"5s\"\nconnections = 100\nproxy = \"http://u:geheim@proxy:3128\"\nno_proxy = [\".lan\"]\n\
        allow_private = [\"10.0.0.0/8\"]\ntrust = \"ca.pem\"";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), root()).unwrap();
    let settings = parse(&called(keys), "c.toml", folder.path()).unwrap();
    let http = &settings.router.channels[1].http;
    assert_eq!((http.timeout, http.connections), (Duration::from_secs(5), 100));
    assert!(http.route.proxy_to("api.example", 443).is_some() && http.route.proxy_to("a.lan", 443).is_none());
    assert!(http.route.may_dial("api.example", 443, ip("10.0.0.1")).is_ok());
    assert_eq!(http.route.trust.as_deref(), Some(&*folder.path().join("ca.pem")));
    assert!(!format!("{settings:?}").contains("geheim"));
}

#[test]
fn mistakes_in_how_a_provider_is_called_are_told() {
    let unreachable = called("").replace("public_url", "# public_url");
    told(&[
        (
            called("timout = \"5s\""),
            &["[[channel]] \"us\" http timout: unknown key; did you mean \"timeout\""],
        ),
        (called("timeout = 5"), &["http timeout: found 5", "\"30s\""]),
        (called("timeout = \"1h\""), &["http timeout: expected at most 600 s"]),
        (called("connections = 0"), &["http connections: found 0; expected a whole number from 1 to 1000"]),
        (called("no_proxy = \"*\""), &["http no_proxy: found \"*\"; expected a list"]),
        (called("allow_private = [\"10.0.0.0/40\"]"), &["http allow_private: found \"10.0.0.0/40\""]),
        (unreachable, &["[[channel]] \"us\" provider: telnyx needs a webhook", "public_url", "/webhooks/us"]),
        (
            with("[channel.account]", "[channel.http]\ntimeout = \"5s\"\n[channel.account]"),
            &["\"sms-main\" http: smpp is not called over HTTP"],
        ),
    ]);
    let proxy = refused(&called("proxy = \"proxy:geheim\""));
    assert!(
        proxy.contains("http proxy: expected \"http://host:port\"") && !proxy.contains("geheim"),
        "{proxy}"
    );
}

/// A configuration with one channel by the manifest `acme.toml`.
fn with_manifest(manifest: &str, account: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.toml"), manifest).unwrap();
    let text = format!(
        "[[destination]]\nid = \"support\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9000/cim\"\n\
         [[channel]]\nid = \"sms\"\nprovider = \"manifest\"\ndids = [\"+15550100001\"]\n[channel.account]\n{account}"
    );
    parse(&text, "c.toml", folder.path()).map_err(|error| error.to_string())
}

const MANIFEST: &str = r#"
summary = "SMS by Acme"
documentation = "https://acme.example/docs"
auth = { bearer = "token" }
account = { token = { doc = "the token", secret = true } }
send = { url = "https://api.acme.example/messages", json = { to = "{to}", text = "{text}" } }
"#;

#[test]
fn a_users_own_manifest_is_a_provider() {
    let account = "manifest = \"acme.toml\"\ntoken = \"t-1\"\n";
    let settings = with_manifest(MANIFEST, account).unwrap();
    assert_eq!(settings.router.channels[0].channel.provider().name, "acme");
    assert!(!format!("{:?}", settings.router.channels[0].channel).contains("t-1"));
}

#[test]
fn mistakes_in_a_manifest_are_told_with_both_files_and_lines() {
    for (manifest, account, expected) in [
        (MANIFEST, "token = \"t-1\"\n", &["manifest", "is missing", "acme.toml"][..]),
        (MANIFEST, "manifest = \"none.toml\"\ntoken = \"t-1\"\n", &["c.toml:10", "none.toml"]),
        (MANIFEST, "manifest = \"acme.toml\"\n", &["token", "is missing"]),
        (MANIFEST, "manifest = \"acme.toml\"\ntoken = \"t\"\ntokn = \"t\"\n", &["tokn", "unknown key"]),
        (
            &MANIFEST.replace("{text}", "{txt}"),
            "manifest = \"acme.toml\"\ntoken = \"t-1\"\n",
            &["c.toml:10", "acme.toml, line 6", "send", "{txt}", "expected one of", "text"],
        ),
    ] {
        let error = with_manifest(manifest, account).unwrap_err();
        for word in expected {
            assert!(error.contains(word), "{word:?} is not in {error}");
        }
    }
}

/// An account of Bandwidth without and with a password of webhooks.
fn bandwidth(channel: &str, account: &str) -> Result<Settings, String> {
    let http = "[http]\npublic_url = \"https://example.org\"\n";
    let text = with(
        "provider = \"smpp\"\ndids = [{ number = \"5155\", destination = \"support\" }]\n[channel.account]\n\
         host = \"127.0.0.1\"\nsystem_id = \"patchbay\"\npassword = \"pa55word\"",
        &format!(
            "provider = \"bandwidth\"\ndids = [{{ number = \"5155\", destination = \"support\" }}]\n{channel}\n\
             [channel.account]\naccount_id = \"1\"\napplication_id = \"a\"\nusername = \"u\"\n\
             password = \"p\"\n{account}"
        ),
    );
    check(&format!("{http}{text}"))
}

#[test]
fn webhooks_that_nothing_proves_are_accepted_only_in_writing() {
    let told = bandwidth("", "").unwrap_err();
    for words in ["callback_password", "anyone could write in a customer's name", "unsigned = true"] {
        assert!(told.contains(words), "{told}");
    }
    let secret = "callback_user_id = \"hook\"\ncallback_password = \"hook-pass\"";
    assert!(!bandwidth("", secret).unwrap().router.channels[0].unsigned);
    let open = bandwidth("unsigned = true", "").unwrap();
    assert!(open.router.channels[0].unsigned);
    let warnings = open.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("bandwidth"), "{warnings:?}");
    let told = bandwidth("unsigned = true", secret).unwrap_err();
    assert!(told.contains("unsigned: is true, but callback_password proves webhooks"), "{told}");
    let told = check(&with("provider = \"smpp\"", "provider = \"smpp\"\nunsigned = true")).unwrap_err();
    assert!(told.contains("there are no webhooks"), "{told}");
}
