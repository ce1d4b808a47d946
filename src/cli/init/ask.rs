//! Questions at a terminal.

use std::io::{BufRead, Read};

use crate::{console, run::Failure};

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 8_192;
/// How often a question is repeated after a wrong answer.
const TRIES_MAX: usize = 5;

/// Asks, and reads the answers.
pub(super) struct Asker<'a> {
    input: &'a mut dyn BufRead,
}

impl<'a> Asker<'a> {
    pub(super) fn new(input: &'a mut dyn BufRead) -> Self {
        Self { input }
    }

    /// Tells what the next questions are about.
    pub(super) fn say(&self, text: &str) {
        console::error(format!("\n{text}"));
    }

    /// Asks for a text; an empty answer is the default.
    pub(super) fn text(&mut self, question: &str, default: Option<&str>) -> Result<String, Failure> {
        self.checked(question, default, |answer| Ok(answer.to_owned()))
    }

    /// Asks until the answer passes a check.
    pub(super) fn checked(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        let hint = default.filter(|default| !default.is_empty());
        let hint = hint.map(|default| format!(" [{default}]")).unwrap_or_default();
        let mut last = Failure::Usage(format!("{question}: no answer was given"));
        for _ in 0..TRIES_MAX {
            console::prompt(format!("  {question}{hint}: "));
            let answer = self.line()?;
            match (answer.trim(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => {}
                (answer, _) => match check(answer) {
                    Ok(answer) => return Ok(answer),
                    Err(why) => {
                        console::error(format!("  {why}"));
                        last = why;
                    }
                },
            }
        }
        Err(last)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut answer = String::new();
        let input: &mut dyn BufRead = &mut *self.input;
        let read = input.take(ANSWER_BYTES_MAX).read_line(&mut answer);
        match read {
            Ok(0) => Err(Failure::Usage(
                "the input ended before all questions were answered; nothing is written".into(),
            )),
            Ok(_) => Ok(answer),
            Err(e) => Err(Failure::Usage(format!("the answer cannot be read: {e}"))),
        }
    }
}
