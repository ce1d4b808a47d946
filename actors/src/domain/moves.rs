//! Decides what a change of a customer's address means: which session it concerns, which names lead
//! there from now on, which are free, and which other sessions lose an address. Pure: what is known
//! is an argument.
//!
//! Changes come repeated, late and in any order. Each has an instant by the provider's clock, and
//! what is known of a name since a later instant counts more.

use std::sync::Arc;

use message::{Address, Timestamp, event::CustomerMoved};

use crate::domain::names::{NameState, Names};

/// Maximum number of later changes that are followed from a name that was left again.
const FOLLOW_MAX: usize = 16;

/// A change of address, with canonical names.
pub(crate) struct Move {
    /// The names that the customer had.
    pub(crate) previous: Names,
    /// The names from now on; messages go to the first.
    pub(crate) names: Names,
    /// Names among `previous` that may get another owner.
    pub(crate) released: Names,
    /// The first of `names` as the business should see it.
    pub(crate) shown: Arc<str>,
    /// When it changed, by the provider's clock.
    pub(crate) at: Timestamp,
    /// Tells this change from every other one.
    pub(crate) change: u64,
}

/// The known names and sessions, as functions.
pub(crate) struct World<'a> {
    /// Where a name leads.
    pub(crate) state: &'a dyn Fn(&Arc<str>) -> Option<NameState>,
    /// When the customer of a session last wrote.
    pub(crate) heard: &'a dyn Fn(&Address) -> Option<Timestamp>,
    /// The address that a name makes.
    pub(crate) own: &'a dyn Fn(&Arc<str>) -> Address,
}

/// The decision about a change of address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MovePlan {
    /// The customer's session.
    pub(crate) address: Address,
    /// The change to record. `None`: a later one is known already.
    pub(crate) moved: Option<CustomerMoved>,
    /// Sessions whose customers lose an address, and whether they are the same customer's.
    pub(crate) displaced: Vec<(Address, bool)>,
}

/// Returns the address of a new customer, whose first name is in this state.
pub(crate) fn fresh(own: &Address, state: Option<&NameState>) -> Address {
    match state {
        Some(NameState::Released { change, .. }) => {
            Address::of_later_owner(own.channel.clone(), own.did.clone(), &own.customer, *change)
        }
        _ => own.clone(),
    }
}

/// Decides what a change of address means.
pub(crate) fn plan(change: &Move, world: &World<'_>) -> MovePlan {
    let mut owner = None;
    for name in &change.previous {
        match (world.state)(name) {
            // Another change, of later, says more.
            Some(NameState::Owned { address, since: Some(since) }) if since > change.at => {
                return outdated(address);
            }
            Some(NameState::Released { last, at, .. }) if at > change.at => return outdated(last),
            Some(NameState::Owned { address, .. }) => owner = owner.or(Some(address)),
            Some(NameState::Released { .. }) | None => {}
        }
    }
    let mut taken = Taken::default();
    for name in &change.names {
        take(name, change, world, owner.as_ref(), &mut taken);
    }
    let Taken { mut names, mut released, mut displaced, next, lost } = taken;
    let address = owner.unwrap_or_else(|| {
        // Nothing is known of the customer before; one who wrote from the new address since is it.
        match displaced.iter().position(|(_, same)| *same) {
            Some(at) => displaced.remove(at).0,
            None => {
                let first = change.previous.first().or(change.names.first());
                let own = first.map(|name| ((world.own)(name), (world.state)(name)));
                own.map_or_else(|| (world.own)(&"".into()), |(own, state)| fresh(&own, state.as_ref()))
            }
        }
    });
    // What nobody else gets still leads here, since now.
    let kept = change.previous.iter().filter(|name| {
        let state = || (world.state)(name);
        !change.released.contains(name) && state().is_none_or(|s| s.into_address() == address)
    });
    names.extend(kept.cloned());
    released.extend(change.released.iter().map(|name| (name.clone(), change.at)));
    released.retain(|(name, _)| !names.contains(name));
    let latest = released.iter().map(|(_, at)| *at).fold(change.at, Timestamp::max);
    let first = change.names.first().cloned().unwrap_or_else(|| "".into());
    let (reached, customer_shown) = match next {
        Some(next) => (next.clone(), next),
        None if lost => return outdated(address),
        None => (first, change.shown.clone()),
    };
    let moved = CustomerMoved {
        address: address.clone(),
        reached,
        customer_shown,
        names,
        released,
        at: latest,
        change: change.change,
    };
    MovePlan { address, moved: Some(moved), displaced }
}

/// Decides what the repetition of a change means: nothing, except that a crash may have come
/// between the two sessions' parts of it.
pub(crate) fn repeated(change: &Move, world: &World<'_>) -> MovePlan {
    let known = change.names.iter().chain(&change.previous).find_map(|name| (world.state)(name));
    let first = change.names.first().cloned().unwrap_or_else(|| "".into());
    let address = known.map_or_else(|| (world.own)(&first), NameState::into_address);
    let leads_there = |name: &&Arc<str>| matches!((world.state)(name), Some(NameState::Owned { address: to, .. }) if to == address);
    let own = change.names.iter().filter(leads_there).map(|name| (world.own)(name));
    let displaced = own.filter(|own| *own != address).map(|own| (own, true)).collect();
    MovePlan { displaced, ..outdated(address) }
}

fn outdated(address: Address) -> MovePlan {
    MovePlan { address, moved: None, displaced: Vec::new() }
}

#[derive(Default)]
struct Taken {
    names: Vec<Arc<str>>,
    released: Vec<(Arc<str>, Timestamp)>,
    displaced: Vec<(Address, bool)>,
    /// Where the customer went from the new address, which they left again.
    next: Option<Arc<str>>,
    /// Whether a later change knows the new address.
    lost: bool,
}

/// Takes a name for the customer.
fn take(name: &Arc<str>, change: &Move, world: &World<'_>, owner: Option<&Address>, taken: &mut Taken) {
    let mut name = name.clone();
    for _ in 0..FOLLOW_MAX {
        match (world.state)(&name) {
            // A later change knows the name: the customer was here, or another one came since.
            Some(NameState::Owned { since: Some(since), .. })
                if since > change.at && taken.next.is_none() =>
            {
                taken.lost = true;
                return;
            }
            Some(NameState::Owned { address, .. }) if Some(&address) == owner => {}
            Some(NameState::Owned { address, .. }) => {
                let same = taken.next.is_some() || is_same(&name, &address, change, world);
                taken.displace(address, same);
            }
            // They left it again before we learnt that they had come.
            Some(NameState::Released { last, next, at, .. }) if at > change.at && !next.is_empty() => {
                if Some(&last) != owner {
                    taken.displace(last, true);
                }
                taken.released.push((name, at));
                taken.next = Some(next.clone());
                name = next;
                continue;
            }
            Some(NameState::Released { .. }) | None => {}
        }
        if !taken.names.contains(&name) {
            taken.names.push(name);
        }
        return;
    }
}

impl Taken {
    fn displace(&mut self, address: Address, same: bool) {
        match self.displaced.iter_mut().find(|(known, _)| *known == address) {
            Some((_, known)) => *known |= same,
            None => self.displaced.push((address, same)),
        }
    }
}

/// Returns whether the session that a new name leads to is the customer's own, begun before the
/// change was told. A name that is never given away proves it; a number does when its owner wrote
/// since, or has never written.
fn is_same(name: &str, address: &Address, change: &Move, world: &World<'_>) -> bool {
    let is_number = name.bytes().all(|octet| octet.is_ascii_digit());
    !is_number || (world.heard)(address).is_none_or(|heard| heard >= change.at)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// The names and sessions of one DID.
    #[derive(Default)]
    struct Town {
        names: BTreeMap<Arc<str>, NameState>,
        heard: BTreeMap<Address, Timestamp>,
        reached: BTreeMap<Address, Arc<str>>,
        seen: BTreeSet<u64>,
    }

    fn own(name: &Arc<str>) -> Address {
        Address { channel: "wa".into(), did: "1".into(), customer: name.clone() }
    }

    fn number(n: usize) -> Arc<str> {
        format!("1555010{n:04}").into()
    }

    impl Town {
        fn write(&mut self, name: &Arc<str>, at: u64) -> Address {
            let state = self.names.get(name);
            if let Some(owner) = state.and_then(|state| state.owner_at(Some(Timestamp(at)))) {
                let owner = owner.clone();
                self.heard.insert(owner.clone(), Timestamp(at));
                return owner;
            }
            let address = fresh(&own(name), state);
            let owned = NameState::Owned { address: address.clone(), since: None };
            self.names.insert(name.clone(), owned);
            self.heard.insert(address.clone(), Timestamp(at));
            self.reached.insert(address.clone(), name.clone());
            address
        }

        fn hear_of(&mut self, change: &Move) -> MovePlan {
            let world = World {
                state: &|name| self.names.get(name).cloned(),
                heard: &|address| self.heard.get(address).copied(),
                own: &own,
            };
            if self.seen.contains(&change.change) {
                return repeated(change, &world);
            }
            let plan = plan(change, &world);
            self.seen.insert(change.change);
            if let Some(moved) = &plan.moved {
                for name in moved.names.iter().chain(moved.released.iter().map(|(name, _)| name)) {
                    self.names.insert(name.clone(), NameState::after(moved, name));
                }
                self.reached.insert(moved.address.clone(), moved.reached.clone());
            }
            plan
        }

        fn leads_to(&self, name: &Arc<str>) -> Address {
            self.names.get(name).cloned().map_or_else(|| own(name), NameState::into_address)
        }
    }

    fn change(from: &Arc<str>, to: &Arc<str>, at: u64) -> Move {
        let one = |name: &Arc<str>| Names::from_iter([name.clone()]);
        Move {
            previous: one(from),
            names: one(to),
            released: one(from),
            shown: to.clone(),
            at: Timestamp(at),
            change: at,
        }
    }

    /// Draws moves of people to numbers that nobody has at the time. Returns them with the numbers
    /// that each person had.
    fn moves(choices: &[(usize, usize)]) -> (Vec<Move>, Vec<Vec<Arc<str>>>) {
        let mut people: Vec<Vec<Arc<str>>> = (0..3).map(|n| vec![number(n)]).collect();
        let mut all = Vec::new();
        for ((who, to), at) in choices.iter().zip((1_000..).step_by(1_000)) {
            let to = number(*to);
            if people.iter().any(|numbers| numbers.last() == Some(&to)) {
                continue;
            }
            let from = people[*who].last().unwrap().clone();
            all.push(change(&from, &to, at));
            people[*who].push(to);
        }
        (all, people)
    }

    proptest! {
        /// Changes in order, each any number of times: everybody keeps their session and is reached
        /// at their newest number, and the next writer from a number that was left is another.
        #[test]
        fn everybody_keeps_their_session(
            choices in prop::collection::vec((0_usize..3, 0_usize..6), 0..12),
            repeats in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
        ) {
            let (moves, people) = moves(&choices);
            let mut town = Town::default();
            let sessions: Vec<Address> = people.iter().map(|numbers| town.write(&numbers[0], 0)).collect();
            for (n, one) in moves.iter().enumerate() {
                town.hear_of(one);
                for (which, when) in &repeats {
                    if when.index(moves.len()) == n {
                        town.hear_of(&moves[which.index(n + 1)]);
                    }
                }
            }
            let current: Vec<_> = people.iter().map(|numbers| numbers.last().unwrap().clone()).collect();
            for (session, number) in sessions.iter().zip(&current) {
                prop_assert_eq!(&town.leads_to(number), session);
                prop_assert_eq!(&town.reached[session], number);
            }
            for numbers in &people {
                for left in numbers.iter().filter(|number| !current.contains(number)) {
                    let stranger = town.write(left, 1_000_000);
                    prop_assert!(!sessions.contains(&stranger), "{} joins {}", left, stranger);
                    prop_assert_eq!(&town.reached[&stranger], left);
                }
            }
        }

        /// A chain of changes of one customer in any order: they are reached at the last number,
        /// and write from it in the same session.
        #[test]
        fn a_chain_in_any_order_ends_at_the_last_number(
            order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(),
            length in 1_usize..6,
        ) {
            let mut town = Town::default();
            town.write(&number(0), 0);
            for n in order.into_iter().filter(|n| *n < length) {
                let at = (n as u64 + 1) * 1_000;
                town.hear_of(&change(&number(n), &number(n + 1), at));
            }
            let session = town.leads_to(&number(length));
            prop_assert_eq!(&town.reached[&session], &number(length));
            let later = town.write(&number(length), 1_000_000);
            prop_assert_eq!(later, session);
        }
    }

    #[test]
    fn what_is_told_later_of_an_earlier_change_says_less() {
        let [a, b, c] = [number(0), number(1), number(2)];
        let mut town = Town::default();
        let ann = town.write(&a, 0);
        town.hear_of(&change(&a, &c, 5_000));
        let late = town.hear_of(&change(&a, &b, 1_000));
        assert_eq!((late.moved, late.displaced, late.address), (None, vec![], ann.clone()));
        assert_eq!(town.reached[&ann], c);
        // Another customer took the number that Ann is told to have gone to, and later.
        let bob = town.write(&number(3), 0);
        town.hear_of(&change(&number(3), &number(4), 9_000));
        let late = town.hear_of(&change(&c, &number(4), 8_000));
        assert_eq!((late.moved, late.displaced), (None, vec![]));
        assert_eq!(town.leads_to(&number(4)), bob);
    }
}
