//! Pages of lists merged from several hosts, in the order of sessions. A page ends at the end of a
//! session; where a host stopped early, the page tells where the next one begins.

use message::{SessionId, StreamId};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, in the order of their sessions.
    pub items: Vec<T>,
    /// The session after which the next page begins; `None` on the last page.
    pub next: Option<SessionId>,
}

impl<T> Page<T> {
    /// Merges the findings of hosts. `complete_to` tells for each host where it stopped early;
    /// `None` if it reached the end.
    pub(crate) fn of(
        found: impl Iterator<Item = T>,
        session: impl Fn(&T) -> SessionId,
        complete_to: impl Iterator<Item = Option<StreamId>>,
        limit: usize,
    ) -> Self {
        let complete_to = complete_to.flatten().min();
        let within = |item: &T| complete_to.is_none_or(|to| session(item).stream <= to);
        let mut items: Vec<T> = found.filter(within).collect();
        items.sort_by_key(|item| session(item).stream);
        let last = items.get(limit.saturating_sub(1)).map(&session);
        let end = last
            .map_or(items.len(), |last| items.partition_point(|item| session(item).stream <= last.stream));
        let cut = last.filter(|_| end < items.len());
        items.truncate(end);
        let next = cut.or(complete_to.map(|stream| SessionId { stream, ordinal: 1 }));
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(streams: &[u128]) -> Vec<SessionId> {
        streams.iter().map(|s| SessionId { stream: StreamId(*s), ordinal: 1 }).collect()
    }

    fn page(found: &[u128], complete_to: &[Option<u128>], limit: usize) -> (Vec<u128>, Option<u128>) {
        let to = complete_to.iter().map(|to| to.map(StreamId));
        let page = Page::of(ids(found).into_iter(), |id| *id, to, limit);
        (page.items.iter().map(|id| id.stream.0).collect(), page.next.map(|id| id.stream.0))
    }

    #[test]
    fn a_page_ends_with_a_session_and_says_where_to_go_on() {
        assert_eq!(page(&[3, 1, 2], &[None, None], 10), (vec![1, 2, 3], None));
        assert_eq!(page(&[3, 1, 2], &[None, None], 2), (vec![1, 2], Some(2)));
        assert_eq!(page(&[1, 2, 2, 2, 3], &[None], 2), (vec![1, 2, 2, 2], Some(2)));
        assert_eq!(page(&[1, 2, 2], &[None], 2), (vec![1, 2, 2], None));
        // A host that stopped at 5 may have more before 9: that is for the next page.
        assert_eq!(page(&[4, 9], &[Some(5), None], 10), (vec![4], Some(5)));
        assert_eq!(page(&[], &[Some(7), Some(5)], 10), (vec![], Some(5)));
        assert_eq!(page(&[1, 2, 4], &[Some(5)], 2), (vec![1, 2], Some(2)));
    }
}
