//! The pages `/docs` and `/docs/errors`: plain HTML without a script, from the same description as
//! the OpenAPI document.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::{document::kinds, port::DescribedPort, table::RouteDoc};
use crate::http::problem::{EXPLAINED_AT, KINDS};

/// Returns the page of a port's routes.
pub(super) fn routes(port: DescribedPort, routes: &[RouteDoc], document: &Value) -> Markup {
    let content = html! {
        p { (port.summary()) }
        p {
            "For programs: " a href="/openapi.json" { "/openapi.json" } " (OpenAPI 3.1). Errors are "
            code { "application/problem+json" } " (RFC 9457): " a href=(EXPLAINED_AT) { "all kinds" } "."
        }
        ul {
            @for route in routes {
                li { a href={ "#" (anchor(route)) } { code { (route.method) " " (route.path) } } ": " (route.summary) }
            }
        }
        @for route in routes { (described(port, route, document)) }
        h2 { "Types" }
        @for (name, schema) in schemas(document) {
            section id=(name) {
                h3 { (name) }
                @if let Some(words) = schema.get("description").and_then(Value::as_str) { p { (words) } }
                (fields(schema))
            }
        }
    };
    framed(port.title(), &content)
}

/// Returns the page of all kinds of errors.
pub(super) fn errors() -> Markup {
    let content = html! {
        p {
            "An error is a JSON document with " code { "type" } " (leads here), " code { "title" } ", " code { "status" }
            ", " code { "detail" } " (what is wrong this time), " code { "code" } " (the kind as a word), " code { "fix" }
            " and, where known, " code { "field" } " and " code { "retryAfter" } ". See also " a href="/docs" { "the routes" } "."
        }
        @for of in &KINDS {
            section id=(of.code) {
                h2 { code { (of.code) } ": " (of.title) }
                p { "HTTP " (of.status.as_u16()) ". Usual fix: " (of.fix) "." }
            }
        }
    };
    framed("Errors of Patchbay", &content)
}

fn framed(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/docs/style.css";
            }
            body { h1 { (title) } (content) }
        }
    }
}

fn anchor(route: &RouteDoc) -> String {
    let path = route.path.replace(['{', '}'], "").replace('/', "-");
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

fn described(port: DescribedPort, route: &RouteDoc, document: &Value) -> Markup {
    let method = route.method.as_str().to_ascii_lowercase();
    let operation = document.get("paths").and_then(|paths| paths.get(route.path)?.get(method));
    let list = |key: &str| operation.and_then(|operation| operation.get(key)?.as_array()).cloned();
    let parameters = list("parameters").unwrap_or_default();
    html! {
        section id=(anchor(route)) {
            h2 { code { (route.method) " " (route.path) } }
            p { (route.summary) "." @if route.is_open { " Needs no key." } }
            @if !parameters.is_empty() {
                h3 { "Parameters" }
                table { @for parameter in &parameters { (parameter_row(parameter)) } }
            }
            h3 { "Example" }
            pre { code { (example(port, route)) } }
            h3 { "Answers" }
            ul {
                @for (status, answer) in operation.and_then(|of| of.get("responses")?.as_object()).into_iter().flatten() {
                    @if status.starts_with('2') { li { (status) " " (contents(answer)) } }
                }
            }
            h3 { "Errors" }
            ul {
                @for kind in kinds(route) {
                    @let of = kind.explained();
                    li { (of.status.as_u16()) " " a href={ (EXPLAINED_AT) "#" (of.code) } { (of.code) } ": " (of.title) }
                }
            }
        }
    }
}

fn parameter_row(parameter: &Value) -> Markup {
    let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
    html! {
        tr {
            th scope="row" { code { (text("name")) } }
            td { (text("in")) }
            td { (parameter.get("schema").map(kind_of).unwrap_or_default()) }
            td { (text("description")) }
        }
    }
}

/// Returns a command that can be copied.
fn example(port: DescribedPort, route: &RouteDoc) -> String {
    let (host, key) = match port {
        DescribedPort::Public => ("localhost:8080", "API_KEY"),
        DescribedPort::Admin => ("localhost:9090", "TOKEN"),
    };
    let path = route.path.replace(['{', '}'], "").replace("/id", "/ID");
    let mut line = format!("curl -s -X {} http://{host}{path}", route.method);
    if !route.is_open {
        line.push_str(&format!(" -H 'Authorization: Bearer {key}'"));
    }
    if let Some((_, media_type, example)) = route.body {
        line.push_str(&format!(" -H 'Content-Type: {media_type}' -d '{example}'"));
    }
    line
}

/// Returns the media types of an answer, each with its type.
fn contents(answer: &Value) -> Markup {
    let content = answer.get("content").and_then(Value::as_object);
    html! {
        @for (media_type, of) in content.into_iter().flatten() {
            code { (media_type) } " " (of.get("schema").map(kind_of).unwrap_or_default())
        }
    }
}

/// Returns a schema in few words, with links to the types that it names.
fn kind_of(schema: &Value) -> Markup {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next()) {
        return html! { a href={ "#" (name) } { (name) } };
    }
    if let Some(all) = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)?.as_array()) {
        return html! { @for (at, one) in all.iter().enumerate() { @if at > 0 { " or " } (kind_of(one)) } };
    }
    if let Some(items) = schema.get("items") {
        return html! { "list of " (kind_of(items)) };
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return html! { (values.join(", ")) };
    }
    match schema.get("type") {
        Some(Value::String(name)) => html! { (name) },
        Some(Value::Array(names)) => {
            html! { (names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")) }
        }
        _ => html! { "any" },
    }
}

fn schemas(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let schemas = document.get("components").and_then(|of| of.get("schemas")?.as_object());
    schemas.into_iter().flatten()
}

fn fields(schema: &Value) -> Markup {
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return html! { p { (kind_of(schema)) } };
    };
    html! {
        table {
            @for (name, field) in fields {
                tr {
                    th scope="row" { code { (name) } }
                    td { (kind_of(field)) }
                    td { (field.get("description").and_then(Value::as_str).unwrap_or_default()) }
                }
            }
        }
    }
}
