//! Own addresses as the provider states them, compared with those of the configuration.

#![allow(clippy::unwrap_used, reason = "a test ends on the first surprise")]

use channels::{OwnAddresses, mismatch};

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
