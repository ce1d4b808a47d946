//! The answer of one request, while it grows.

use message::Timestamp;

use super::resolve::unreadable;
use crate::{
    context::Context,
    error::Refusal,
    view::messages::{FoundMessages, MessageCursor, MessageItem, MessageQuery},
};

/// Returns the refusal for a query that cannot be answered as it is asked.
pub(super) fn refused(reason: &str) -> Refusal {
    Refusal::Unsendable(message::event::Cause::new("400", reason))
}

/// Returns the refusal for the cursor of another list.
pub(super) fn wrong_cursor() -> Refusal {
    refused("after: the page before was of another list; ask for the first page without it")
}

/// The answer so far.
#[derive(Default)]
pub(super) struct SearchAnswer {
    pub(super) items: Vec<MessageItem>,
    back_to: Option<Timestamp>,
}

impl SearchAnswer {
    /// Notes the time down to which a walk looked.
    pub(super) fn looked(&mut self, back_to: Option<Timestamp>) {
        self.back_to = self.back_to.into_iter().chain(back_to).min();
    }

    /// Ends the answer; `next` tells where the next page begins.
    pub(super) fn end(
        self,
        context: &Context,
        query: &MessageQuery,
        next: Option<MessageCursor>,
    ) -> Result<FoundMessages, Refusal> {
        let searched_back_to = match &next {
            Some(_) => self.back_to.unwrap_or_else(|| context.now()),
            None => {
                let oldest = context.reader.oldest_at().map_err(unreadable)?;
                query.from.into_iter().chain(oldest).max().unwrap_or_else(|| context.now())
            }
        };
        Ok(FoundMessages { items: self.items, searched_back_to, complete: next.is_none(), next })
    }
}
