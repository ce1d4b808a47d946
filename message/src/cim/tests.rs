//! The samples of the CIM documentation, a table of refused messages with their error texts, and
//! round trips.

use proptest::prelude::*;

use super::{
    body::{Buttons, Carousel, DeliveryNotification, Location, Media, read},
    write::{FailureReport, Head, Inbound, Outcome, Report},
    *,
};
use crate::{
    content::{BodyType, Content},
    event::{SmsHandling, SmsPorts},
    id::Timestamp,
};

const SAMPLE: &str = r#"{"id":"5f0c1f2e-6d2b-4b7e-9a61-0a7b6a1d9c01",
 "header":{
  "channelData":{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"5155",
    "requestPriority":0,"customerFirstName":"Ann","customerLastName":"Doe",
    "additionalAttributes":[{"key":"city","type":"String50","value":"Bonn"}]},
  "sender":{"id":"460df46c-0000-11ed-afa1-0242ac120002","type":"CONNECTOR","senderName":"WEB_CONNECTOR","additionalDetail":null},
  "language":{},"timestamp":1760000000000,"securityInfo":{},"stamps":[],"intent":null,"entities":{},
  "channelSessionId":null,"conversationId":null,"customer":null,
  "originalMessageId":null,"providerMessageId":"wamid.X1","schedulingMetaData":null,"roomId":null},
 "body":{"type":"PLAIN","markdownText":"Hello"}}"#;

/// The sample of the seed as published; a comma is missing.
const SEED: &str = r#"{
    "id": "63c0ea05-4878-4d65-b6e0-2564ec29fc89",
	"header": {
     "channelData": {
      "channelCustomerIdentifier": "secret-number",
      "serviceIdentifier": "5155"
    },
	"schedulingMetaData": null
    "conversationId": null
}
}"#;

const BODIES: &[(&str, BodyType, Result<&str, &str>)] = &[
    (
        r#"{"type":"IMAGE","caption":"shelf","markdownText":null,"additionalDetails":null,
        "attachment":{"mediaUrl":"https://cx.example.org/a1.png","thumbnail":null,
        "mimeType":"image/png","size":20480,"mediaLabel":"shelf","mediaName":"a1.png"}}"#,
        BodyType::Image,
        Ok("shelf\nhttps://cx.example.org/a1.png"),
    ),
    (
        r#"{"type":"BUTTON","markdownText":"Choose","buttonMessageType":"QUICK_REPLIES","additionalDetails":null,
        "buttons":[{"type":"String","title":"Sales","payload":"go-sales","additionalButtonDetails":null},
        {"type":"url","title":"Shop","payload":"https://x.example"},{"type":"String","title":"Help","payload":"go-help"}]}"#,
        BodyType::Button,
        Ok("Choose\n1. Sales\nShop: https://x.example\n2. Help"),
    ),
    (
        r#"{"type":"Carousel","carouselMessageType":"GENERIC_RICH_MEDIA","markdownText":null,"additionalDetails":null,
        "elements":[{"text":"Red shoe","url":"https://x.example/1.png","buttons":[{"type":"url","title":"Buy","payload":"https://x.example/1"}],
        "defaultAction":{"type":"web_url","url":"https://x.example/1"},"additionalCarouselElementDetails":{"subtitle":"size 42"}},
        {"text":"Hat","buttons":[{"type":"postback","title":"Reserve","payload":"r2"}]}]}"#,
        BodyType::Carousel,
        Ok("1. Red shoe - size 42\nBuy: https://x.example/1\n2. Hat\n2a. Reserve"),
    ),
    (
        r#"{"type":"LOCATION","location":{"latitude":50.7,"longitude":"7.1"},
        "additionalDetails":{"name":"Office","address":"Street 1"}}"#,
        BodyType::Location,
        Ok("Office\nStreet 1\n50.7,7.1"),
    ),
    (
        r#"{"type":"CONTACT","contacts":[{"name":{"formattedName":"Ann Doe"},"phones":[{"phone":"+4917"}],
        "additionalContactDetails":{"emails":[{"email":"a@x.example"}],"org":null,"urls":null}}]}"#,
        BodyType::Contact,
        Ok("Ann Doe\n+4917\na@x.example"),
    ),
    (r#"{"type":"URL","mediaURL":"https://x.example"}"#, BodyType::Url, Ok("https://x.example")),
    (
        r#"{"type":"STICKER","stickerId":"7"}"#,
        BodyType::Sticker,
        Err("a STICKER body is not sent as text: it has no content that can be sent as text"),
    ),
    (
        r#"{"type":"TEMPLATE","namespace":"n","name":"hi","language":{"code":"en"},"components":[]}"#,
        BodyType::Template,
        Err("a TEMPLATE body is not sent as text: it has no markdownText to send in its place"),
    ),
    (
        r#"{"type":"TEMPLATE","namespace":"n","name":"hi","markdownText":"*Hi*"}"#,
        BodyType::Template,
        Ok("Hi"),
    ),
    (
        r#"{"type":"EMAIL","from":"a@x.example","replyTo":[],"receivingDate":1,"subject":"S","markdownText":"T"}"#,
        BodyType::Email,
        Ok("S\nT"),
    ),
    (
        r#"{"type":"WRAPUP","markdownText":"","wrapups":[{"categoryName":"Issue","value":"outage"}],"note":"call back"}"#,
        BodyType::WrapUp,
        Err("a WRAPUP body is not sent as text: it is internal"),
    ),
    (
        r#"{"type":"DELIVERYNOTIFICATION","markdownText":null,"messageId":"5f0c","status":"Read","reasonCode":200}"#,
        BodyType::DeliveryNotification,
        Err("a DELIVERYNOTIFICATION body is not sent as text: it is a report, not a message"),
    ),
    (
        r#"{"type":"NOTIFICATION","markdownText":null,"notificationType":"TYPING_STARTED"}"#,
        BodyType::Notification,
        Err("a NOTIFICATION body is not sent as text: it is an event, not a message"),
    ),
    (
        r#"{"type":"HOLOGRAM","markdownText":{"any":1},"more":[1]}"#,
        BodyType::Unknown,
        Err(
            "a \"HOLOGRAM\" body is not sent as text: body.type is not known; expected one of PLAIN, IMAGE, VIDEO, AUDIO, FILE, MULTIMEDIA, STICKER, LOCATION, CONTACT, URL, BUTTON, CAROUSEL, TEMPLATE, RECEIPT, EMAIL, COMMENT, CUSTOM",
        ),
    ),
];

fn with_body(body: &str) -> String {
    format!(
        r#"{{"id":"m1","header":{{"channelData":{{"channelCustomerIdentifier":"+49","serviceIdentifier":"5155"}}}},"body":{body}}}"#
    )
}

fn with_header(rest: &str) -> String {
    format!(
        r#"{{"header":{{"channelData":{{"channelCustomerIdentifier":"+49","serviceIdentifier":"5155"}}{rest}}},"body":{{"type":"PLAIN","markdownText":"a"}}}}"#
    )
}

fn with_channel_data(data: &str) -> String {
    format!(r#"{{"header":{{"channelData":{data}}},"body":{{"type":"PLAIN","markdownText":"a"}}}}"#)
}

#[test]
fn the_sample_is_read() {
    let message = parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(message.id, Some("5f0c1f2e-6d2b-4b7e-9a61-0a7b6a1d9c01".into()));
    assert_eq!((&*message.customer, &*message.service_identifier), ("+4917600000001", "5155"));
    assert_eq!(message.intent, Intent::None);
    assert_eq!(message.priority, Some(0));
    assert_eq!(message.timestamp, Some(Timestamp(1_760_000_000_000)));
    assert_eq!(message.provider_message_id.as_deref(), Some("wamid.X1"));
    assert_eq!(message.sender.unwrap().kind, SenderKind::Connector);
    assert_eq!(message.content, Content::Text("Hello".into()));
    assert!(message.channel_data_json.unwrap().contains("Bonn"));
}

#[test]
fn every_body_is_parsed_and_adapted() {
    for (json, body_type, text) in BODIES {
        let message = parse(with_body(json).as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
        let kept = Content::Rich { body_type: *body_type, json: (*json).into() };
        assert_eq!(message.content, kept);
        let adapted = plain_text_of(&message.content);
        match (text, adapted) {
            (Ok(text), Ok(adapted)) => assert_eq!(*text, adapted.text),
            (Err(reason), Err(error)) => assert_eq!(*reason, error.to_string()),
            (_, adapted) => panic!("{json}: {adapted:?}"),
        }
    }
    let said = plain_text_of(&Content::Text("**Hi**, 2*3*4".into())).unwrap().text.into_owned();
    assert_eq!(said, "Hi, 2*3*4");
}

#[test]
fn rich_bodies_are_parsed_into_types() {
    let media: Media<'_> = read(BODIES[0].0).unwrap();
    assert_eq!((media.words(), media.attachment.size.0), ("shelf", Some(20_480.0)));
    let buttons: Buttons<'_> = read(BODIES[1].0).unwrap();
    assert_eq!(&*buttons.buttons[2].payload, "go-help");
    let cards: Carousel<'_> = read(BODIES[2].0).unwrap();
    assert_eq!(&*cards.elements[0].default_action.url, "https://x.example/1");
    let report: DeliveryNotification<'_> = read(BODIES[11].0).unwrap();
    assert_eq!((&*report.reason_code, &*report.status), ("200", "Read"));
    let place: Location<'_> = read(r#"{"location":[1],"additionalDetails":"x"}"#).unwrap();
    assert_eq!(place.location.latitude.0, None);
}

#[test]
fn an_answer_to_a_numbered_list_is_its_payload() {
    let content = |at: usize| Content::Rich { body_type: BODIES[at].1, json: BODIES[at].0.into() };
    let payload = |at, answer| {
        let choices = plain_text_of(&content(at)).unwrap().choices;
        choice(&choices, answer).map(|index| choices[index].payload.to_string())
    };
    assert_eq!(payload(1, " 2. "), Some("go-help".to_owned()));
    assert_eq!(payload(1, "sales"), Some("go-sales".to_owned()));
    assert_eq!(payload(1, "3"), None);
    assert_eq!(payload(2, "2A"), Some("r2".to_owned()));
    assert_eq!(payload(2, "2"), Some("r2".to_owned()));
    assert_eq!(payload(2, "1"), None);
    assert_eq!(payload(3, "1"), None);
}

#[test]
fn older_and_looser_spellings_are_read() {
    let older = r#"{"id":77,"header":{"channelSession":{"id":"cs1","conversationId":"c1","customer":{"_id":"u"},
        "channelData":{"channelCustomerIdentifier":4917600000001,"serviceIdentifier":"5155","channelTypeCode":"SMS","requestPriority":"7"}},
        "topicId":"t","replyToMessageId":"m0","intent":"reply_to","timestamp":"","sender":{"id":"a7","type":"agent","senderName":"Ann"}},
        "body":{"type":"plain","markdownText":"a"}}"#;
    let message = parse(older.as_bytes()).unwrap();
    assert_eq!(message.id, Some("77".into()));
    assert_eq!(&*message.customer, "4917600000001");
    assert_eq!(message.channel_type.as_deref(), Some("SMS"));
    assert_eq!(message.channel_session_id.as_deref(), Some("cs1"));
    assert_eq!(message.conversation_id.as_deref(), Some("c1"));
    assert_eq!((message.intent, message.original_message_id), (Intent::ReplyTo, Some("m0".into())));
    assert_eq!((message.priority, message.timestamp), (Some(7), None));
    assert_eq!(message.sender.unwrap().kind, SenderKind::Agent);

    let message = parse(with_header(r#","channelsessionId":"s","timestamp":"1760000000000""#).as_bytes());
    let message = message.unwrap();
    assert_eq!(message.channel_session_id.as_deref(), Some("s"));
    assert_eq!(message.timestamp, Some(Timestamp(1_760_000_000_000)));
    assert_eq!((message.id, message.channel_data_json), (None, None));

    let free = parse(with_header(r#","intent":"find_agent""#).as_bytes()).unwrap();
    assert_eq!(free.intent, Intent::Other("FIND_AGENT".into()));
    for body in ["null", "{}", r#"{"type":"PLAIN","markdownText":null}"#] {
        let json = with_body(body).replace(r#""header":{"#, r#""header":{"intent":"end_chat","#);
        let message = parse(json.as_bytes()).unwrap();
        assert_eq!((message.intent, message.content), (Intent::EndChat, Content::Text("".into())));
    }
}

#[test]
fn scheduling_is_read_from_both_places() {
    let at = "2026-01-05T10:00:00Z";
    let json = with_header(&format!(
        r#","schedulingMetaData":{{"sendAt":"{at}","validityPeriod":"2h","campaign":{{"x":1}}}}"#
    ));
    let scheduling = parse(json.as_bytes()).unwrap().scheduling;
    let send_at = Timestamp(1_767_607_200_000);
    assert_eq!(
        scheduling,
        Scheduling { send_at: Some(send_at), validity_ms: Some(7_200_000), expires_at: None }
    );
    assert_eq!(scheduling.expiry(Timestamp(0)), Some(send_at.plus_ms(7_200_000)));
    assert_eq!(scheduling.expiry(send_at.plus_ms(5)), Some(send_at.plus_ms(7_200_005)));

    let json = with_channel_data(
        r#"{"channelCustomerIdentifier":"+49","serviceIdentifier":"5155","additionalAttributes":[
        {"key":"sendAt","type":"String50","value":"1767607200000"},{"key":"validityPeriod","value":60},{"key":"expiresAt","value":1767607230000}]}"#,
    );
    let scheduling = parse(json.as_bytes()).unwrap().scheduling;
    assert_eq!((scheduling.send_at, scheduling.validity_ms), (Some(send_at), Some(60_000)));
    assert_eq!(scheduling.expiry(Timestamp(0)), Some(send_at.plus_ms(30_000)));
}

fn with_attributes(attributes: &str) -> String {
    let addresses = r#""channelCustomerIdentifier":"+49","serviceIdentifier":"5155""#;
    with_channel_data(&format!(r#"{{{addresses},"additionalAttributes":{attributes}}}"#))
}

#[test]
fn attributes_say_what_a_telephone_does() {
    let class = |class| SmsHandling { class: Some(class), ports: None };
    let ports = |destination, source| SmsHandling {
        class: None,
        ports: Some(SmsPorts { destination, source, in_header: true }),
    };
    for (attributes, expected) in [
        (r#"[{"key":"messageClass","type":"String50","value":"0"}]"#, class(0)),
        (r#"[{"key":"messageClass","value":3}]"#, class(3)),
        (r#"[{"key":"messageClass","value":"Flash"}]"#, class(0)),
        (r#"[{"key":"flash","value":"true"}]"#, class(0)),
        (r#"[{"key":"flash","value":true},{"key":"messageClass","value":0}]"#, class(0)),
        (r#"[{"key":"flash","value":false},{"key":"messageClass","value":""}]"#, SmsHandling::PLAIN),
        (r#"[{"key":"destinationPort","value":2948}]"#, ports(2948, 0)),
        (
            r#"[{"key":"sourcePort","value":"9200"},{"key":"destinationPort","value":"65535"}]"#,
            ports(65535, 9200),
        ),
        (r#"{"messageClass":2}"#, class(2)),
        (r#"[{"key":"city","value":"Bonn"}]"#, SmsHandling::PLAIN),
    ] {
        assert_eq!(parse(with_attributes(attributes).as_bytes()).unwrap().handling, expected, "{attributes}");
    }
    for (key, value, problem) in [
        ("messageClass", "4", "is not a message class; give 0 (flash)"),
        ("messageClass", "-1", "is not a message class"),
        ("messageClass", "\"loud\"", "is not a message class"),
        ("messageClass", "[0]", "is not a message class"),
        ("flash", "\"perhaps\"", "is not true or false; give true or false"),
        ("flash", "true},{\"key\":\"messageClass\",\"value\":1", "contradicts messageClass"),
        ("destinationPort", "0", "is not a port; give a whole number from 1 to 65535"),
        ("destinationPort", "65536", "is not a port"),
        ("destinationPort", "80.5", "is not a port"),
        ("sourcePort", "80", "[destinationPort] is missing"),
    ] {
        let json = with_attributes(&format!(r#"[{{"key":"{key}","value":{value}}}]"#));
        let error = parse(json.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("header.channelData.additionalAttributes[") && error.contains(problem),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_only_its_sender_has_is_refused() {
    for url in [
        "file:///tmp/a.png",
        "/tmp/a.png",
        "blob:https://x/1",
        "data:image/png;base64,AA",
        "./a.png",
        "FILE:a",
    ] {
        for body in [
            format!(r#"{{"type":"IMAGE","attachment":{{"mediaUrl":"{url}","mimeType":"image/png"}}}}"#),
            format!(r#"{{"type":"URL","mediaUrl":"{url}"}}"#),
        ] {
            let error = parse(with_body(&body).as_bytes()).unwrap_err().to_string();
            assert!(
                error.contains("mediaUrl is an address that only its sender can reach; give"),
                "{url}: {error}"
            );
        }
    }
    let body = r#"{"type":"IMAGE","attachment":{"mediaUrl":"https://x/a.png","mimeType":"image/png"}}"#;
    assert!(parse(with_body(body).as_bytes()).is_ok());
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table, not logic")]
fn every_error_names_its_place_and_its_fix() {
    let mut wrong = Vec::new();
    let long = "x".repeat(300);
    let text = format!(r#"{{"type":"PLAIN","markdownText":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX + 1));
    let body = with_body;
    let header = with_header;
    let data = with_channel_data;
    let meta = |rest: &str| with_header(&format!(r#","schedulingMetaData":{{{rest}}}"#));
    for (json, error) in [
        (String::new(), "malformed JSON at line 1, column 1: EOF while parsing a value"),
        (
            SEED.into(),
            "malformed JSON at line 9, column 5 (after the key \"schedulingMetaData\"): expected `,` or `}`",
        ),
        (
            "{\"id\":\"a\",\n \"header\":{\"sender\":{\"id\":\"secret\" x".into(),
            "malformed JSON at line 2, column 36 (after the key \"id\"): expected `,` or `}`",
        ),
        ("[]".into(), "the message is an array, expected an object with header and body"),
        ("null".into(), "the message is missing: send an object with header and body"),
        ("{}".into(), "header is missing: send an object with channelData"),
        (r#"{"header":"x"}"#.into(), "header is a text, expected an object"),
        (
            r#"{"header":{}}"#.into(),
            "header.channelData is missing: send an object with channelCustomerIdentifier and serviceIdentifier",
        ),
        (r#"{"id":{},"header":{}}"#.into(), "id is an object, expected a text"),
        (data("[]"), "header.channelData is an array, expected an object"),
        (
            data(r#"{"serviceIdentifier":"5155"}"#),
            "header.channelData.channelCustomerIdentifier is missing: give the customer's address on the channel, such as a phone number",
        ),
        (
            data(r#"{"channelCustomerIdentifier":"+49","serviceIdentifier":" "}"#),
            "header.channelData.serviceIdentifier is missing: give the number, page or bot it is sent from",
        ),
        (
            data(r#"{"channelCustomerIdentifier":["+49"]}"#),
            "header.channelData.channelCustomerIdentifier is an array, expected a text",
        ),
        (
            data(r#"{"channelCustomerIdentifier":"+49\r\nX: y","serviceIdentifier":"1"}"#),
            "header.channelData.channelCustomerIdentifier holds a control character; remove line breaks, tabs and the like",
        ),
        (
            data(&format!(r#"{{"channelCustomerIdentifier":"{long}"}}"#)),
            "header.channelData.channelCustomerIdentifier has 300 bytes, the limit is 256",
        ),
        (
            data(r#"{"channelCustomerIdentifier":"+49","serviceIdentifier":"1","requestPriority":11}"#),
            "header.channelData.requestPriority is not a valid priority; give a whole number from 0 (bulk) to 10 (most urgent)",
        ),
        (header(r#","intent":["x"]"#), "header.intent is an array, expected a text"),
        (
            header(r#","intent":"UPDATE""#),
            "header.originalMessageId is missing: give the id of the message that the intent refers to",
        ),
        (header(r#","timestamp":[]"#), "header.timestamp is an array, expected epoch milliseconds"),
        (
            header(r#","intent":"a","intent":"b""#),
            "malformed JSON at line 1, column 109 (after the key \"intent\"): duplicate field `intent`",
        ),
        (
            meta(r#""sendAt":1767607200"#),
            "header.schedulingMetaData.sendAt lies before 1973; give milliseconds since 1970, not seconds",
        ),
        (
            meta(r#""sendAt":"tomorrow""#),
            "header.schedulingMetaData.sendAt is not a valid instant; give epoch milliseconds, or RFC 3339 such as 2026-01-05T10:00:00Z",
        ),
        (
            meta(r#""validityPeriod":"long""#),
            "header.schedulingMetaData.validityPeriod is not a valid period; give whole seconds or a text such as 2h, up to 366 days",
        ),
        (
            meta(r#""sendAt":1767607200000,"expiresAt":1767607200000"#),
            "header.schedulingMetaData.expiresAt is not after sendAt; give a later instant, or leave it out",
        ),
        (
            body("null"),
            "body is missing: send an object with type, such as {\"type\":\"PLAIN\",\"markdownText\":\"Hello\"}",
        ),
        (body("{}"), "body.type is missing: give a body type, such as PLAIN"),
        (body(r#"{"type":1}"#), "body.type is a number, expected a text, such as PLAIN"),
        (body(r#"{"type":"PLAIN"}"#), "body.markdownText is missing: give the text to send"),
        (
            body(r#"{"type":"PLAIN","markdownText":{"secret":1}}"#),
            "body.markdownText is an object, expected a text",
        ),
        (body(&text), "body.markdownText has 65537 bytes, the limit is 65536"),
        (body(r#"{"type":"IMAGE"}"#), "body.attachment is missing: give an object"),
        (
            body(r#"{"type":"IMAGE","attachment":{"mediaUrl":""}}"#),
            "body.attachment.mediaUrl is missing: give a text",
        ),
        (
            body(r#"{"type":"IMAGE","attachment":{"mediaUrl":"u","size":"big"}}"#),
            "body.attachment.size is a text, expected a number",
        ),
        (
            body(r#"{"type":"BUTTON","buttons":[]}"#),
            "body.buttons is missing: give an array with at least one item",
        ),
        (
            body(
                r#"{"type":"BUTTON","buttons":[{"type":"a","title":"b","payload":"c"},{"type":"a","payload":"c"}]}"#,
            ),
            "body.buttons[1].title is missing: give a text",
        ),
        (body(r#"{"type":"BUTTON","buttons":["a"]}"#), "body.buttons[0] is a text, expected an object"),
        (
            body(r#"{"type":"LOCATION","location":{"latitude":"north"}}"#),
            "body.location.latitude is a text, expected a number",
        ),
        (
            body(r#"{"type":"DELIVERYNOTIFICATION","messageId":"m","status":"EATEN"}"#),
            "body.status is not a known word; use one of the words of the CIM documentation",
        ),
        (
            body(r#"{"type":"PLAIN","markdownText":"\ud800"}"#),
            "malformed JSON at line 1, column 145 (after the key \"markdownText\"): unexpected end of hex escape",
        ),
    ] {
        let found = parse(json.as_bytes()).expect_err(&json).to_string();
        assert!(!found.contains("secret"), "{found}");
        if found != error {
            wrong.push(format!(
                "{}\n  expected {error}\n  found    {found}",
                json.get(..200).unwrap_or(&json)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(parse(b"{\"id\":\"\xff\"}"), Err(Error::NotUtf8 { offset: 7 }));
    let deep = "[".repeat(100_000);
    assert!(parse(with_header(&format!(",\"entities\":{deep}")).as_bytes()).is_err());
    assert!(matches!(parse(&vec![b' '; MESSAGE_JSON_BYTES_MAX + 1]), Err(Error::TooLong { .. })));
}

#[test]
fn requests_hold_one_message_or_many() {
    let one = with_body(BODIES[0].0);
    assert_eq!(items(one.as_bytes()).unwrap(), [one.as_bytes()]);
    assert_eq!(items(SAMPLE.as_bytes()).unwrap(), [SAMPLE.as_bytes()]);
    assert_eq!(items(b" [ {\"a\":1} , 2 ]").unwrap(), [&b"{\"a\":1}"[..], b"2"]);
    assert_eq!(items(b"{\"a\":1}\r\n\n{\"a\":2}\n").unwrap(), [b"{\"a\":1}", b"{\"a\":2}"]);
    assert!(items(b"[{}").is_err());
    let many = format!("[{}]", vec!["{}"; ITEMS_MAX + 1].join(","));
    assert_eq!(
        items(many.as_bytes()).unwrap_err().to_string(),
        "the request has 1001 items, the limit is 1000"
    );
    assert!(items("{}\n".repeat(ITEMS_MAX + 1).as_bytes()).is_err());
}

#[test]
fn reports_and_intents_are_written() {
    let head = Head { id: "n1", customer: "+49", service_identifier: "5155", ..Head::default() };
    let report = Report {
        message_id: "m\"1",
        outcome: Outcome::Failed,
        reason_code: "404",
        text: Some("no\n"),
        failure: None,
    };
    let mut out = Vec::new();
    write::delivery_notification_body(&mut out, &report);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"type":"DELIVERYNOTIFICATION","markdownText":"no\n","messageId":"m\"1","status":"FAILED","reasonCode":"404"}"#
    );
    let failure = FailureReport {
        reason: "the \"phone\" is off",
        failed_by: "smsc",
        part: 2,
        meaning: Some("It is off."),
        fix: None,
        link: Some("https://x.example"),
    };
    let mut out = Vec::new();
    write::delivery_notification_body(&mut out, &Report { failure: Some(failure), ..report });
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"type":"DELIVERYNOTIFICATION","markdownText":"no\n","messageId":"m\"1","status":"FAILED","reasonCode":"404","reason":"the \"phone\" is off","failedBy":"smsc","failedPart":2,"meaning":"It is off.","fix":null,"link":"https://x.example"}"#
    );
    let own = r#"{"serviceIdentifier":"5155", "channelCustomerIdentifier":"+49", "x":[1]}"#;
    let mut out = Vec::new();
    write::write_notification(&mut out, &Head { channel_data_json: Some(own), ..head }, &report);
    let read_back = parse(&out).unwrap();
    assert_eq!(read_back.channel_data_json.as_deref(), Some(own));
    let mut out = Vec::new();
    write::write_intent(&mut out, &head, "END_CHAT", Some("INACTIVITY"));
    assert_eq!(parse(&out).unwrap().intent, Intent::EndChat);
    assert!(String::from_utf8(out).unwrap().contains(r#""entities":{"reason":"INACTIVITY"}"#));
    let mut out = Vec::new();
    write::write_event(&mut out, &head, "TYPING_STARTED");
    assert!(matches!(parse(&out).unwrap().content, Content::Rich { body_type: BodyType::Notification, .. }));
}

proptest! {
    #[test]
    fn a_written_message_reads_back(
        text in "\\PC{0,80}|[\\x00-\\x7f]{0,40}",
        customer in "[!-~]{1,40}",
        service in "[!-~é]{1,40}",
        id in proptest::option::of("[!-~]{1,40}"),
        attributes in prop::collection::vec(("\\PC{0,20}", "\\PC{0,120}"), 0..4),
        at in 0u64..1 << 53,
    ) {
        let attributes: Vec<(Box<str>, Box<str>)> =
            attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let head = Head {
            id: "m1", connector_id: "sms", connector_name: &text, customer: &customer,
            service_identifier: &service, attributes: &attributes, timestamp: Timestamp(at),
            conversation_id: id.as_deref(), session_id: id.as_deref(), first_name: Some(&text), ..Head::default()
        };
        let inbound = Inbound {
            provider_message_id: id.as_deref(),
            intent: id.as_deref().map(|_| "REPLY_TO"),
            original_message_id: id.as_deref(),
        };
        let mut out = b"x".to_vec();
        write::write_inbound(&mut out, &head, &inbound, &Content::Text(text.as_str().into()));
        let value: serde_json::Value = serde_json::from_slice(&out[1..]).unwrap();
        prop_assert_eq!(&value["header"]["channelData"]["additionalAttributes"].as_array().unwrap().len(), &attributes.len());
        prop_assert_eq!(value["body"]["markdownText"].as_str(), Some(&*text));
        if text.chars().any(char::is_control) || text.trim().is_empty() || text.len() > NAME_BYTES_MAX {
            return Ok(());
        }
        let message = parse(&out[1..]).unwrap();
        prop_assert_eq!(&*message.customer, customer.as_str());
        prop_assert_eq!(&*message.service_identifier, service.as_str());
        prop_assert_eq!(message.timestamp, Some(Timestamp(at)));
        prop_assert_eq!(message.provider_message_id.as_deref(), id.as_deref());
        prop_assert_eq!(message.conversation_id.as_deref(), id.as_deref());
        prop_assert_eq!(message.content, Content::Text(text.into()));
    }

    #[test]
    fn octets_are_written_as_hex(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let head = Head { customer: "c", service_identifier: "s", ..Head::default() };
        let mut out = Vec::new();
        write::write_inbound(&mut out, &head, &Inbound::default(), &Content::Binary(octets.clone().into()));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        prop_assert_eq!(value["body"]["jsonNode"]["hex"].as_str(), Some(hex.as_str()));
        prop_assert!(parse(&out).is_ok());
    }
}
