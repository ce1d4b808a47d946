//! Telephone numbers as SMPP addresses, and back. An address that is handed out leads back when it
//! is used as it is: it is international, or it says its type of number (`7600003300;ton=2`).
//!
//! No international number begins with 0 (E.164): such a number is national, whatever its type
//! says.

use std::borrow::Cow;

use super::pdu::Address;
use crate::address::number::{is_digits, without_plus, without_punctuation};

/// Types of number (SMPP 3.4, 5.2.5).
const UNKNOWN: u8 = 0;
const INTERNATIONAL: u8 = 1;
const NATIONAL: u8 = 2;
const NETWORK_SPECIFIC: u8 = 3;
const ALPHANUMERIC: u8 = 5;
/// The numbering plan of telephone numbers (E.164), which an address need not name.
const ISDN: u8 = 1;

/// Maximum number of digits of an international number (E.164).
pub const INTERNATIONAL_DIGITS_MAX: usize = 15;
/// Maximum length of SMPP's address fields, in octets.
pub const ADDRESS_OCTETS_MAX: usize = 20;
/// Maximum length of a short code, in digits; a longer number without `+` is international.
const SHORT_CODE_DIGITS_MAX: usize = 8;
/// Minimum length of a national number, in digits; a shorter one of unknown type is a short code.
const NATIONAL_DIGITS_MIN: usize = 7;
/// Length of a national number with a trunk prefix that could also begin a number (1, 8).
const WITH_TRUNK_DIGITS: usize = 11;

const TON_KEY: &str = ";ton=";
const NPI_KEY: &str = ";npi=";

/// A country's prefixes where they are not 0 (trunk) and 00 (international).
struct Prefixes {
    country_code: &'static str,
    trunk: &'static str,
    international: &'static str,
}

/// ITU-T operational bulletin, "Dialling procedures": countries whose numbers have another trunk
/// prefix, or a 0 that belongs to the number.
const PREFIXES: [Prefixes; 10] = [
    Prefixes { country_code: "1", trunk: "1", international: "011" },
    Prefixes { country_code: "7", trunk: "8", international: "810" },
    Prefixes { country_code: "36", trunk: "06", international: "00" },
    Prefixes { country_code: "39", trunk: "", international: "00" },
    Prefixes { country_code: "61", trunk: "0", international: "0011" },
    Prefixes { country_code: "81", trunk: "0", international: "010" },
    Prefixes { country_code: "225", trunk: "", international: "00" },
    Prefixes { country_code: "242", trunk: "", international: "00" },
    Prefixes { country_code: "378", trunk: "", international: "00" },
    Prefixes { country_code: "379", trunk: "", international: "00" },
];

/// The settings that turn national numbers into international ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering<'a> {
    /// The country of national numbers, as digits; empty: national numbers stay as they are.
    pub country_code: &'a str,
    /// The prefix of national numbers that international ones lack; `None`: the country's.
    pub trunk_prefix: Option<&'a str>,
    /// Whether numbers of unknown type are national.
    pub unknown_is_national: bool,
}

/// A number or name with its type, as SMPP carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedNumber<'t> {
    /// Type of number.
    pub ton: u8,
    /// Numbering plan.
    pub npi: u8,
    /// The digits or the name.
    pub text: Cow<'t, str>,
}

impl TypedNumber<'_> {
    /// Returns the address of a PDU.
    pub fn address(&self) -> Address<'_> {
        Address { ton: self.ton, npi: self.npi, text: self.text.as_bytes() }
    }
}

/// A spelled number, taken apart.
struct Spelled<'t> {
    digits: Cow<'t, str>,
    has_plus: bool,
    ton: Option<u8>,
    npi: u8,
}

impl<'t> Spelled<'t> {
    /// Returns `None` for a name.
    fn parse(text: &'t str) -> Option<Self> {
        let (number, ton, npi) = match text.trim() {
            text if text.contains(';') => Self::parse_type(text)?,
            text => (text, None, ISDN),
        };
        let (bare, has_plus) = without_plus(number);
        let digits = without_punctuation(bare);
        let is_number = !digits.is_empty() && is_digits(&digits);
        is_number.then_some(Self { digits, has_plus, ton, npi })
    }

    /// Takes the type of number and the numbering plan off its end.
    fn parse_type(text: &'t str) -> Option<(&'t str, Option<u8>, u8)> {
        let (text, npi) = match text.split_once(NPI_KEY) {
            Some((text, npi)) => (text, npi.parse().ok()?),
            None => (text, ISDN),
        };
        match text.split_once(TON_KEY) {
            Some((number, ton)) => Some((number, Some(ton.parse().ok()?), npi)),
            None => Some((text, None, npi)),
        }
    }
}

/// The meaning of a spelled number.
enum Meaning<'t> {
    International(Cow<'t, str>),
    /// A number that leads back only with its type.
    Typed {
        ton: u8,
        npi: u8,
        digits: Cow<'t, str>,
    },
}

impl<'a> Numbering<'a> {
    fn prefixes(&self) -> (&'a str, &'a str) {
        let known = PREFIXES.iter().find(|known| known.country_code == self.country_code);
        let (trunk, international) = known.map_or(("0", "00"), |known| (known.trunk, known.international));
        (self.trunk_prefix.unwrap_or(trunk), international)
    }

    /// Returns the digits after an international prefix, if the number begins with one. Numbers
    /// that are too short for that are not taken apart, and of those that are called international
    /// only 00 is a prefix.
    fn after_international_prefix<'d>(&self, digits: &'d str, is_international: bool) -> Option<&'d str> {
        const DIGITS_MIN: usize = 7;
        let is_dialled = !is_international && !self.country_code.is_empty();
        let of_country = is_dialled.then(|| self.prefixes().1);
        let prefixes = of_country.into_iter().chain(["00"]);
        let mut rests = prefixes.filter_map(|prefix| digits.strip_prefix(prefix));
        rests.next().filter(|rest| rest.len() >= DIGITS_MIN && !rest.starts_with('0'))
    }

    /// Returns the digits of a national number as an international one; `None` without a country.
    fn international(&self, national: &str) -> Option<String> {
        let country_code = Some(self.country_code).filter(|code| !code.is_empty())?;
        let trunk = self.prefixes().0;
        let is_certain = trunk.starts_with('0') || self.trunk_prefix.is_some();
        let has_trunk = national.starts_with(trunk) && (is_certain || national.len() == WITH_TRUNK_DIGITS);
        let rest = if has_trunk { national.get(trunk.len()..).unwrap_or(national) } else { national };
        Some(format!("{country_code}{rest}"))
    }

    fn meaning<'t>(&self, spelled: Spelled<'t>) -> Meaning<'t> {
        let Spelled { digits, has_plus, ton, npi } = spelled;
        let typed = |ton, digits| Meaning::Typed { ton, npi, digits };
        if matches!(ton, Some(NETWORK_SPECIFIC | 4..)) {
            return typed(ton.unwrap_or_default(), digits);
        }
        let is_international = has_plus || ton == Some(INTERNATIONAL);
        if let Some(rest) = self.after_international_prefix(&digits, is_international) {
            let from = digits.len() - rest.len();
            return Meaning::International(match digits {
                Cow::Borrowed(digits) => Cow::Borrowed(digits.get(from..).unwrap_or(digits)),
                Cow::Owned(_) => rest.to_owned().into(),
            });
        }
        if digits.starts_with('0') || ton == Some(NATIONAL) {
            return match self.international(&digits) {
                Some(digits) => Meaning::International(digits.into()),
                None => typed(ton.filter(|ton| *ton == NATIONAL).unwrap_or(UNKNOWN), digits),
            };
        }
        let is_code = !has_plus && ton.is_none() && digits.len() <= SHORT_CODE_DIGITS_MAX;
        if is_code || ton == Some(UNKNOWN) {
            return typed(UNKNOWN, digits);
        }
        Meaning::International(digits)
    }

    /// Returns the key of a customer's session: one for all spellings of a number.
    ///
    /// # Errors
    /// The address is not a number, or one that no telephone has; the words say why.
    pub fn customer(&self, text: &str) -> Result<String, String> {
        let shown = || format!("channelCustomerIdentifier {text:?}");
        let expected = "expected digits, with or without +";
        let spelled = Spelled::parse(text).ok_or_else(|| {
            format!("{} is not a telephone number: {expected}; names cannot answer", shown())
        })?;
        match self.meaning(spelled) {
            Meaning::Typed { ton: ALPHANUMERIC, .. } => {
                Err(format!("{} is a sender's name: names cannot answer", shown()))
            }
            Meaning::International(digits) if digits.len() > INTERNATIONAL_DIGITS_MAX => Err(format!(
                "{} is not a telephone number: it has {} digits, an international number has at most \
                 {INTERNATIONAL_DIGITS_MAX}",
                shown(),
                digits.len()
            )),
            Meaning::Typed { digits, .. } if digits.len() > ADDRESS_OCTETS_MAX => Err(format!(
                "{} is not a telephone number: it has {} digits, expected at most {ADDRESS_OCTETS_MAX}",
                shown(),
                digits.len()
            )),
            // A number of unknown type is the same customer as without its type.
            Meaning::International(digits) | Meaning::Typed { ton: UNKNOWN, digits, .. } => {
                Ok(digits.into_owned())
            }
            // A 0 in front says as much as the type.
            Meaning::Typed { ton: NATIONAL, digits, .. } if digits.starts_with('0') => {
                Ok(digits.into_owned())
            }
            Meaning::Typed { ton, npi, digits } => Ok(spell(&digits, ton, npi)),
        }
    }

    /// Returns one of our own addresses in the spelling by which spellings are compared.
    pub fn own(&self, text: &str) -> String {
        match Spelled::parse(text) {
            None => text.trim().to_owned(),
            Some(spelled) => match self.meaning(spelled) {
                Meaning::International(digits) | Meaning::Typed { digits, .. } => digits.into_owned(),
            },
        }
    }

    /// Returns an address of a PDU in the spelling that is handed out.
    pub fn spelled(&self, address: &Address<'_>) -> String {
        let text = match std::str::from_utf8(address.text) {
            Ok(text) => Cow::Borrowed(text.trim()),
            // Latin-1: the only other reading without loss.
            Err(_) => address.text.iter().copied().map(char::from).collect::<String>().into(),
        };
        let Some(mut spelled) = Spelled::parse(&text).filter(|spelled| spelled.ton.is_none()) else {
            return text.into_owned();
        };
        if address.ton == ALPHANUMERIC {
            return spell(&spelled.digits, ALPHANUMERIC, address.npi);
        }
        if !spelled.has_plus {
            spelled.ton = Some(address.ton);
        }
        spelled.npi = address.npi;
        let is_long = spelled.digits.len() >= NATIONAL_DIGITS_MIN;
        if spelled.ton == Some(UNKNOWN) && self.unknown_is_national && is_long {
            spelled.ton = Some(NATIONAL);
        }
        match self.meaning(spelled) {
            Meaning::International(digits) => format!("+{digits}"),
            Meaning::Typed { ton, npi, digits } => spell(&digits, ton, npi),
        }
    }

    /// Returns a customer's address in wire form, from any spelling. Text that is not a number
    /// stays as it is.
    pub fn destination<'t>(&self, text: &'t str) -> TypedNumber<'t> {
        let is_plain = text.len() > SHORT_CODE_DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit());
        if is_plain && !text.starts_with('0') && self.country_code.is_empty() {
            return TypedNumber { ton: INTERNATIONAL, npi: ISDN, text: Cow::Borrowed(text) };
        }
        match Spelled::parse(text) {
            None => TypedNumber { ton: ALPHANUMERIC, npi: 0, text: Cow::Borrowed(text.trim()) },
            Some(spelled) => match self.meaning(spelled) {
                Meaning::International(digits) => TypedNumber { ton: INTERNATIONAL, npi: ISDN, text: digits },
                Meaning::Typed { ton, npi, digits } => TypedNumber { ton, npi, text: digits },
            },
        }
    }

    /// Returns one of our own addresses in wire form: a name when it is not a number, a short code
    /// when it is short.
    pub fn source<'t>(&self, text: &'t str) -> TypedNumber<'t> {
        let number = self.destination(text);
        let is_code = number.ton == UNKNOWN && !number.text.starts_with('0');
        if is_code { TypedNumber { ton: NETWORK_SPECIFIC, npi: 0, ..number } } else { number }
    }
}

fn spell(digits: &str, ton: u8, npi: u8) -> String {
    if npi == ISDN {
        format!("{digits}{TON_KEY}{ton}")
    } else {
        format!("{digits}{TON_KEY}{ton}{NPI_KEY}{npi}")
    }
}

/// Returns a spelling without the type of an unknown number, which tells people nothing. It is kept
/// with the session: the answer goes back as the number came.
pub fn handed_out(spelled: &str) -> &str {
    if !spelled.contains(';') {
        return spelled;
    }
    let digits = spelled.strip_suffix(";ton=0").or_else(|| Some(spelled.split_once(";ton=0;npi=")?.0));
    digits.unwrap_or(spelled)
}

/// Returns whether an address says its type of number, which takes precedence over the account's.
pub fn says_its_type(text: &str) -> bool {
    text.contains(TON_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_COUNTRY: Numbering<'_> =
        Numbering { country_code: "", trunk_prefix: None, unknown_is_national: false };

    fn of(country_code: &str) -> Numbering<'_> {
        Numbering { country_code, ..NO_COUNTRY }
    }

    fn handed_out(numbering: Numbering<'_>, ton: u8, npi: u8, text: &str) -> String {
        numbering.spelled(&Address { ton, npi, text: text.as_bytes() })
    }

    /// Type, plan and digits from an SMSC; the type and digits of the answer without and with a
    /// country.
    #[test]
    fn an_address_that_is_handed_out_leads_back() {
        for (ton, npi, text, without, with) in [
            // jasmin 20, node-smpp 68: whole numbers of unknown type, plan 0.
            (0, 0, "447600003300", (0, "447600003300"), (0, "447600003300")),
            (0, 1, "7600003300", (0, "7600003300"), (0, "7600003300")),
            (1, 1, "447600003300", (1, "447600003300"), (1, "447600003300")),
            (1, 1, "+447600003300", (1, "447600003300"), (1, "447600003300")),
            (1, 1, "00447600003300", (1, "447600003300"), (1, "447600003300")),
            (0, 1, "00447600003300", (1, "447600003300"), (1, "447600003300")),
            // SMPP 3.4, 5.2.5: national, with and without the trunk prefix.
            (2, 1, "7600003300", (2, "7600003300"), (1, "447600003300")),
            (2, 8, "7600003300", (2, "7600003300"), (1, "447600003300")),
            (2, 1, "07600003300", (2, "07600003300"), (1, "447600003300")),
            (0, 1, "07600003300", (0, "07600003300"), (1, "447600003300")),
            // A national number that claims to be international.
            (1, 1, "07600003300", (0, "07600003300"), (1, "447600003300")),
            // Short codes: network specific, abbreviated, unknown; and one that claims more.
            (3, 0, "72727", (3, "72727"), (3, "72727")),
            (6, 0, "72727", (6, "72727"), (6, "72727")),
            (0, 0, "72727", (0, "72727"), (0, "72727")),
            (4, 1, "5550100", (4, "5550100"), (4, "5550100")),
            (1, 1, "6834001", (1, "6834001"), (1, "6834001")),
        ] {
            for (numbering, (expected, digits)) in [(NO_COUNTRY, without), (of("44"), with)] {
                let spelled = handed_out(numbering, ton, npi, text);
                let back = numbering.destination(&spelled);
                assert_eq!((back.ton, &*back.text), (expected, digits), "{ton} {text} as {spelled}");
                assert!(back.ton != INTERNATIONAL || !back.text.starts_with('0'), "{spelled}");
                if back.ton == ton {
                    assert!(back.npi == npi || ton == INTERNATIONAL, "{ton} {npi} {text} as {spelled}");
                }
                // The key leads there as well, except for a type that only the spelling knows.
                let key = numbering.customer(&spelled).unwrap();
                assert_eq!(numbering.customer(&key).unwrap(), key, "{spelled}");
            }
        }
    }

    #[test]
    fn one_number_is_one_customer_in_every_spelling() {
        let spellings = |numbering: Numbering<'_>, texts: &[&str], addresses: &[(u8, &str)]| {
            let mut keys: Vec<String> = texts.iter().map(|t| numbering.customer(t).unwrap()).collect();
            let spelled = |(ton, text): &(u8, &str)| handed_out(numbering, *ton, 1, text);
            keys.extend(addresses.iter().map(|a| numbering.customer(&spelled(a)).unwrap()));
            keys.sort_unstable();
            keys.dedup();
            keys
        };
        let international = ["447600003300", "+447600003300", "+44 7600 003-300", "0044 7600/003.300"];
        let addresses = [(1, "447600003300"), (0, "447600003300"), (1, "+447600003300")];
        assert_eq!(spellings(NO_COUNTRY, &international, &addresses), ["447600003300"]);
        let local = [(2, "7600003300"), (2, "07600003300"), (0, "07600003300"), (0, "0044 7600003300")];
        assert_eq!(spellings(of("44"), &["07600 003300"], &local), ["447600003300"]);
        assert_eq!(spellings(of("44"), &international, &addresses), ["447600003300"]);
        let zero = [(0, "07600003300"), (1, "07600003300"), (2, "07600003300")];
        assert_eq!(spellings(NO_COUNTRY, &["07600003300"], &zero), ["07600003300"]);
        // National and international digits are different telephones.
        assert_eq!(spellings(NO_COUNTRY, &["7600003300"], &[(2, "7600003300")]).len(), 2);
    }

    #[test]
    fn each_country_has_its_prefixes() {
        for (country_code, national, international) in [
            ("49", "01760000001", "491760000001"),
            ("1", "2125550123", "12125550123"),
            ("1", "12125550123", "12125550123"),
            ("7", "89161234567", "79161234567"),
            ("7", "9161234567", "79161234567"),
            ("36", "06201234567", "36201234567"),
            ("39", "0612345678", "390612345678"),
            ("39", "3331234567", "393331234567"),
            ("225", "0701020304", "2250701020304"),
            ("61", "0412345678", "61412345678"),
        ] {
            let spelled = handed_out(of(country_code), NATIONAL, 1, national);
            assert_eq!(spelled, format!("+{international}"));
        }
        for (country_code, dialled) in
            [("1", "011447600003300"), ("61", "0011447600003300"), ("44", "00447600003300")]
        {
            assert_eq!(of(country_code).customer(dialled).unwrap(), "447600003300", "{dialled}");
        }
        let own = Numbering { trunk_prefix: Some("9"), ..of("370") };
        assert_eq!(handed_out(own, NATIONAL, 1, "960000000"), "+37060000000");
        let unknown = Numbering { unknown_is_national: true, ..of("86") };
        assert_eq!(handed_out(unknown, UNKNOWN, 1, "13800138000"), "+8613800138000");
        assert_eq!(handed_out(unknown, UNKNOWN, 0, "10086"), "10086;ton=0;npi=0");
    }

    #[test]
    fn names_cannot_answer() {
        for (ton, text) in [(5, "MyBank"), (5, "12345678901"), (0, "INFO"), (1, "My Bank"), (5, "Caf\u{e9}")]
        {
            let spelled = handed_out(NO_COUNTRY, ton, 0, text);
            assert!(NO_COUNTRY.customer(&spelled).unwrap_err().contains("names cannot answer"), "{spelled}");
        }
        assert_eq!(NO_COUNTRY.spelled(&Address { ton: 5, npi: 0, text: b"Caf\xE9" }), "Caf\u{e9}");
        for wrong in
            ["", "+", "+1234567890123456", "1234567890123456", "123456789012345678901", "1;ton=", "1;ton=300"]
        {
            assert!(NO_COUNTRY.customer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn our_own_addresses_have_their_types() {
        for (text, ton, npi, digits) in [
            ("5155", 3, 0, "5155"),
            ("+49 176 0000-0001", 1, 1, "4917600000001"),
            ("4917600000001", 1, 1, "4917600000001"),
            ("07600003300", 0, 1, "07600003300"),
            ("Patch Bay", 5, 0, "Patch Bay"),
        ] {
            let number = NO_COUNTRY.source(text);
            assert_eq!((number.ton, number.npi, &*number.text), (ton, npi, digits), "{text}");
        }
        assert_eq!(of("44").source("07600003300").address().text, b"447600003300");
        assert_eq!(of("44").own("07600 003300"), of("44").own("+447600003300"));
        assert_eq!(NO_COUNTRY.own("7600003300;ton=2"), "7600003300");
    }
}
