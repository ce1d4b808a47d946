//! Parts on their way out: those that wait for window and rate, and those with a link.

use std::sync::Arc;

use channels::{LinkKind, address::spelling::IdBase, smpp::account::ReceiptIds};

use crate::{context::ChannelEntry, domain::correlation::PartRef, protocol::part::JobMessage};

/// A part that waits for window and rate.
pub(crate) struct PartJob {
    pub(crate) part: PartRef,
    pub(crate) message: Arc<JobMessage>,
}

/// Parts with a link, by the token the link knows them under.
#[derive(Default)]
pub(crate) struct Outstanding {
    pub(super) slots: Vec<Option<(PartRef, u16)>>,
    pub(super) free: Vec<u32>,
}

impl Outstanding {
    pub(super) fn insert(&mut self, part: PartRef, link: u16) -> u32 {
        match self.free.pop() {
            Some(token) => {
                if let Some(slot) = self.slots.get_mut(token as usize) {
                    *slot = Some((part, link));
                }
                token
            }
            None => {
                self.slots.push(Some((part, link)));
                (self.slots.len() - 1) as u32
            }
        }
    }

    pub(crate) fn remove(&mut self, token: u32) -> Option<PartRef> {
        let (part, _) = self.slots.get_mut(token as usize)?.take()?;
        self.free.push(token);
        Some(part)
    }

    pub(crate) fn get(&self, token: u32) -> Option<PartRef> {
        self.slots.get(token as usize)?.as_ref().map(|(part, _)| *part)
    }

    /// All that is with one link.
    pub(crate) fn of_link(&self, link: u16) -> Vec<u32> {
        let with = |slot: &Option<(PartRef, u16)>| slot.as_ref().is_some_and(|(_, l)| *l == link);
        self.slots.iter().enumerate().filter(|(_, s)| with(s)).map(|(n, _)| n as u32).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How this channel's receipts spell ids.
pub(crate) fn id_base(entry: &ChannelEntry) -> IdBase {
    match entry.channel().link() {
        LinkKind::Smpp(account) => match account.receipt_ids {
            ReceiptIds::Auto => IdBase::Auto,
            ReceiptIds::Exact => IdBase::Exact,
            ReceiptIds::HexToDecimal => IdBase::ReplyHexReceiptDec,
            ReceiptIds::DecimalToHex => IdBase::ReplyDecReceiptHex,
        },
        LinkKind::Http(_) => IdBase::Exact,
    }
}
