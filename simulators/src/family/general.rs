//! The "General" SMS interface and its presets: one bearer key, one address to send to, webhooks in Telnyx's
//! envelope under an HMAC. The presets differ in nothing but their names, as far as is known.

use serde_json::{Value, json};

use crate::{
    contract::{
        About, Call, Context, Credential, Fault, Inbound, Kind, Message, Provider, Retry, Unfit, or, overlay,
        put,
    },
    toolkit::{
        http::{Outgoing, Request, Response, text},
        media::File,
        number::is_e164,
        sign,
    },
};

/// The most characters of a text: ten parts.
const TEXT_MAX: usize = 1_600;

pub(crate) struct General(pub(crate) About);

pub(crate) const fn preset(name: &'static str, title: &'static str) -> General {
    General(About {
        name,
        title,
        credentials: CREDENTIALS,
        batch_max: 1,
        // Not specified: as Telnyx, whose envelope it is, but longer.
        retry: Retry { tries: 5, factor: 2, answers: true, obeys: true },
        polls: false,
        customer: "+15550100002",
    })
}

const CREDENTIALS: &[Credential] = &[
    Credential { key: "api_key", default: "sim-api-key", what: "the bearer key of the API" },
    Credential {
        key: "api_secret",
        default: "sim-api-secret",
        what: "signs webhooks; empty: they are not signed",
    },
    Credential {
        key: "number",
        default: "+15550100001",
        what: "the default business number of inbound messages",
    },
];

fn error(status: u16, title: &str) -> Response {
    Response::json(status, &json!({"errors": [{"code": status.to_string(), "title": title}]}))
}

fn send(request: &Request, cx: &Context<'_>) -> Call {
    let Some(body) = request.json() else {
        return Call::Answer(error(400, "the body is no JSON"));
    };
    let media: Vec<String> = match body.get("media_urls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(urls)) => urls.iter().filter_map(|url| Some(url.as_str()?.to_owned())).collect(),
        Some(_) => return Call::Answer(error(422, "media_urls must be an array")),
    };
    let (Some(from), Some(to)) = (text(&body, "/from"), text(&body, "/to")) else {
        return Call::Answer(error(422, "from and to must be strings"));
    };
    let words = text(&body, "/text");
    let refused = if !is_e164(to) {
        Some("to is no number in E.164")
    } else if from.is_empty() {
        Some("from is empty")
    } else if words.is_none_or(str::is_empty) && media.is_empty() {
        Some("text is missing")
    } else if words.unwrap_or_default().chars().count() > TEXT_MAX {
        Some("text is too long")
    } else if media.iter().any(|url| !url.starts_with("http")) {
        Some("media_urls must be addresses")
    } else {
        None
    };
    if let Some(title) = refused {
        return Call::Answer(error(422, title));
    }
    let message = Message {
        id: cx.uuid(1),
        from: from.to_owned(),
        to: to.to_owned(),
        kind: if media.is_empty() { "SMS" } else { "MMS" }.to_owned(),
        text: words.unwrap_or_default().to_owned(),
        media,
        request: body.clone(),
        ..Message::default()
    };
    let answer = Response::json(200, &json!({"data": {"id": message.id}}));
    Call::Accept(vec![message], answer)
}

impl Provider for General {
    fn about(&self) -> &About {
        &self.0
    }

    fn call(&self, request: &Request, cx: &Context<'_>) -> Call {
        if let Some(id) = request.path.strip_prefix("/files/") {
            return Call::Answer(match cx.media.get(id) {
                Some(file) => Response::new(200, &file.mime, file.content.clone()),
                None => error(404, "no such file"),
            });
        }
        let good = request.bearer().is_some_and(|key| key == cx.credential("api_key"));
        match (request.method.as_str(), request.path.as_str()) {
            (_, "/send" | "/verify") if !good => Call::Answer(error(401, "the key is not valid")),
            ("POST", "/send") => send(request, cx),
            ("GET" | "POST", "/verify") => Call::Answer(Response::json(200, &json!({}))),
            (_, "/send" | "/verify") => Call::Answer(error(405, "the method is not allowed")),
            _ => Call::Answer(error(404, "no such address")),
        }
    }

    fn fault(&self, fault: Fault<'_>, _cx: &Context<'_>) -> Response {
        match fault {
            Fault::Throttled { after_s: 0 } => error(429, "too many requests"),
            Fault::Throttled { after_s } => {
                error(429, "too many requests").with("retry-after", after_s.to_string())
            }
            Fault::Unavailable { status } => error(status, "unavailable"),
            Fault::Rejected { code } => error(
                or(code, "422").parse().ok().filter(|status| (400..600).contains(status)).unwrap_or(422),
                "refused",
            ),
            Fault::Credentials => error(401, "the key is not valid"),
            Fault::WithoutId => Response::json(200, &json!({"data": {}})),
        }
    }

    fn inbound(&self, inbound: &Inbound, file: Option<&File>, cx: &Context<'_>) -> Result<Value, Unfit> {
        let fits = matches!(inbound.kind, Kind::Text | Kind::OptOut | Kind::OptIn) || inbound.kind.is_file();
        if !fits {
            let what = format!("{:?}", inbound.kind).to_lowercase();
            return Err(Unfit { provider: self.0.name, what });
        }
        let new = cx.uuid(2);
        let id = or(&inbound.id, &new);
        let words = match inbound.kind {
            Kind::OptOut => or(&inbound.text, "STOP"),
            Kind::OptIn => or(&inbound.text, "START"),
            _ => &inbound.text,
        };
        let mut payload = json!({
            "id": id,
            "from": {"phone_number": inbound.from.as_str()},
            "to": [{"phone_number": or(&inbound.to, cx.credential("number"))}],
            "text": words,
            "received_at": cx.rfc3339(),
        });
        if let Some(file) = file {
            let url = format!("{}/files/{}", cx.base, file.id);
            put(
                &mut payload,
                "media",
                json!([{"url": url, "content_type": file.mime, "size": file.content.len()}]),
            );
        }
        let mut event = json!({"data": {
            "event_type": "message.received",
            "id": id,
            "record_type": "message",
            "payload": payload,
        }});
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(
        &self,
        message: &Message,
        status: &str,
        code: Option<&str>,
        cx: &Context<'_>,
    ) -> Option<Value> {
        let (event, status) = match status {
            "sent" => ("message.sent", "sent"),
            "failed" => ("message.finalized", "delivery_failed"),
            other => ("message.finalized", other),
        };
        let failed = status.ends_with("failed");
        let errors = if failed {
            json!([{"code": code.unwrap_or("40008"), "title": "Undeliverable"}])
        } else {
            json!([])
        };
        Some(json!({"data": {
            "event_type": event,
            "id": cx.uuid(3),
            "record_type": "event",
            "occurred_at": cx.rfc3339(),
            "payload": {
                "id": message.id,
                "direction": "outbound",
                "from": {"phone_number": message.from},
                "to": [{"phone_number": message.to, "status": status}],
                "text": message.text,
                "errors": errors,
            },
        }}))
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let body = events.first().map(Value::to_string).unwrap_or_default().into_bytes();
        let secret = cx.credential("api_secret");
        let signature = sign::hmac_sha256_hex(&cx.signing(secret), &body);
        let outgoing = Outgoing::post(url, "application/json", body);
        if secret.is_empty() {
            outgoing
        } else {
            outgoing.with("x-signature-256", format!("sha256={signature}"))
        }
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-signature-256"]
    }

    fn account(&self, cx: &Context<'_>) -> Vec<(&'static str, String)> {
        vec![
            ("api_key", format!("{:?}", cx.credential("api_key"))),
            ("api_secret", format!("{:?}", cx.credential("api_secret"))),
            ("api_verify_url", format!("\"{}/verify\"", cx.base)),
            ("api_send_url", format!("\"{}/send\"", cx.base)),
        ]
    }
}
