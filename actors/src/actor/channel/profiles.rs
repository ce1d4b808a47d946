//! A cache of customers' profiles, as the provider gave them: two generations, limited in size. It
//! may be dropped at any time.

use std::{collections::BTreeMap, sync::Arc};

use channels::Attribute;

/// Maximum number of customers in one generation; a full one replaces the older.
const GENERATION_MAX: usize = 10_000;

/// Attributes of customers, by the provider's name for them.
#[derive(Debug, Default)]
pub(crate) struct Profiles([BTreeMap<Arc<str>, Vec<Attribute>>; 2]);

impl Profiles {
    /// Returns a customer's attributes, if they were asked for.
    pub(crate) fn of(&self, customer: &str) -> Option<Vec<Attribute>> {
        let [now, before] = &self.0;
        now.get(customer).or_else(|| before.get(customer)).cloned()
    }

    /// Stores a customer's attributes; an empty list too, so that the provider is not asked again.
    pub(crate) fn store(&mut self, customer: Arc<str>, said: Vec<Attribute>) {
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
            profiles.store(format!("c{n}").into(), vec![("customerName".into(), format!("n{n}").into())]);
        }
        let known = |n: usize| profiles.of(&format!("c{n}")).map(|said| said[0].1.to_string());
        assert_eq!(known(3 * GENERATION_MAX - 1).as_deref(), Some("n29999"));
        assert_eq!(known(GENERATION_MAX).as_deref(), Some("n10000"));
        assert_eq!(known(GENERATION_MAX - 1), None);
    }
}
