//! Circles in a graph of imports.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the circles: sets of at least two nodes, each of which reaches every other one.
pub fn circles(arrows: &BTreeSet<(usize, usize)>) -> Vec<BTreeSet<usize>> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    for &(from, to) in arrows {
        next.entry(from).or_default().push(to);
        nodes.extend([from, to]);
    }
    let reach: BTreeMap<usize, BTreeSet<usize>> =
        nodes.iter().map(|&node| (node, reachable(node, &next))).collect();
    let mut circles: Vec<BTreeSet<usize>> = Vec::new();
    let mut seen = BTreeSet::new();
    for &node in &nodes {
        if seen.contains(&node) {
            continue;
        }
        let reaches = |from: usize, to: usize| reach.get(&from).is_some_and(|set| set.contains(&to));
        let circle: BTreeSet<usize> =
            nodes.iter().copied().filter(|&other| reaches(node, other) && reaches(other, node)).collect();
        seen.extend(circle.iter().copied());
        if circle.len() > 1 {
            circles.push(circle);
        }
    }
    circles
}

fn reachable(from: usize, next: &BTreeMap<usize, Vec<usize>>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        for &to in next.get(&node).map(Vec::as_slice).unwrap_or_default() {
            if seen.insert(to) {
                open.push(to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_circle_and_leaves_a_chain_alone() {
        assert_eq!(circles(&BTreeSet::from([(1, 2), (2, 3), (1, 3)])), Vec::<BTreeSet<usize>>::new());
        let found = circles(&BTreeSet::from([(1, 2), (2, 3), (3, 2), (3, 4), (5, 6), (6, 7), (7, 5)]));
        assert_eq!(found, [BTreeSet::from([2, 3]), BTreeSet::from([5, 6, 7])]);
    }
}
