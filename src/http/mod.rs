//! The HTTP listeners: the public one (send API, sessions, webhooks) and the admin one. Everything
//! that arrives or leaves is limited: connections, requests in flight, heads, bodies, lists,
//! answers.

pub mod admin;
pub mod answer;
mod body;
mod budget;
mod connections;
pub mod docs;
pub mod keys;
pub mod problem;
pub mod public;
pub mod reload;
pub mod serve;
mod site;
mod timed_io;
pub mod tls;
mod wrong_port;
