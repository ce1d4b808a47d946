//! Mends JSON as providers write it, so that one unreadable item costs no other. RFC 8259 lets a
//! receiver be lenient (section 9), and calls a lone surrogate unpredictable (section 8.2): here it
//! is U+FFFD.
//!
//! | written | read |
//! |---|---|
//! | half a surrogate pair (`\ud83d`), an escape without four digits | U+FFFD |
//! | octets that are not UTF-8 | U+FFFD |
//! | a byte order mark, NULs and spaces around the value | nothing |
//! | control characters in a string | themselves |
//! | an unknown escape (`\'`) | its character |
//! | a number of more digits than a `u64` has, or beyond a double | a string of its digits |
//! | `NaN`, `Infinity`, `undefined` | null |
//! | a value nested deeper than [`DEPTH_MAX`] | null |
//!
//! A repeated key counts as its last value. Whatever else is not JSON stays so.

/// Maximum depth of nested values; deeper ones are read as null.
pub const DEPTH_MAX: usize = 100;

/// Number of digits from which on an integer may exceed a `u64`.
const DIGITS_LONG: usize = 20;

/// Returns whether a run of `DIGITS_LONG` digits occurs. Looks at one octet in that many, since a
/// run covers at least one of them.
pub fn has_long_number(body: &[u8]) -> bool {
    let is_digit = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_digit);
    let mut at = DIGITS_LONG - 1;
    while at < body.len() {
        if is_digit(body.get(at)) {
            let before = body.get(..at).unwrap_or_default().iter().rev();
            let before = before.take(DIGITS_LONG).take_while(|octet| octet.is_ascii_digit()).count();
            let after = body.get(at..).unwrap_or_default().iter();
            let after = after.take(DIGITS_LONG).take_while(|octet| octet.is_ascii_digit()).count();
            if before + after >= DIGITS_LONG {
                return true;
            }
        }
        at += DIGITS_LONG;
    }
    false
}

/// Returns the body as JSON that a strict parser reads, mended where that is possible.
pub fn mend(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let text = text.trim_matches(|c: char| c == '\0' || c == '\u{feff}' || c.is_whitespace());
    let mut mender = Mender { rest: text, out: String::with_capacity(text.len() + 16), depth: 0 };
    mender.run();
    mender.out.into_bytes()
}

struct Mender<'a> {
    rest: &'a str,
    out: String,
    depth: usize,
}

impl<'a> Mender<'a> {
    fn run(&mut self) {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '"' => self.string(),
                '{' | '[' => self.open(first),
                '}' | ']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.keep(first);
                }
                '-' | '0'..='9' => self.number(),
                'a'..='z' | 'A'..='Z' => self.word(),
                _ => self.keep(first),
            }
        }
    }

    fn keep(&mut self, one: char) {
        self.out.push(one);
        self.skip(one.len_utf8());
    }

    fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    /// Takes the octets for which `holds` is true; they must be ASCII.
    fn take(&mut self, holds: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|octet| !holds(octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    fn open(&mut self, bracket: char) {
        if self.depth < DEPTH_MAX {
            self.depth += 1;
            return self.keep(bracket);
        }
        self.out.push_str("null");
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let end = self.rest.bytes().position(|octet| {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        self.skip(end.map_or(self.rest.len(), |end| end + 1));
    }

    fn number(&mut self) {
        let number =
            self.take(|octet| octet.is_ascii_digit() || matches!(octet, b'-' | b'+' | b'.' | b'e' | b'E'));
        if number == "-" && self.rest.starts_with("Infinity") {
            return self.word();
        }
        let is_integer = number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-');
        let is_held = if is_integer {
            number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok()
        } else {
            number.parse::<f64>().is_ok_and(f64::is_finite)
        };
        // A leading zero is an id, too: a strict parser refuses it.
        let digits = number.trim_start_matches('-');
        let is_padded = digits.len() > 1 && digits.starts_with('0') && is_integer;
        if is_held && !is_padded {
            self.out.push_str(number);
        } else {
            self.out.push('"');
            self.out.push_str(number);
            self.out.push('"');
        }
    }

    fn word(&mut self) {
        let word = self.take(|octet| octet.is_ascii_alphanumeric());
        self.out.push_str(match word {
            "NaN" | "Infinity" | "undefined" => "null",
            _ => word,
        });
    }

    fn string(&mut self) {
        self.keep('"');
        while let Some(first) = self.rest.chars().next() {
            match first {
                '"' => return self.keep('"'),
                '\\' => self.escape(),
                '\0'..='\u{1f}' => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(first)));
                    self.skip(1);
                }
                _ => {
                    let plain = |octet: u8| octet >= 0x20 && octet != b'"' && octet != b'\\';
                    let plain = self.take(plain);
                    self.out.push_str(plain);
                }
            }
        }
    }

    /// Copies an escape; those that stand for no character become U+FFFD.
    fn escape(&mut self) {
        self.skip(1);
        let Some(kind) = self.rest.chars().next() else { return self.out.push('\u{fffd}') };
        match kind {
            '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => {
                self.out.push('\\');
                self.keep(kind);
            }
            'u' => self.unicode(),
            _ => {}
        }
    }

    fn unicode(&mut self) {
        self.skip(1);
        let (first, second) = (hex(self.rest, 0), hex(self.rest, 6));
        let is_second = self.rest.get(4..6) == Some("\\u");
        let kept = match (first, second.filter(|_| is_second)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 10,
            (Some(unit), _) if !(0xd800..=0xdfff).contains(&unit) => 4,
            (Some(_), _) => {
                self.skip(4);
                return self.out.push('\u{fffd}');
            }
            (None, _) => return self.out.push('\u{fffd}'),
        };
        let escaped = self.rest.get(..kept).unwrap_or_default();
        self.out.push_str("\\u");
        self.out.push_str(escaped);
        self.skip(kept);
    }
}

/// Returns the number that four hexadecimal digits write.
fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    let all = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    if all { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::toolkit::mend::*;

    fn read(body: &[u8]) -> Option<Value> {
        serde_json::from_slice(&mend(body)).ok()
    }

    #[test]
    fn json_as_providers_write_it() {
        let deep = format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(300), "]".repeat(300));
        let cases: &[(&[u8], Value)] = &[
            // chatwoot #7834, pywa #91: names that were cut within an emoji.
            (br#"["Ann \ud83d"]"#, json!(["Ann \u{fffd}"])),
            (br#"["\ud83d\ude00 \ude00\ud83d x"]"#, json!(["\u{1f600} \u{fffd}\u{fffd} x"])),
            (br#"["\ud83d\ud83d\ude00"]"#, json!(["\u{fffd}\u{1f600}"])),
            (br#"{"\udead":"\uD83Dx","b":"\\ud83d"}"#, json!({"\u{fffd}": "\u{fffd}x", "b": "\\ud83d"})),
            (br#"["\ud83d\n\u00e4\u12"]"#, json!(["\u{fffd}\n\u{e4}\u{fffd}12"])),
            (b"[\"caf\xe9\"]", json!(["caf\u{fffd}"])),
            (b"[\"\xf0\x9f\x98\"]", json!(["\u{fffd}"])),
            (b"\xef\xbb\xbf{\"a\":1}\0\0\r\n", json!({"a": 1})),
            (b"[\"a\0b\nc\td\"]", json!(["a\0b\nc\td"])),
            (br#"["it\'s \x"]"#, json!(["it's x"])),
            (b"{\"id\":123456789012345678901234}", json!({"id": "123456789012345678901234"})),
            (b"[18446744073709551615,-9223372036854775808]", json!([u64::MAX, i64::MIN])),
            (b"[1e999,-1E+999,1.5e3]", json!(["1e999", "-1E+999", 1500.0])),
            (b"[007,-1,0]", json!(["007", -1, 0])),
            (b"[NaN,-Infinity,undefined,true,null]", json!([null, null, null, true, null])),
            (b"{\"a\":1,\"a\":2}", json!({"a": 2})),
            (deep.as_bytes(), Value::Null),
        ];
        for (body, expected) in cases {
            let mended = read(body);
            if expected.is_null() {
                assert_eq!(mended.unwrap()["b"], 2, "a deep value costs no neighbour");
            } else {
                assert_eq!(mended.as_ref(), Some(expected), "{}", String::from_utf8_lossy(body));
            }
        }
        for wrong in ["", "{", "[1", "{\"a\" 1}", "\"a", "hello", "[1,,2]"] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn long_numbers_are_seen_at_any_place() {
        for before in 0..45 {
            let pad = "x".repeat(before);
            assert!(has_long_number(format!("{pad}12345678901234567890{pad}").as_bytes()), "{before}");
            assert!(!has_long_number(format!("{pad}1234567890123456789{pad}").as_bytes()), "{before}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::from(serde_json::Map::from_iter(members))),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_keeps_its_meaning(value in any_json()) {
            let body = value.to_string();
            prop_assert_eq!(read(body.as_bytes()), Some(value));
        }

        #[test]
        fn any_octets_are_mended(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _read_or_not = read(&body);
        }

        #[test]
        fn a_cut_escape_costs_one_character(unit in 0_u32..0x1_0000, tail in "[a-z]{0,3}") {
            let said = read(format!("[\"a\\u{unit:04x}{tail}\",7]").as_bytes()).unwrap();
            prop_assert_eq!(said[0].as_str().unwrap().chars().count(), 2 + tail.len());
            prop_assert_eq!(&said[1], 7);
        }
    }
}
