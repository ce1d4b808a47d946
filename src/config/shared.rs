//! Own addresses that several channels have: SMS and WhatsApp on one number are usual. A message
//! that names only the address would be ambiguous, so the file must say which channel it means.

use std::{collections::BTreeMap, ops::Range};

use actors::config::ChannelConfig;

use super::section::Section;

/// A channel, and the place of its addresses in the file.
pub(super) type Placed = (ChannelConfig, Range<usize>);

/// Reports each group of channels with one address of which none, or more than one, is preferred.
pub(super) fn check(root: &Section<'_>, channels: &[Placed]) {
    let mut told: Vec<Vec<usize>> = Vec::new();
    for (address, group) in groups(channels) {
        if told.contains(&group) {
            continue;
        }
        let members = || group.iter().filter_map(|at| channels.get(*at));
        let preferred = members().filter(|(channel, _)| channel.preferred == Some(true)).count();
        let is_decided = preferred == 1 || members().all(|(channel, _)| channel.preferred == Some(false));
        let Some((last, span)) = members().next_back().filter(|_| !is_decided) else { continue };
        let others: Vec<String> = members()
            .filter(|(channel, _)| channel.id != last.id)
            .map(|(channel, _)| format!("{:?}", channel.id.as_str()))
            .collect();
        let (others, id) = (others.join(" and "), last.id.as_str());
        let fix = match preferred {
            0 => {
                "set preferred = true in the one for messages without channelTypeCode, or preferred = false in \
                 each if every message names it"
            }
            _ => "only one of them can be preferred = true",
        };
        let text = format!("[[channel]] {id:?} dids: {address:?} is also an address of {others}; {fix}");
        root.report(span, text);
        told.push(group);
    }
}

/// Returns the addresses that more than one sending channel has, with the places of these channels.
fn groups(channels: &[Placed]) -> Vec<(&str, Vec<usize>)> {
    let mut by_spelling: BTreeMap<String, Vec<(usize, &str)>> = BTreeMap::new();
    for (at, (channel, _)) in channels.iter().enumerate() {
        if channel.channel.sends().is_ok() {
            for did in &channel.dids {
                by_spelling.entry(rough(&did.number)).or_default().push((at, &did.number));
            }
        }
    }
    let shared = by_spelling.into_values().filter_map(|all| {
        let (first, address) = *all.first()?;
        let (channel, _) = channels.get(first)?;
        let has = |(at, number): &&(usize, &str)| {
            let other = channels.get(*at).map(|(other, _)| &other.channel);
            let is_same = |one: &dyn channels::Channel| one.did(address) == one.did(number);
            other.is_some_and(|other| is_same(&**other) || is_same(&*channel.channel))
        };
        let mut group: Vec<usize> = all.iter().filter(has).map(|(at, _)| *at).collect();
        group.dedup();
        (group.len() > 1).then_some((address, group))
    });
    shared.collect()
}

/// Returns a spelling that all spellings of an address share.
fn rough(address: &str) -> String {
    address
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect::<String>()
        .trim_start_matches("00")
        .to_lowercase()
}
