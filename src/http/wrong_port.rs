//! Requests that reach the wrong listener: each knows the other's paths and says so, without a key
//! or token, which the sender would look for in vain.

use axum::body::Body;
use http::Response;

use super::problem::{Kind, ProblemDetails};

/// Returns the answer of the public listener to a request for the admin listener.
pub(super) fn admin_is_elsewhere(path: &str) -> Option<Response<Body>> {
    let is_admins = path.starts_with("/api/") || matches!(path, "/api" | "/metrics" | "/healthz" | "/readyz");
    is_admins.then(|| {
        let fix = "ask the admin port (by default 127.0.0.1:9090), which tail, the page and the \
                   metrics need";
        let text =
            format!("this is the send API ([http] listen); {path} is at the admin port ([admin] listen)");
        ProblemDetails::new(Kind::WrongPort, text).fix(fix).answer()
    })
}

/// Returns the answer of the admin listener to a request for the public one.
pub(super) fn send_api_is_elsewhere(path: &str) -> Option<Response<Body>> {
    let is_publics = ["/v1/", "/webhooks/", "/media/"].iter().any(|root| path.starts_with(root))
        || matches!(path, "/ccm-msg/receive" | "/message/receive" | "/ccm/webhook");
    is_publics.then(|| {
        let fix = "ask the send API (by default 127.0.0.1:8080), which senders and providers need";
        let text =
            format!("this is the admin port ([admin] listen); {path} is at the send API ([http] listen)");
        ProblemDetails::new(Kind::WrongPort, text).fix(fix).answer()
    })
}
