//! Texts with placeholders, and bodies made of them. A text of which a placeholder has no value is
//! left out, with its member or field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::contract::{OutPart, url::percent_encode};

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<TemplatePiece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    /// A key of the account.
    Account(String),
    Part(Placeholder),
}

/// A placeholder for something of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    To,
    ToDigits,
    From,
    FromDigits,
    Text,
    File,
    Reference,
    WebhookUrl,
    ValidS,
}

const PLACEHOLDERS: [(&str, Placeholder); 9] = [
    ("to", Placeholder::To),
    ("to_digits", Placeholder::ToDigits),
    ("from", Placeholder::From),
    ("from_digits", Placeholder::FromDigits),
    ("text", Placeholder::Text),
    ("file", Placeholder::File),
    ("reference", Placeholder::Reference),
    ("webhook_url", Placeholder::WebhookUrl),
    ("valid_s", Placeholder::ValidS),
];

/// The values of placeholders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) account: &'a BTreeMap<&'static str, String>,
    /// The message; a probe has none.
    pub(super) message: Option<Message<'a>>,
}

/// A message on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) part: &'a OutPart<'a>,
    pub(super) text: &'a str,
    pub(super) file: Option<&'a str>,
}

impl Values<'_> {
    fn of(&self, piece: &TemplatePiece) -> Option<String> {
        match piece {
            TemplatePiece::Text(text) => Some(text.clone()),
            TemplatePiece::Account(key) => self.account.get(key.as_str()).cloned(),
            TemplatePiece::Part(placeholder) => self.message.as_ref()?.of(*placeholder),
        }
    }
}

impl Message<'_> {
    fn of(&self, placeholder: Placeholder) -> Option<String> {
        let e164 = crate::address::number::e164;
        let digits = |address: &str| e164(address).trim_start_matches('+').to_owned();
        Some(match placeholder {
            Placeholder::To => e164(self.part.customer),
            Placeholder::ToDigits => digits(self.part.customer),
            Placeholder::From => e164(self.part.did),
            Placeholder::FromDigits => digits(self.part.did),
            Placeholder::Text => self.text.to_owned(),
            Placeholder::File => self.file?.to_owned(),
            Placeholder::Reference => self.part.reference.to_owned(),
            Placeholder::WebhookUrl => Some(self.part.webhook_url).filter(|url| !url.is_empty())?.to_owned(),
            Placeholder::ValidS => self.part.valid_s?.to_string(),
        })
    }
}

impl Template {
    /// Reads a text. `{{` stands for a brace.
    ///
    /// # Errors
    /// Names a placeholder that does not exist, with those that do.
    pub(super) fn parse<'k>(
        text: &str,
        keys: impl Iterator<Item = &'k String> + Clone,
    ) -> Result<Self, String> {
        let (mut pieces, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("{text:?} has an opening brace without a closing one"));
            };
            if !literal.is_empty() {
                pieces.push(TemplatePiece::Text(std::mem::take(&mut literal)));
            }
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            pieces.push(match known {
                Some((_, placeholder)) => TemplatePiece::Part(*placeholder),
                None if keys.clone().any(|key| key == name) => TemplatePiece::Account(name.to_owned()),
                None => {
                    let keys = keys.map(String::as_str);
                    let known: Vec<&str> = PLACEHOLDERS.iter().map(|(known, _)| *known).chain(keys).collect();
                    let known = known.join(", ");
                    return Err(format!("there is no placeholder {{{name}}}; expected one of {known}"));
                }
            });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(TemplatePiece::Text(literal));
        }
        Ok(Self(pieces))
    }

    /// Fills in the values; nothing when one is missing.
    pub(super) fn fill(&self, values: &Values<'_>) -> Option<String> {
        self.0.iter().map(|piece| values.of(piece)).collect()
    }

    /// Fills in the values of an address: all are encoded but those of `urls`, keys of the account
    /// that hold addresses themselves.
    pub(super) fn fill_url(&self, values: &Values<'_>, urls: &[&str]) -> Option<String> {
        let piece = |piece: &TemplatePiece| match piece {
            TemplatePiece::Text(text) => Some(text.clone()),
            TemplatePiece::Account(key) if urls.contains(&key.as_str()) => values.of(piece),
            _ => Some(percent_encode(&values.of(piece)?)),
        };
        self.0.iter().map(piece).collect()
    }
}

/// A body with placeholders.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(Template),
    Literal(Value),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body; `parse` reads its texts.
    pub(super) fn parse<E>(
        value: &toml::Value,
        parse: &mut impl FnMut(&str) -> Result<Template, E>,
    ) -> Result<Self, E> {
        Ok(match value {
            toml::Value::String(text) => Self::Text(parse(text)?),
            toml::Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::parse(item, parse)).collect::<Result<_, E>>()?)
            }
            toml::Value::Table(members) => {
                let mut nodes = Vec::with_capacity(members.len());
                for (name, member) in members {
                    nodes.push((name.clone(), Self::parse(member, parse)?));
                }
                Self::Table(nodes)
            }
            toml::Value::Integer(number) => Self::Literal((*number).into()),
            toml::Value::Float(number) => Self::Literal((*number).into()),
            toml::Value::Boolean(bool) => Self::Literal((*bool).into()),
            toml::Value::Datetime(time) => Self::Literal(time.to_string().into()),
        })
    }

    /// Fills in the values, as JSON; nothing when the whole is a text without a value.
    pub(super) fn json(&self, values: &Values<'_>) -> Option<Value> {
        Some(match self {
            Self::Text(template) => Value::String(template.fill(values)?),
            Self::Literal(value) => value.clone(),
            Self::List(items) => Value::Array(items.iter().filter_map(|item| item.json(values)).collect()),
            Self::Table(members) => {
                let filled = |(name, node): &(String, Self)| Some((name.clone(), node.json(values)?));
                Value::Object(members.iter().filter_map(filled).collect::<Map<_, _>>())
            }
        })
    }

    /// Fills in the values, as the fields of a form, in alphabetical order.
    pub(super) fn form<'n>(&'n self, values: &Values<'_>) -> Vec<(&'n str, String)> {
        let Self::Table(members) = self else { return Vec::new() };
        let field = |(name, node): &'n (String, Self)| {
            let value = match node.json(values)? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Some((name.as_str(), value))
        };
        members.iter().filter_map(field).collect()
    }
}

/// Lays the members of one table over those of another, tables within tables included.
pub(super) fn overlay(table: &mut toml::Table, over: &toml::Table) {
    for (name, value) in over {
        match (table.get_mut(name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(over)) => overlay(below, over),
            _ => _ = table.insert(name.clone(), value.clone()),
        }
    }
}
