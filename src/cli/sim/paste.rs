//! The text that a simulator prints for `config.toml`: few lines, ready to be pasted.

/// The widest line with a whole account, in characters.
const ACCOUNT_WIDTH_MAX: usize = 140;

/// Shortens the text of a channel: without a name, and with the account on one line where it fits.
pub(super) fn compact(channel: &str) -> String {
    let (head, rest) = channel.split_once("[channel.account]\n").unwrap_or((channel, ""));
    let end = rest.find("\n[").map_or(rest.len(), |at| at + 1);
    let (account, further) = rest.split_at(end);
    let mut text: String =
        head.lines().filter(|line| !line.starts_with("name = ")).map(|line| format!("{line}\n")).collect();
    let values: Vec<&str> = account.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let inline = format!("account = {{ {} }}\n", values.join(", "));
    let is_one_line = !values.iter().any(|line| line.starts_with('#') || line.contains(" #"));
    if is_one_line && inline.chars().count() <= ACCOUNT_WIDTH_MAX {
        text.push_str(&inline);
    } else {
        text.push_str("[channel.account]\n");
        text.push_str(account);
    }
    text.push_str(further);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_account_takes_one_line_and_nothing_is_lost() {
        let long = format!("b = {:?}\n", "x".repeat(200));
        for (account, further, lines) in [
            ("a = \"1\"\nb = 2\n", "", 4),
            ("a = \"1\"\nb = 2\n", "[channel.http]\nallow_private = [\"127.0.0.1\"]\n", 6),
            (&*format!("a = \"1\"\n{long}"), "[channel.http]\nset_up = false\n", 8),
        ] {
            let whole = format!(
                "[[channel]]\nid = \"x\"\nname = \"X\"\ndids = [\"1\"]\n[channel.account]\n{account}{further}"
            );
            let short = compact(&whole);
            assert_eq!(short.lines().count(), lines, "{short}");
            let read = |text: &str| -> toml::Table { text.parse().unwrap_or_else(|e| panic!("{e}\n{text}")) };
            let (mut whole, short) = (read(&whole), read(&short));
            whole["channel"][0].as_table_mut().unwrap().remove("name");
            assert_eq!(whole, short);
        }
    }
}
