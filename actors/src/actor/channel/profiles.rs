//! What providers told of customers when asked, remembered for a while: two generations of a bounded number. Nothing
//! depends on it, and it may be forgotten at any time.

use std::{collections::BTreeMap, sync::Arc};

use channels::Attribute;

/// Customers of one generation.
const GENERATION_MAX: usize = 10_000;

/// Facts about customers, by the name that the provider gives them.
#[derive(Debug, Default)]
pub(super) struct Profiles([BTreeMap<Arc<str>, Vec<Attribute>>; 2]);

impl Profiles {
    /// What is known, if it was asked for.
    pub(super) fn of(&self, customer: &str) -> Option<Vec<Attribute>> {
        let [now, before] = &self.0;
        now.get(customer).or_else(|| before.get(customer)).cloned()
    }

    /// Remembers what was said; also that nothing was.
    pub(super) fn know(&mut self, customer: Arc<str>, said: Vec<Attribute>) {
        let [now, before] = &mut self.0;
        if now.len() >= GENERATION_MAX {
            *before = std::mem::take(now);
        }
        now.insert(customer, said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_generation_is_forgotten() {
        let mut profiles = Profiles::default();
        for n in 0..3 * GENERATION_MAX {
            profiles.know(format!("c{n}").into(), vec![("customerName".into(), format!("n{n}").into())]);
        }
        let known = |n: usize| profiles.of(&format!("c{n}")).map(|said| said[0].1.to_string());
        assert_eq!(known(3 * GENERATION_MAX - 1).as_deref(), Some("n29999"));
        assert_eq!(known(GENERATION_MAX).as_deref(), Some("n10000"));
        assert_eq!(known(GENERATION_MAX - 1), None);
    }
}
