//! Prints the nanoseconds to parse and to write one CIM message: the best of several rounds.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is not a library")]

use std::{hint::black_box, time::Instant};

use message::{
    Content, Timestamp,
    cim::{self, write},
};

const FULL: &str = r#"{"id":"5f0c1f2e-6d2b-4b7e-9a61-0a7b6a1d9c01","header":{"channelData":{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"5155","requestPriority":0,"additionalAttributes":[]},"sender":{"id":"460df46c-0000-11ed-afa1-0242ac120002","type":"CONNECTOR","senderName":"WEB_CONNECTOR","additionalDetail":null},"language":{},"timestamp":1760000000000,"securityInfo":{},"stamps":[],"intent":null,"entities":{},"channelSessionId":null,"conversationId":"63c0ea05-4878-4d65-b6e0-2564ec29fc89","customer":null,"originalMessageId":null,"providerMessageId":null,"schedulingMetaData":null,"roomId":null},"body":{"type":"PLAIN","markdownText":"Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm, 2 to choose another day, please."}}"#;
const SHORT: &str = r#"{"id":"m-1","header":{"channelData":{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"5155"}},"body":{"type":"PLAIN","markdownText":"Your parcel arrives between 10:00 and 12:00 today."}}"#;
const BUTTON: &str = r#"{"id":"m-1","header":{"channelData":{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"5155"}},"body":{"type":"BUTTON","markdownText":"Choose","buttonMessageType":"QUICK_REPLIES","additionalDetails":null,"buttons":[{"type":"String","title":"Sales","payload":"go-sales","additionalButtonDetails":null},{"type":"String","title":"Help","payload":"go-help"}]}}"#;

fn measure(name: &str, bytes: usize, mut work: impl FnMut()) {
    const ITERATIONS: u32 = 50_000;
    let mut best = u128::MAX;
    for _ in 0..7 {
        let begun = Instant::now();
        for _ in 0..ITERATIONS {
            work();
        }
        best = best.min(begun.elapsed().as_nanos() / u128::from(ITERATIONS));
    }
    println!("{name:<40} {best:>6} ns  {bytes:>5} bytes");
}

fn main() {
    for (name, json) in [("full header", FULL), ("short header", SHORT), ("buttons", BUTTON)] {
        measure(&format!("parse, {name}"), json.len(), || {
            black_box(cim::parse(black_box(json.as_bytes())).unwrap());
        });
    }
    let button = cim::parse(BUTTON.as_bytes()).unwrap().content;
    measure("plain_text_of, buttons", BUTTON.len(), || {
        black_box(cim::plain_text_of(black_box(&button)).unwrap());
    });
    let content =
        Content::Text("Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm.".into());
    measure("plain_text_of, plain", 70, || {
        black_box(cim::plain_text_of(black_box(&content)).unwrap());
    });
    let head = write::Head {
        id: "5f0c1f2e-6d2b-4b7e-9a61-0a7b6a1d9c01",
        connector_id: "sms-main",
        connector_name: "Main SMS",
        customer: "+4917600000001",
        service_identifier: "5155",
        timestamp: Timestamp(1_760_000_000_000),
        ..write::Head::default()
    };
    let mut out = Vec::with_capacity(2_048);
    write::write_inbound(&mut out, &head, &write::Inbound::default(), &content);
    measure("write_inbound", out.len(), || {
        out.clear();
        write::write_inbound(&mut out, black_box(&head), &write::Inbound::default(), &content);
        black_box(&out);
    });
    let report = write::Report {
        failure: None,
        message_id: "63c0ea05-4878-4d65-b6e0-2564ec29fc89",
        outcome: write::Outcome::Delivered,
        reason_code: "200",
        text: None,
    };
    measure("write_notification", out.len(), || {
        out.clear();
        write::write_notification(&mut out, black_box(&head), &report);
        black_box(&out);
    });
}
