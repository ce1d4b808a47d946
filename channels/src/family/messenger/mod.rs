//! The Messenger Platform as Facebook pages and Instagram accounts share it: one envelope, one
//! webhook format, one table of errors, one account.

mod account;
mod answer;
mod envelope;
pub mod events;
mod notices;
mod product;
mod receive;
mod send;

pub use self::{
    account::{AppSubscription, HUMAN_AGENT_HOURS, MessengerAccount, WINDOW_HOURS},
    product::Product,
};
