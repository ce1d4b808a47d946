//! The keys that a draft lacks, told by the check of configurations itself: `init` knows no
//! provider's keys.

use std::path::Path;

use super::draft::{Draft, DraftChannel};
use crate::{config, run::Failure};

/// The largest number of keys that are asked for.
pub(super) const KEYS_MAX: usize = 200;

/// Something that a draft lacks.
pub(super) enum Missing {
    /// A key of an account.
    Key { channel: String, key: String, secret: bool },
    /// The address at which providers reach Patchbay.
    PublicUrl,
}

/// Returns the first thing that a draft lacks; `None` when nothing is missing. Numbers lose their
/// quotes where the account expects that.
///
/// # Errors
/// A value is wrong.
pub(super) fn first(draft: &mut Draft) -> Result<Option<Missing>, Failure> {
    let mut problems = problems(draft);
    if problems.iter().any(|problem| !is_about_missing(problem)) {
        problems = without_quotes(draft, problems);
    }
    for channel in &mut draft.channels {
        let place = format!("[[channel]] {:?} ", channel.id);
        for problem in problems.iter().filter_map(|problem| problem.strip_prefix(&*place)) {
            if problem.starts_with("unsigned: is missing") {
                channel.unsigned = true;
                return first(draft);
            }
            let account = problem.strip_prefix("account ").filter(|problem| is_about_missing(problem));
            if let Some((key, _)) = account.and_then(|problem| problem.split_once(": ")) {
                return Ok(Some(Missing::Key {
                    channel: channel.id.clone(),
                    key: key.to_owned(),
                    secret: is_secret(channel, key),
                }));
            }
        }
    }
    if problems.iter().any(|problem| problem.contains("public_url")) && draft.public_url.is_none() {
        return Ok(Some(Missing::PublicUrl));
    }
    match problems.as_slice() {
        [] => Ok(None),
        problems => Err(Failure::Usage(problems.join("\n"))),
    }
}

fn is_about_missing(problem: &str) -> bool {
    problem.contains(": is missing") || problem.contains(": is empty")
}

fn is_secret(channel: &DraftChannel, key: &str) -> bool {
    channels::provider(&channel.provider).is_some_and(|provider| provider.secrets.contains(&key))
}

fn problems(draft: &Draft) -> Vec<String> {
    match config::parse(&draft.examined(), "the draft", Path::new("")) {
        Ok(_) => Vec::new(),
        Err(e) => e.problems.into_iter().map(|(_, problem)| problem).collect(),
    }
}

/// Writes each value that may be a number or a truth value without quotes, where that changes the
/// problems. Returns those that are left.
fn without_quotes(draft: &mut Draft, mut problems: Vec<String>) -> Vec<String> {
    for at in 0..draft.channels.len() {
        for value in 0..draft.channels.get(at).map_or(0, |channel| channel.account.len()) {
            let turn = |draft: &mut Draft| {
                let found = draft.channels.get_mut(at).and_then(|channel| channel.account.get_mut(value));
                let found = found.filter(|value| value.bare || value.may_be_bare());
                found.map(|value| value.bare = !value.bare).is_some()
            };
            if !turn(draft) {
                continue;
            }
            let now = self::problems(draft);
            let is_better = now.len() < problems.len() || (now.len() == problems.len() && now != problems);
            if is_better && !now.iter().any(|problem| problem.contains("expected a string")) {
                problems = now;
            } else {
                turn(draft);
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(channel: &str, settings: &[&str]) -> Draft {
        let mut draft = Draft::default();
        draft.add_channel(channel).unwrap();
        for setting in settings {
            draft.set(setting).unwrap();
        }
        draft
    }

    #[test]
    fn what_every_provider_needs_is_found_and_then_it_is_valid() {
        for provider in channels::PROVIDERS.iter() {
            let own = if provider.name == "smpp" { "5155" } else { "+15550100001" };
            let mut draft = draft(&format!("one={}:{own}", provider.name), &[]);
            let mut asked = Vec::new();
            let ended = loop {
                match first(&mut draft) {
                    Ok(Some(Missing::PublicUrl)) => draft.public_url = Some("https://example.org".into()),
                    Ok(Some(Missing::Key { channel, key, .. })) => {
                        assert!(!asked.contains(&key), "{}: {key} is asked for twice", provider.name);
                        draft.put(&channel, &key, super::super::draft::PLACEHOLDER).unwrap();
                        asked.push(key);
                    }
                    Ok(None) => break Ok(()),
                    Err(why) => break Err(why.to_string()),
                }
            };
            assert!(!asked.is_empty(), "{} needs no key", provider.name);
            // A stand-in may have the wrong form for a key or a URL: that is told, with the key.
            if let Err(why) = ended {
                assert!(why.contains("[[channel]] \"one\""), "{}: {why}", provider.name);
            }
        }
    }

    #[test]
    fn numbers_lose_their_quotes_where_a_number_is_expected() {
        let given = ["one.host=h", "one.system_id=12345", "one.password=1", "one.port=2776", "one.tls=true"];
        let mut draft = draft("one=smpp:5155", &given);
        assert!(first(&mut draft).unwrap().is_none());
        let text = draft.text();
        for line in ["system_id = \"12345\"", "password = \"1\"", "port = 2776", "tls = true"] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}:\n{text}");
        }
    }
}
