//! The body of a message: a text, a template, or any CIM body from a file.

use std::{
    fs::File,
    io::{self, Read},
};

use clap::Args;
use serde_json::{Value, json};

use crate::run::Failure;

/// The largest body that is read, in bytes: the default of `[http] body_max`.
const BODY_BYTES_MAX: u64 = 4_000_000;

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct BodyArguments {
    /// The text to send
    #[arg(long, conflicts_with_all = ["body", "template"])]
    text: Option<String>,
    /// A file with a CIM body of any type as JSON, such as {"type": "BUTTON", ...}; "-" for
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    body: Option<String>,
    /// The name of a template that the provider has approved
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// The language of the template
    #[arg(long, value_name = "CODE", requires = "template", default_value = "en")]
    language: String,
    /// A value for the next placeholder of the template (repeatable)
    #[arg(long = "value", value_name = "TEXT", requires = "template")]
    values: Vec<String>,
}

impl BodyArguments {
    /// Returns the CIM body.
    pub(super) fn read(&self) -> Result<Value, Failure> {
        if let Some(text) = &self.text {
            return Ok(json!({ "type": "PLAIN", "markdownText": text }));
        }
        if let Some(name) = &self.template {
            return Ok(template(name, &self.language, &self.values));
        }
        let file = self.body.as_deref().unwrap_or("-");
        parse(file, &load(file)?)
    }
}

fn template(name: &str, language: &str, values: &[String]) -> Value {
    let parameter =
        |value: &String| json!({ "parameterType": "text", "additionalParameterDetails": { "text": value } });
    let parameters: Vec<Value> = values.iter().map(parameter).collect();
    let components =
        if parameters.is_empty() { json!([]) } else { json!([{ "type": "body", "parameters": parameters }]) };
    json!({ "type": "TEMPLATE", "name": name, "language": { "code": language }, "components": components })
}

fn load(file: &str) -> Result<Vec<u8>, Failure> {
    let failed = |e: io::Error| Failure::Usage(format!("--body {file}: cannot be read: {e}"));
    let mut octets = Vec::new();
    let source: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin().lock()),
        file => Box::new(File::open(file).map_err(failed)?),
    };
    source.take(BODY_BYTES_MAX + 1).read_to_end(&mut octets).map_err(failed)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > BODY_BYTES_MAX {
        return Err(Failure::Usage(format!("--body {file}: larger than {BODY_BYTES_MAX} bytes")));
    }
    Ok(octets)
}

fn parse(file: &str, octets: &[u8]) -> Result<Value, Failure> {
    let expected = "expected a CIM body such as {\"type\": \"PLAIN\", \"markdownText\": \"Hello\"}";
    let body: Value = serde_json::from_slice(octets)
        .map_err(|e| Failure::Usage(format!("--body {file}: not valid JSON ({e}); {expected}")))?;
    if body.get("header").is_some() && body.get("body").is_some() {
        return Err(Failure::Usage(format!(
            "--body {file}: this is a whole message; give only its body, or POST it to /v1/messages"
        )));
    }
    if !body.get("type").is_some_and(Value::is_string) {
        return Err(Failure::Usage(format!("--body {file}: has no type; {expected}")));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_its_values_in_order() {
        let body = template("order_update", "de", &["Ann".into(), "4711".into()]);
        let values: Vec<&str> = (0..2)
            .filter_map(|at| {
                body.pointer(&format!("/components/0/parameters/{at}/additionalParameterDetails/text"))
            })
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(values, ["Ann", "4711"]);
        assert_eq!(body.pointer("/language/code").and_then(Value::as_str), Some("de"));
        assert_eq!(template("x", "en", &[]).get("components"), Some(&json!([])));
    }

    #[test]
    fn a_body_that_is_none_is_refused_with_the_fix() {
        for (text, told) in [
            ("{", "not valid JSON"),
            ("[]", "has no type"),
            (r#"{"text": "x"}"#, "has no type; expected a CIM body"),
            (r#"{"header": {}, "body": {"type": "PLAIN"}}"#, "a whole message; give only its body"),
        ] {
            let why = parse("a.json", text.as_bytes()).unwrap_err().to_string();
            assert!(why.starts_with("--body a.json: ") && why.contains(told), "{text}: {why}");
        }
        assert!(parse("-", br#"{"type": "BUTTON"}"#).is_ok());
        assert!(load("/nowhere/a.json").unwrap_err().to_string().contains("cannot be read"));
    }
}
