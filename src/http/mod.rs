//! The HTTP surfaces: the public one (send API, sessions, webhooks) and the admin one. Everything that arrives
//! is bounded: connections, requests under way, heads, bodies, lists.

pub mod admin;
pub mod answer;
pub mod keys;
pub mod public;
pub mod serve;
pub mod tls;
