//! A simulated SMSC with faults on demand: the other side of SMPP 3.4, for demos, tests and
//! benches. It stores nothing on disk, and is not a model of how to build an SMSC.
//!
//! | file | contents |
//! |---|---|
//! | `handle` | the handle for tests, demos and the command line |
//! | `serve` | sockets and time |
//! | `dispatch` | octets and due work, led to the files below |
//! | `bind`, `submit` | which binds and submits are accepted, and their answers |
//! | `deliver` | receipts and customers' messages on their way, until acknowledged |
//! | `shared`, `core`, `connection`, `schedule`, `records` | the state |
//! | `receipt`, `mo`, `text` | the wire forms |
//! | `script` | the faults: plain data |

mod bind;
mod connection;
mod core;
mod deliver;
mod dispatch;
mod handle;
mod mo;
mod receipt;
mod records;
mod schedule;
mod script;
mod serve;
mod shared;
mod submit;
mod text;

pub use self::{
    deliver::QUEUE_MAX,
    handle::{BindCount, Smsc},
    mo::{MO_PARTS_MAX, Mo, MoConcat, MoError, MoId, MoOrder, MoState},
    records::{PartOf, RECENT_MAX, Repeated, Seen, SmscCounts, Submit, WholeMessage},
    script::{IdStyle, ReceiptForm, ReceiptVia, Receipts, SmscScript},
    serve::Accept,
};
pub use crate::toolkit::{
    chance::{BadPattern, Pattern},
    recent::Remember,
};
