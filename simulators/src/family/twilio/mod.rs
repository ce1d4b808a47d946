//! Twilio's Messages resource, for SMS and WhatsApp: forms under Basic authentication, one webhook
//! per message under HMAC-SHA1 of address and fields. Stores content templates; does not simulate
//! queues, prices and regions.

pub(crate) mod check;

use serde_json::{Map, Value, json};

use self::check::{TwilioProduct, WHATSAPP, error};
use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Inbound, Kind, Message, OutsideWindow,
        Provider, ReportStatus, RetryPolicy, StatusReport, UnsupportedEvent, or, overlay, put, texts,
    },
    toolkit::{
        http::{Fields, Outgoing, Request, Response, text},
        media::File,
        sign, time,
    },
};

pub(crate) struct Twilio {
    about: About,
    product: TwilioProduct,
}

pub(crate) const fn twilio(name: &'static str, title: &'static str, product: TwilioProduct) -> Twilio {
    // Unless the webhook's address overrides it, Twilio retries only failed connections, once.
    let retry = RetryPolicy { attempts_max: 2, factor: 1, after_answers: false, obeys_retry_after: false };
    Twilio {
        about: About {
            name,
            title,
            credentials: match product {
                TwilioProduct::WhatsApp => WHATSAPP_CREDENTIALS,
                TwilioProduct::Sms => SMS_CREDENTIALS,
            },
            batch_max: 1,
            retry,
            polls: false,
            customer: "+15550001111",
        },
        product,
    }
}

const SMS_CREDENTIALS: &[Credential] = &[ACCOUNT_SID, AUTH_TOKEN, Credential::number("+15557770000")];
const WHATSAPP_CREDENTIALS: &[Credential] = &[ACCOUNT_SID, AUTH_TOKEN, Credential::number("+15557770001")];
const ACCOUNT_SID: Credential = Credential {
    key: "account_sid",
    default: "AC00000000000000000000000000000001",
    purpose: "the user and a part of each address",
};
const AUTH_TOKEN: Credential = Credential {
    key: "auth_token",
    default: "0123456789abcdef0123456789abcdef",
    purpose: "the password; signs webhooks",
};

impl Twilio {
    fn is_whatsapp(&self) -> bool {
        self.product == TwilioProduct::WhatsApp
    }

    fn send(&self, request: &Request, cx: &Context<'_>) -> Effect {
        let Some(fields) = request.form() else {
            return Effect::Answer(error(400, 21604, "A 'To' phone number is required."));
        };
        let media: Vec<String> = fields.all("MediaUrl").map(str::to_owned).collect();
        if let Some(answer) = self.product.refusal(&fields, media.len()) {
            return Effect::Answer(answer);
        }
        let (rendered, buttons) = content(&fields, cx);
        let pool = fields.text("MessagingServiceSid");
        let own = format!("{}{}", if self.is_whatsapp() { WHATSAPP } else { "" }, cx.credential("number"));
        let id = format!("{}{}", if media.is_empty() { "SM" } else { "MM" }, cx.hex(1, 32));
        let kind = if fields.text("PersistentAction").starts_with("geo:") {
            "location"
        } else if !fields.text("ContentSid").is_empty() {
            "content"
        } else if media.is_empty() {
            "text"
        } else {
            "media"
        };
        let message = Message {
            id,
            from: or(fields.text("From"), &own).to_owned(),
            to: fields.text("To").to_owned(),
            kind: kind.to_owned(),
            text: or(fields.text("Body"), &rendered).to_owned(),
            media,
            buttons,
            callback: Some(fields.text("StatusCallback").to_owned()).filter(|url| !url.is_empty()),
            request: fields.to_object(),
            ..Message::default()
        };
        let answer = resource(&message, if pool.is_empty() { "queued" } else { "accepted" }, pool, cx);
        Effect::Accept(vec![message], Response::json(201, &answer))
    }

    /// Serves a file. Its name is `ME` and its id, padded with zeros; the resource redirects to the
    /// storage.
    fn file(request: &Request, cx: &Context<'_>) -> Response {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        let id = name.trim_start_matches("ME").trim_start_matches('0');
        match cx.media.get(id) {
            Some(file) if request.path.starts_with("/media-storage/") => {
                Response::new(200, &file.mime, file.content.clone())
            }
            Some(_) => Response::text(307, "").with("location", format!("{}/media-storage/{id}", cx.base)),
            None => error(404, 20404, "The requested resource was not found"),
        }
    }
}

/// Returns text and buttons of a content template with its variables filled in.
fn content(fields: &Fields, cx: &Context<'_>) -> (String, Vec<String>) {
    let known = cx.media.get(fields.text("ContentSid"));
    let Some(content) = known.and_then(|file| serde_json::from_slice::<Value>(&file.content).ok()) else {
        return (String::new(), Vec::new());
    };
    let types = content.get("types").and_then(Value::as_object);
    let one = types.and_then(|types| types.values().next()).cloned().unwrap_or_default();
    let mut words = text(&one, "/body").or_else(|| text(&one, "/title")).unwrap_or_default().to_owned();
    let variables = serde_json::from_str::<Map<String, Value>>(fields.text("ContentVariables"));
    for (key, value) in variables.unwrap_or_default() {
        words = words.replace(&format!("{{{{{key}}}}}"), value.as_str().unwrap_or_default());
    }
    let taps = one.get("actions").or_else(|| one.get("items")).and_then(Value::as_array).cloned();
    let title = |tap: &Value| Some(text(tap, "/title").or_else(|| text(tap, "/item"))?.to_owned());
    (words, taps.unwrap_or_default().iter().filter_map(title).collect())
}

/// Returns the fields that only WhatsApp's webhooks have.
fn whatsapp_fields(inbound: &Inbound, from: &str, to: &str, kind: &str) -> Value {
    let wa_id = from.trim_start_matches(WHATSAPP).trim_start_matches('+');
    let replied = if inbound.about.is_empty() { "" } else { to };
    let fields = [
        ("ProfileName", or(&inbound.name, "Ann")),
        ("WaId", wa_id),
        ("MessageType", kind),
        ("OriginalRepliedMessageSid", &inbound.about),
        ("OriginalRepliedMessageSender", replied),
    ];
    texts(&fields).into()
}

/// Returns the message resource.
fn resource(message: &Message, status: &str, pool: &str, cx: &Context<'_>) -> Value {
    let account = cx.credential("account_sid");
    let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}", message.id);
    let pooled = !pool.is_empty();
    json!({
        "sid": message.id, "account_sid": account, "status": status, "direction": "outbound-api",
        "from": if pooled { Value::Null } else { message.from.as_str().into() }, "to": message.to,
        "messaging_service_sid": if pooled { pool.into() } else { Value::Null }, "body": message.text,
        "num_segments": if pooled { "0" } else { "1" }, "num_media": message.media.len().to_string(),
        "error_code": null, "error_message": null, "date_created": time::rfc2822(cx.now_ms), "date_sent": null,
        "date_updated": time::rfc2822(cx.now_ms), "price": null, "price_unit": "USD", "api_version": "2010-04-01",
        "uri": format!("{uri}.json"), "subresource_uris": {"media": format!("{uri}/Media.json")},
    })
}

impl Provider for Twilio {
    fn about(&self) -> &About {
        &self.about
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if request.path.starts_with("/media-storage/") {
            return Effect::Answer(Self::file(request, cx));
        }
        let account = cx.credential("account_sid");
        let good = request.has_basic(account, cx.credential("auth_token"));
        if !good {
            return Effect::Answer(self.fault(Fault::Credentials, cx));
        }
        let segments = request.segments();
        let pieces: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), pieces.as_slice()) {
            ("POST", ["2010-04-01", "Accounts", sid, "Messages.json"]) if *sid == account => {
                self.send(request, cx)
            }
            ("GET", ["2010-04-01", "Accounts", sid, "IncomingPhoneNumbers.json"]) if *sid == account => {
                Effect::Answer(Response::json(
                    200,
                    &json!({"incoming_phone_numbers": [{"phone_number": cx.credential("number"),
                        "sid": format!("PN{}", cx.hex(4, 32)), "account_sid": account}], "next_page_uri": null}),
                ))
            }
            ("GET", ["2010-04-01", "Accounts", sid]) if sid.trim_end_matches(".json") == account => {
                Effect::Answer(Response::json(
                    200,
                    &json!({"sid": account, "friendly_name": "Simulated",
                    "status": "active", "type": "Full"}),
                ))
            }
            ("GET", ["2010-04-01", "Accounts", sid, "Messages", _, "Media", _]) if *sid == account => {
                Effect::Answer(Self::file(request, cx))
            }
            ("POST", ["v1", "Content"]) => match request.json() {
                Some(body) if body.get("types").is_some_and(Value::is_object) => {
                    let sid = format!("HX{}", cx.hex(4, 32));
                    let mut answer = body.clone();
                    overlay(&mut answer, &json!({"sid": sid, "account_sid": account}));
                    let (mime, name) = ("application/json".to_owned(), "content.json".to_owned());
                    let file = File { id: sid, mime, name, content: body.to_string().into() };
                    Effect::Store(file, Response::json(201, &answer))
                }
                _ => Effect::Answer(error(400, 20001, "types is required")),
            },
            ("GET", ["v2", "Channels", "Senders"]) if self.is_whatsapp() => {
                let number = cx.credential("number").trim_start_matches("whatsapp:");
                Effect::Answer(Response::json(
                    200,
                    &json!({"senders": [{"sid": format!("XE{}", cx.hex(4, 32)), "status": "ONLINE",
                            "sender_id": format!("whatsapp:{number}")}],
                        "meta": {"page": 0, "page_size": 100, "next_page_url": null, "key": "senders"}}),
                ))
            }
            ("POST", ["v2" | "v3", "Indicators", "Typing.json"]) => {
                Effect::Answer(Response::json(200, &json!({"success": true})))
            }
            _ => Effect::Answer(error(404, 20404, "The requested resource was not found")),
        }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        match fault {
            Fault::Throttled { after_s } => {
                let answer = error(429, 20429, "Too Many Requests");
                answer.retry_after(after_s)
            }
            Fault::Unavailable { status: 503 } => error(503, 20503, "Service Unavailable"),
            Fault::Unavailable { status } => error(status, 20500, "Internal Server Error"),
            Fault::Rejected { code } => error(400, code.parse().unwrap_or(21610), "Refused on purpose"),
            Fault::Credentials => {
                error(401, 20003, "Authenticate").with("www-authenticate", "Basic realm=\"Twilio API\"")
            }
            Fault::WithoutId => {
                let mut message = resource(&Message::default(), "queued", "", cx);
                put(&mut message, "sid", Value::Null);
                Response::json(201, &message)
            }
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let prefix = if self.is_whatsapp() { WHATSAPP } else { "" };
        let prefixed = |address: &str| match address.strip_prefix(WHATSAPP) {
            Some(_) => address.to_owned(),
            None => format!("{prefix}{address}"),
        };
        let (from, to) = (inbound.from.as_str(), or(&inbound.to, cx.credential("number")));
        let new = format!("{}{}", if file.is_some() { "MM" } else { "SM" }, cx.hex(2, 32));
        let sid = or(&inbound.id, &new);
        let mut event = json!({
            "ToCountry": "US", "FromCountry": "US", "SmsMessageSid": sid, "SmsSid": sid, "MessageSid": sid,
            "AccountSid": cx.credential("account_sid"), "From": prefixed(from), "To": prefixed(to),
            "Body": inbound.text, "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
        });
        let words = or(&inbound.text, "Yes");
        let kind = match inbound.kind {
            Kind::Text => "text",
            Kind::OptOut if !self.is_whatsapp() => {
                overlay(&mut event, &json!({"Body": or(&inbound.text, "STOP"), "OptOutType": "STOP"}));
                "text"
            }
            Kind::OptIn if !self.is_whatsapp() => {
                overlay(&mut event, &json!({"Body": or(&inbound.text, "START"), "OptOutType": "START"}));
                "text"
            }
            Kind::Location if self.is_whatsapp() => {
                let (latitude, longitude) = (inbound.latitude.to_string(), inbound.longitude.to_string());
                overlay(
                    &mut event,
                    &json!({"Latitude": latitude, "Longitude": longitude, "Label": inbound.text, "Body": ""}),
                );
                "location"
            }
            Kind::Button if self.is_whatsapp() => {
                let payload = or(&inbound.payload, words);
                overlay(&mut event, &json!({"ButtonText": words, "ButtonPayload": payload, "Body": words}));
                "button"
            }
            Kind::List if self.is_whatsapp() => {
                let id = or(&inbound.payload, words);
                overlay(&mut event, &json!({"ListId": id, "ListTitle": words, "Body": words}));
                "interactive"
            }
            _ if file.is_some() => match inbound.kind {
                Kind::Video => "video",
                Kind::Audio => "audio",
                Kind::Document => "document",
                _ => "image",
            },
            other => {
                return Err(UnsupportedEvent::new(&self.about, other));
            }
        };
        if let Some(file) = file {
            let url = format!(
                "{}/2010-04-01/Accounts/{}/Messages/{sid}/Media/ME{:0>32}",
                cx.base,
                cx.credential("account_sid"),
                file.id
            );
            overlay(&mut event, &json!({"NumMedia": "1", "MediaUrl0": url, "MediaContentType0": file.mime}));
        }
        if self.is_whatsapp() {
            overlay(&mut event, &whatsapp_fields(inbound, from, &prefixed(to), kind));
        }
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        // Twilio reports only to the callback that the request names.
        message.callback.as_ref()?;
        let word = match status {
            ReportStatus::Read if !self.is_whatsapp() => return None,
            ReportStatus::Failed => "undelivered",
            other => other.name(),
        };
        let mut event = json!({
            "SmsSid": message.id, "MessageSid": message.id, "SmsStatus": word, "MessageStatus": word, "To": message.to,
            "From": message.from, "AccountSid": cx.credential("account_sid"), "ApiVersion": "2010-04-01",
        });
        let pool = text(&message.request, "/MessagingServiceSid").unwrap_or_default();
        let usual = if self.is_whatsapp() { "63003" } else { "30003" };
        let code = if matches!(word, "undelivered" | "failed") { code.unwrap_or(usual) } else { "" };
        let done = if self.is_whatsapp() || !matches!(word, "delivered" | "undelivered") {
            String::new()
        } else {
            time::short(cx.now_ms)
        };
        overlay(
            &mut event,
            &texts(&[("MessagingServiceSid", pool), ("ErrorCode", code), ("RawDlrDoneDate", &done)]).into(),
        );
        Some(event)
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let url = url.split('#').next().unwrap_or_default();
        // The signature wants fields sorted by name, as an object's members are.
        let fields = Fields::of_object(events.first().unwrap_or(&Value::Null));
        let signed: String = fields.iter().fold(url.to_owned(), |text, (key, value)| text + key + value);
        let signature = sign::hmac_sha1_base64(&cx.secret("auth_token"), signed.as_bytes());
        Outgoing::post(url, "application/x-www-form-urlencoded; charset=UTF-8", fields.encoded().into_bytes())
            .with("user-agent", "TwilioProxy/1.1".to_owned())
            .with("x-twilio-signature", signature)
            .with("i-twilio-idempotency-token", cx.uuid(8))
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-twilio-signature"]
    }

    fn outside_window(&self, message: &Message) -> Option<OutsideWindow> {
        (self.is_whatsapp() && message.kind != "content").then_some(OutsideWindow::Fails("63016"))
    }

    /// Obeys the overrides in the fragment of the address, such as `#rc=2&rp=5xx`.
    fn retries(&self, url: &str, attempts: u32, status: Option<u16>) -> bool {
        let overrides = Fields::decoded(url.split_once('#').map_or("", |(_, fragment)| fragment));
        let most =
            overrides.text("rc").parse().map_or(self.about.retry.attempts_max, |again: u32| again.min(5) + 1);
        let policies: Vec<&str> = overrides.text("rp").split(',').collect();
        let wanted = match status {
            None => policies == [""] || policies.iter().any(|policy| ["ct", "rt", "all"].contains(policy)),
            Some(400..500) => policies.iter().any(|policy| ["4xx", "all"].contains(policy)),
            Some(500..) => policies.iter().any(|policy| ["5xx", "all"].contains(policy)),
            Some(_) => policies.contains(&"all"),
        };
        attempts < most && wanted
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        let mut lines = cx.account(&["account_sid", "auth_token"]);
        if self.is_whatsapp() {
            // Twilio has separate hosts for these; without the lines a channel would call the real
            // ones.
            lines.extend(["content_url", "messaging_url"].map(|key| AccountLine::new(key, cx.base)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_overrides_retries() {
        let twilio = twilio("twilio", "Twilio SMS", TwilioProduct::Sms);
        let again = |url, tries, status| twilio.retries(url, tries, status);
        assert!(again("http://a/", 1, None) && !again("http://a/", 2, None));
        assert!(!again("http://a/", 1, Some(500)));
        let url = "http://a/#rc=2&rp=5xx,rt";
        assert!(again(url, 2, Some(503)) && !again(url, 3, Some(503)) && !again(url, 1, Some(404)));
        assert!(again("http://a/#rp=all", 1, Some(404)));
    }

    /// Checks the example of a signed request that Twilio publishes.
    #[test]
    fn the_documented_signature_comes_out() {
        let credentials = [("auth_token", "12345".to_owned())].into();
        let media = Default::default();
        let cx = Context::sample(&credentials, &media);
        let event = json!({"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234",
            "From": "+14158675309", "To": "+18005551212"});
        let sent = twilio("twilio", "Twilio SMS", TwilioProduct::Sms).post(
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            &[event],
            &cx,
        );
        assert!(
            sent.headers.contains(&("x-twilio-signature".into(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=".to_owned())),
            "{sent:?}"
        );
    }
}
