//! The fields of a request to a described provider, wherever the description says they stand.

use serde_json::Value;

use super::description::Format;
use crate::toolkit::http::{Fields, Request};

/// Begins the name of a field that stands in the query, whatever the format.
const IN_QUERY: char = '?';

/// A request whose fields are looked up by JSON pointer or by name.
pub(super) struct RequestFields<'a> {
    request: &'a Request,
    content: Content,
}

enum Content {
    Json(Value),
    Fields(Fields),
    Unreadable,
}

impl<'a> RequestFields<'a> {
    pub(super) fn read(request: &'a Request, format: Format) -> Self {
        let content = match format {
            // JSON:API and others have their own media types, such as `application/vnd.api+json`.
            Format::Json if request.content_type().ends_with("+json") => {
                serde_json::from_slice(&request.body).ok().map(Content::Json)
            }
            Format::Json => request.json().map(Content::Json),
            Format::Form => request.form().map(Content::Fields),
            Format::Query => Some(Content::Fields(request.query_fields())),
        };
        Self { request, content: content.unwrap_or(Content::Unreadable) }
    }

    /// Returns whether the body is in the format that the description names.
    pub(super) fn are_readable(&self) -> bool {
        !matches!(self.content, Content::Unreadable)
    }

    /// Returns a field's text; `None` when it is missing or not a text.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        if let Some(name) = field.strip_prefix(IN_QUERY) {
            return self.request.query(name);
        }
        match &self.content {
            Content::Json(body) => body.pointer(field)?.as_str().map(str::to_owned),
            Content::Fields(fields) => fields.get(field).map(str::to_owned),
            Content::Unreadable => None,
        }
    }

    /// Returns all texts of a field: none when it is missing, `None` when it holds anything else.
    pub(super) fn texts(&self, field: &str) -> Option<Vec<String>> {
        match &self.content {
            Content::Json(body) => match body.pointer(field) {
                None | Some(Value::Null) => Some(Vec::new()),
                Some(Value::String(one)) => Some(vec![one.clone()]),
                Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
                Some(_) => None,
            },
            Content::Fields(fields) => Some(fields.all(field).map(str::to_owned).collect()),
            Content::Unreadable => Some(Vec::new()),
        }
    }

    /// Returns the request's body, or its fields as an object, for the questions of a test.
    pub(super) fn to_json(&self, request: &Request) -> Value {
        match &self.content {
            Content::Json(body) => body.clone(),
            Content::Fields(fields) => fields.to_object(),
            Content::Unreadable => String::from_utf8_lossy(&request.body).into(),
        }
    }
}
