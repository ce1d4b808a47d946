//! The engine around a simulated REST provider: what providers decide, it does, and it adds the
//! faults of the script. It knows no provider; it runs whichever it is given.
//!
//! | file | contents |
//! |---|---|
//! | `simulator` | the handle for tests, demos and the command line |
//! | `serve`, `client` | sockets: the provider's API, and calls to webhooks |
//! | `control` | the control API under `/_sim/` |
//! | `answer` | requests to the provider's API, with their faults |
//! | `webhooks` | receipts and customers' messages on their way to the webhook |
//! | `core` | one simulator: provider, clock and state behind a lock |
//! | `state`, `agenda`, `polls`, `windows`, `records` | what a simulator remembers |
//! | `script`, `options`, `sample` | plain data |

mod agenda;
mod answer;
mod client;
mod control;
mod core;
mod options;
mod polls;
mod records;
mod sample;
mod script;
mod serve;
mod simulator;
mod state;
mod webhooks;
mod windows;

pub use self::{
    options::{Options, OptionsError},
    records::{Attempt, Counts, Fetched, RECENT_MAX, Webhook},
    script::Script,
    serve::{BODY_BYTES_MAX, CONNECTIONS_MAX},
    simulator::{NewMessages, Simulator},
    webhooks::{DeliverError, WEBHOOKS_AT_ONCE_MAX},
};
