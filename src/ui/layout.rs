//! The frame of every page: head, top line, menu, the sign-in page, and the page that reports a
//! refusal.

use actors::{Refusal, Router, view::StatusView};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, html};

use super::health::{self, Health};

/// The menu: path and name of each page.
const MENU: [(&str, &str); 8] = [
    ("/", "Overview"),
    ("/messages", "Messages"),
    ("/sessions", "Sessions"),
    ("/send", "Send a test"),
    ("/tail", "Live"),
    ("/doubt", "In doubt"),
    ("/receipts", "Receipts"),
    ("/dead", "Dead letters"),
];

/// A page without its content.
pub(super) struct Frame<'a> {
    /// The path of its entry in the menu.
    pub(super) at: &'a str,
    pub(super) title: &'a str,
    /// The time after which the script fetches its content anew, in seconds.
    pub(super) refresh_s: Option<u32>,
}

impl Frame<'_> {
    /// Returns the page with this content.
    pub(super) async fn show(&self, router: &Router, content: &Markup) -> Response {
        self.with(&router.status().await, content)
    }

    /// Returns the page with this content, where the status is known.
    pub(super) fn with(&self, status: &StatusView, content: &Markup) -> Response {
        let body = html! {
            a.skip href="#content" { "Skip to the content" }
            header.top {
                a.brand href="/" { img src="/ui/icon.svg" alt="" width="22" height="22"; "Patchbay" }
                nav aria-label="Pages" {
                    @for (href, name) in MENU {
                        a href=(href) aria-current=[(href == self.at).then_some("page")] { (name) }
                    }
                }
            }
            (health::line(status, self.at == "/"))
            main #content tabindex="-1" data-refresh=[self.refresh_s] { (content) }
            div #notice role="status" aria-live="polite" {}
            (question())
        };
        let title = format!("{} · {}", health::short(status), self.title);
        document(&title, Health::of(status), &body)
    }

    /// Returns the page that reports a refusal.
    pub(super) async fn refused(&self, router: &Router, refusal: &Refusal) -> Response {
        self.problem(router, &refusal.to_string()).await
    }

    /// Returns the page that says why there is nothing to show.
    pub(super) async fn problem(&self, router: &Router, text: &str) -> Response {
        let content = html! { h1 { (self.title) } div.empty { p { (text) } } };
        self.show(router, &content).await
    }
}

/// Returns the dialog in which the script asks before it acts.
fn question() -> Markup {
    html! {
        dialog #sure aria-labelledby="sure-text" {
            form method="dialog" {
                p #sure-text {}
                div.buttons {
                    button #sure-no value="no" { "Cancel" }
                    button #sure-yes.strong value="yes" { "Yes" }
                }
            }
        }
    }
}

/// Returns the page that asks for the token.
pub(crate) fn login(wrong: bool) -> Response {
    let body = html! {
        main.login {
            h1 { "Patchbay" }
            form method="post" action="/login" {
                label for="token" { "Admin token" }
                input #token type="password" name="token" autocomplete="current-password" autofocus required;
                @if wrong { p.bad role="alert" { "Wrong token." } }
                button type="submit" { "Sign in" }
            }
            p.quiet { "The token is set by token in the [admin] table of the configuration." }
        }
    };
    document("Sign in", Health::Good, &body)
}

fn document(title: &str, health: Health, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Patchbay" }
                link rel="icon" href=(health.icon()) type="image/svg+xml";
                link rel="stylesheet" href="/ui/style.css";
                script src="/ui/app.js" defer {}
            }
            body { (body) }
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
