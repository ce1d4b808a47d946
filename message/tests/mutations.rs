//! Mutated CIM messages and arbitrary bytes: parsing, adapting and writing must never panic or run
//! long. The seed is printed; `SEED=` repeats a run, `FUZZ_SECONDS=` (default 1) makes it longer.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly on its own mistake")]

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use message::{
    Content,
    cim::{self, write},
};

const STARTS: &[&str] = &[
    r#"{"id":"m1","header":{"channelData":{"channelCustomerIdentifier":"+49","serviceIdentifier":"5155","requestPriority":"7","additionalAttributes":[{"key":"sendAt","type":"String50","value":"2026-01-05T10:00:00Z"}]},"sender":{"id":"a","type":"AGENT","senderName":"b"},"timestamp":"1","intent":"REPLY_TO","originalMessageId":"m0","schedulingMetaData":{"validityPeriod":"2h"}},"body":{"type":"PLAIN","markdownText":"**Hi** \u00e9 [a](https://x.example)"}}"#,
    r#"{"header":{"channelSession":{"channelData":{"channelCustomerIdentifier":1,"serviceIdentifier":2}},"channelsessionId":"s"},"body":{"type":"BUTTON","markdownText":"Choose","buttons":[{"type":"String","title":"Sales","payload":"go"},{"type":"url","title":"x","payload":"https://x"}],"additionalDetails":{"interactive":{"type":"list","header":{"text":"h"}}}}}"#,
    r#"{"header":{"channelData":{"channelCustomerIdentifier":"c","serviceIdentifier":"s"}},"body":{"type":"CAROUSEL","elements":[{"text":"Red","url":"u","buttons":[{"type":"p","title":"Buy","payload":"b"}],"defaultAction":{"url":"v"}}]}}"#,
    r#"{"header":{"channelData":{"channelCustomerIdentifier":"c","serviceIdentifier":"s"}},"body":{"type":"CONTACT","contacts":[{"name":{"formattedName":"A"},"phones":[{"phone":"1"}],"additionalContactDetails":{"emails":[{"email":"e"}]}}]}}"#,
    r#"{"header":{"channelData":{"channelCustomerIdentifier":"c","serviceIdentifier":"s"}},"body":{"type":"LOCATION","location":{"latitude":1e2,"longitude":-7.1}}}"#,
];

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "\\ud83d",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "\"\"",
    "{}",
    "[]",
    "\u{feff}",
    "é",
    "😀",
    "\n",
    "\"type\"",
    "\"body\"",
    "\"header\"",
    "**",
    "_",
    "](",
    "PLAIN",
    "IMAGE",
    "TEMPLATE",
    "EMAIL",
    "DELIVERYNOTIFICATION",
    "+01:00",
    "18446744073709551615",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            1 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(1 + random.below(3));
                bytes.splice(at..at, piece.into_bytes());
            }
            3 => {
                let end = (at + random.below(60)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => bytes.truncate(at),
        }
    }
}

fn exercise(bytes: &[u8]) -> bool {
    let _ = black_box(cim::items(bytes));
    let message = match cim::parse(bytes) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.to_string().len() < 1_000, "{error}");
            return false;
        }
    };
    if let Ok(adapted) = black_box(cim::plain_text_of(&message.content)) {
        black_box(cim::choice(&adapted.choices, "1"));
    }
    let mut out = Vec::new();
    let head = write::Head {
        customer: &message.customer,
        service_identifier: &message.service_identifier,
        channel_data_json: message.channel_data_json.as_deref(),
        ..write::Head::default()
    };
    write::write_inbound(&mut out, &head, &write::Inbound::default(), &message.content);
    // An intent alone may have an empty text, a message may not; all else is accepted again.
    let again = cim::parse(&out);
    let empty = matches!(&message.content, Content::Text(text) if text.trim().is_empty());
    assert!(empty || again.as_ref().is_ok_and(|again| again.content == message.content), "{again:?}");
    true
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test draws its seed and bounds its own time by the clock")]
fn mutated_messages_never_panic() {
    let drawn = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(drawn);
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut runs, mut taken) = (0u64, 0u64);
    for start in STARTS {
        assert!(exercise(start.as_bytes()), "{start}");
    }
    while Instant::now() < end {
        for _ in 0..64 {
            let mut bytes = STARTS[random.below(STARTS.len())].as_bytes().to_vec();
            mutate(&mut random, &mut bytes);
            // A busy machine may pause the test for seconds, but not three times at one input.
            let is_slow = |_| {
                let begun = Instant::now();
                taken += u64::from(exercise(&bytes));
                begun.elapsed() >= Duration::from_secs(2)
            };
            assert!(!(0..3).all(is_slow), "too slow: {}", String::from_utf8_lossy(&bytes));
            runs += 1;
        }
        let noise: Vec<u8> = (0..random.below(200)).map(|_| random.below(256) as u8).collect();
        exercise(&noise);
    }
    println!("{runs} messages, {taken} of them still readable");
    assert!(taken > 0 && taken < runs, "the mutations must reach both sides: {taken} of {runs}");
}
