//! PDUs of SMPP 3.4 and 5.0: their values, and how they are read and written.

mod model;
mod read;
mod write;

pub use self::{
    model::{
        Address, Alert, Bind, BindKind, BindReply, CancelSm, CommandId, DataSm, IdReply, MultiReply, Outbind,
        Pdu, PduHeader, QueryReply, QuerySm, ReplaceSm, ShortMessage,
    },
    write::{write, write_frame, write_submit},
};
pub use super::{
    tlv::{Tlv, Tlvs},
    wire::{BodyError, EncodeError, Salvage},
};
