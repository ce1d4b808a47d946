//! Access to the admin listener: by bearer token or, for the web page, by a cookie derived from it.
//! Requests made by pages of other sites are refused.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::IntoResponse,
};
use channels::url::form_fields;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::state::SharedAdmin;
use crate::{
    http::{
        answer, body,
        connections::Seat,
        keys::{bearer, same_secret},
        problem::{Kind, ProblemDetails},
        site::{is_foreign, is_local_name},
        wrong_port::send_api_is_elsewhere,
    },
    ui,
};

const COOKIE: &str = "patchbay_admin";
/// The largest body of a login, in bytes.
const LOGIN_BYTES_MAX: usize = 4096;

/// Passes a request on if it carries the token and comes from no other site's page.
pub(super) async fn check(State(inner): SharedAdmin, request: Request, next: Next) -> Response<Body> {
    let headers = request.headers();
    if let Some(elsewhere) = send_api_is_elsewhere(request.uri().path()) {
        return elsewhere;
    }
    if is_foreign(request.method(), headers) {
        return answer::error(Kind::ForeignPage, "this request was made by a page of another site");
    }
    let Some(token) = inner.admin.token.get() else {
        if !inner.admin.any_host && !is_local_name(headers) {
            let fix = "use the IP address or localhost as host name, or set a token in [admin]";
            let text = "without a token in [admin], only local host names are answered";
            return ProblemDetails::new(Kind::ForeignHost, text).fix(fix).answer();
        }
        trust(&request);
        return next.run(request).await;
    };
    if is_allowed(&token, headers) {
        trust(&request);
        return next.run(request).await;
    }
    if request.uri().path().starts_with("/api") || request.uri().path() == "/metrics" {
        let problem = ProblemDetails::new(Kind::WrongKey, "the admin token is missing or wrong");
        let problem = problem.fix("send [admin] token as Authorization: Bearer");
        return problem.answer_with(header::WWW_AUTHENTICATE, "Bearer");
    }
    (StatusCode::UNAUTHORIZED, ui::login(false)).into_response()
}

/// Notes that the sender of a request may use this listener.
fn trust(request: &Request) {
    if let Some(seat) = request.extensions().get::<Arc<Seat>>() {
        seat.trust();
    }
}

fn is_allowed(token: &SecretString, headers: &HeaderMap) -> bool {
    if bearer(headers).is_some_and(|given| same_secret(given, token.expose_secret().as_bytes())) {
        return true;
    }
    let expected = cookie_of(token);
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, value)| name == COOKIE && same_secret(value.as_bytes(), expected.as_bytes()))
}

/// Derives the cookie from the token. The cookie proves the token without containing it.
fn cookie_of(token: &SecretString) -> String {
    // HMAC takes keys of any length, so the error cannot occur; an empty cookie would match
    // nothing.
    Hmac::<Sha256>::new_from_slice(token.expose_secret().as_bytes())
        .map(|mac| hex::encode(mac.chain_update(b"patchbay admin cookie 1").finalize().into_bytes()))
        .unwrap_or_default()
}

/// `POST /login` with `token=...`.
pub(super) async fn login(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let (head, sent) = request.into_parts();
    if is_foreign(&head.method, &head.headers) {
        return answer::error(Kind::ForeignPage, "this request was made by a page of another site");
    }
    let form = match body::read(inner.bodies.stranger(LOGIN_BYTES_MAX), &head.headers, sent).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let given = field(&form, "token");
    let Some(token) = inner.admin.token.get() else { return to_start(None) };
    if same_secret(given.as_bytes(), token.expose_secret().as_bytes()) {
        return to_start(Some(format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/", cookie_of(&token))));
    }
    (StatusCode::UNAUTHORIZED, ui::login(true)).into_response()
}

fn to_start(cookie: Option<String>) -> Response<Body> {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    if let Some(Ok(cookie)) = cookie.map(HeaderValue::try_from) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// Returns the value of a form field; empty when the field is missing.
fn field(form: &[u8], name: &str) -> String {
    form_fields(form).find(|(key, _)| key == name).map(|(_, value)| value).unwrap_or_default()
}
