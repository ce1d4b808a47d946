//! The frame of every page: head, menu, the sign-in page, and the page that reports a refusal.

use actors::Refusal;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, html};

/// The menu: path and name of each page.
const MENU: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/tail", "Live"),
    ("/message", "Messages"),
    ("/sessions", "Sessions"),
    ("/doubt", "In doubt"),
    ("/receipts", "Receipts"),
    ("/dead", "Dead letters"),
];

/// Returns a page that reports a refusal.
pub(super) fn refused(at: &str, title: &str, refusal: &Refusal) -> Response {
    let content = html! { h1 { (title) } div.empty { p { (refusal) } } };
    framed(at, title, None, &content)
}

/// Returns the page that asks for the token.
pub(crate) fn login(wrong: bool) -> Response {
    let body = html! {
        main.login {
            h1 { "Patchbay" }
            form method="post" action="/login" {
                label for="token" { "Admin token" }
                input #token type="password" name="token" autocomplete="current-password" autofocus required;
                @if wrong { p.bad { "Wrong token." } }
                button type="submit" { "Sign in" }
            }
            p.quiet { "The token is set by token in the [admin] table of the configuration." }
        }
    };
    document("Sign in", None, &body)
}

/// Returns a page with the menu. With `refresh_s`, the script fetches its content anew after that
/// time.
pub(super) fn framed(at: &str, title: &str, refresh_s: Option<u32>, content: &Markup) -> Response {
    let body = html! {
        header.top {
            a.brand href="/" { img src="/ui/icon.svg" alt="" width="22" height="22"; "Patchbay" }
            nav {
                @for (href, name) in MENU {
                    a href=(href) aria-current=[(href == at).then_some("page")] { (name) }
                }
            }
        }
        main #content data-refresh=[refresh_s] { (content) }
        footer { span #live-state {} }
    };
    document(title, Some(at), &body)
}

fn document(title: &str, at: Option<&str>, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Patchbay" }
                link rel="icon" href="/ui/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/ui/style.css";
                script src="/ui/app.js" defer {}
            }
            body data-page=[at] { (body) }
        }
    };
    let mut answer = (StatusCode::OK, Html(page.into_string())).into_response();
    let headers = answer.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}
