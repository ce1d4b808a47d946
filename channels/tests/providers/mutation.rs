//! Mutated webhooks and answers: nothing from outside makes a provider panic.

use channels::{
    WebhookUrls,
    http::{Response, Webhook},
};
use rand_pcg::{Pcg64Mcg, rand_core::RngCore};

use crate::{
    case::{Answer, Ask, Case, WEBHOOK_URL},
    conformance::{http, with_part},
    http_providers,
};

/// Mutations of each webhook and answer.
const MUTATIONS: usize = 500;

#[test]
fn nothing_from_outside_makes_a_provider_panic() {
    let mut rng = Pcg64Mcg::new(0x5eed);
    for (_, fixture) in http_providers() {
        for case in &fixture.cases {
            mutate(case, fixture.case("send_text"), &mut rng);
        }
    }
}

fn mutate(case: &Case, text: &Case, rng: &mut Pcg64Mcg) {
    let channel = case.channel();
    let http = http(&*channel);
    match &case.ask {
        Ask::Receive { body, .. } => case.webhook(|webhook| {
            for _ in 0..MUTATIONS {
                let body = mutated(body.as_bytes(), rng);
                let webhook = Webhook { body: &body, ..*webhook };
                let _any = (http.handshake(&webhook), http.verify(&webhook), http.receive(&webhook));
            }
        }),
        Ask::Send { answers, .. } => {
            for answer in answers {
                for _ in 0..MUTATIONS {
                    let response = mutated_answer(answer, rng);
                    let _any = with_part(text, &*channel, |part| http.answer(part, &[response]));
                }
            }
        }
        Ask::SetUp { answers, .. } => {
            let ours = WebhookUrls { webhook_url: WEBHOOK_URL, shared_url: WEBHOOK_URL };
            for _ in 0..MUTATIONS {
                let said: Vec<Response> = answers.iter().map(|answer| mutated_answer(answer, rng)).collect();
                let _any: Vec<_> = (0..=said.len()).map(|n| http.set_up(ours, &said[..n])).collect();
            }
        }
        Ask::Probe { answer } => {
            for _ in 0..MUTATIONS {
                let response = mutated_answer(answer, rng);
                let _any = (
                    http.parse_probe(&response),
                    http.parse_account(&response),
                    http.parse_addresses(&response),
                );
            }
        }
        _ => {}
    }
}

fn mutated_answer(answer: &Answer, rng: &mut Pcg64Mcg) -> Response {
    Response { body: mutated(answer.body.as_bytes(), rng).into(), ..answer.response() }
}

/// Flips, cuts, doubles or replaces a few octets.
fn mutated(octets: &[u8], rng: &mut Pcg64Mcg) -> Vec<u8> {
    const ODD: [&[u8]; 10] = [
        b"null",
        b"-1",
        b"1e999",
        b"{}",
        b"[]",
        b"\"\"",
        b"\xff\xfe",
        b"\\u0000",
        b"99999999999999999999",
        b"\\ud800",
    ];
    let mut out = octets.to_vec();
    for _ in 0..1 + rng.next_u32() % 3 {
        let at = rng.next_u32() as usize % (out.len() + 1);
        let end = (at + rng.next_u32() as usize % 12).min(out.len());
        match rng.next_u32() % 4 {
            0 if at < out.len() => out[at] ^= 1 << (rng.next_u32() % 8),
            1 => _ = out.drain(at..end),
            2 => {
                let again = out[at..end].to_vec();
                _ = out.splice(at..at, again);
            }
            _ => {
                let odd = ODD[rng.next_u32() as usize % ODD.len()];
                _ = out.splice(at..end, odd.iter().copied());
            }
        }
    }
    out
}
