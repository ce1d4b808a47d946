//! Percent-encoding (RFC 3986) and `application/x-www-form-urlencoded`, the two encodings of
//! addresses and forms. Secrets are hidden in encoded form as well, so this stands below `http`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a segment of a path or a value of a query: everything except letters, digits and `-._~`
/// becomes `%XX`.
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes what [`percent_encode`] encoded. Invalid UTF-8 becomes the replacement character.
pub fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes fields as a form, in order. A space becomes `%20`, which every form decoder accepts and
/// which signatures over the body expect.
pub fn encode_form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.join("&")
}

/// Decodes the fields of a form or query, in order. Invalid UTF-8 becomes the replacement
/// character.
pub fn form_fields(octets: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_as_it_was_encoded() {
        let text = encode_form([("From", "+49 1"), ("Body", "a&b=c ü%~*")]);
        assert_eq!(text, "From=%2B49%201&Body=a%26b%3Dc%20%C3%BC%25~%2A");
        let fields: Vec<_> = form_fields(text.as_bytes()).collect();
        assert_eq!(fields, [("From".into(), "+49 1".into()), ("Body".into(), "a&b=c ü%~*".into())]);
        let odd: Vec<_> = form_fields(b"a&=b&c=%zz+%4&&d=%ff").collect();
        assert_eq!(odd.len(), 4);
        assert_eq!(odd[2], ("c".into(), "%zz %4".into()));
        assert_eq!(odd[3], ("d".into(), "\u{FFFD}".into()));
    }
}
