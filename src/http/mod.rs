//! The HTTP listeners: the public one (send API, sessions, webhooks) and the admin one. Everything
//! that arrives is limited: connections, requests in flight, heads, bodies, lists.

pub mod admin;
pub mod answer;
pub mod keys;
pub mod public;
pub mod serve;
pub mod tls;
