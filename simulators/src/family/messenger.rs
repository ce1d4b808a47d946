//! Facebook Messenger and Instagram messaging: one Send API and one envelope of webhooks, with the
//! differences of the two products. Does not simulate app reviews.

use serde_json::{Map, Value, json};

use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Handshake, Inbound, Kind, Message,
        OutsideWindow, Provider, ReportStatus, RetryPolicy, StatusReport, UnsupportedEvent, or, overlay, put,
    },
    family::meta,
    toolkit::{
        http::{Outgoing, Request, Response, text},
        media::{File, Media},
        sign,
    },
};

/// The product whose messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaProduct {
    Facebook,
    Instagram,
}

/// A page or account of one product.
pub(crate) struct Messenger {
    pub(crate) about: About,
    pub(crate) product: MetaProduct,
}

/// The credentials that both products have.
pub(crate) const APP_SECRET: Credential = Credential {
    key: "app_secret",
    default: "sim-app-secret",
    purpose: "signs webhooks; makes appsecret_proof",
};
pub(crate) const VERIFY_TOKEN: Credential = Credential {
    key: "verify_token",
    default: "sim-verify-token",
    purpose: "the secret of the webhook's handshake",
};
pub(crate) const APP_ID: Credential =
    Credential { key: "app_id", default: "400000000000001", purpose: "the app that echoes name" };
pub(crate) const DEMAND_PROOF: Credential = Credential {
    key: "demand_proof",
    default: "",
    purpose: "\"yes\": calls without appsecret_proof are refused",
};

/// Meta retries at once a few times, then less often, for an hour.
pub(crate) const RETRY: RetryPolicy =
    RetryPolicy { attempts_max: 8, factor: 2, after_answers: true, obeys_retry_after: false };

fn length(value: &Value, pointer: &str, least: usize, most: usize) -> Result<String, String> {
    let words = text(value, pointer).unwrap_or_default();
    let count = words.chars().count();
    if (least..=most).contains(&count) {
        Ok(words.to_owned())
    } else {
        Err(format!("Length of param {pointer} must be {least} to {most} characters"))
    }
}

fn buttons(value: Option<&Value>, least: usize, titles: &mut Vec<String>) -> Result<(), String> {
    let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !(least..=3).contains(&all.len()) {
        return Err(format!("There must be {least} to 3 buttons"));
    }
    for button in all {
        titles.push(length(button, "/title", 1, 20)?);
        match text(button, "/type") {
            Some("postback") => _ = length(button, "/payload", 1, 1_000)?,
            Some("web_url") if text(button, "/url").is_some_and(|url| url.starts_with("http")) => {}
            Some("phone_number") => _ = length(button, "/payload", 5, 30)?,
            _ => return Err("The button is not valid".to_owned()),
        }
    }
    Ok(())
}

impl Messenger {
    fn is_instagram(&self) -> bool {
        self.product == MetaProduct::Instagram
    }

    fn own<'a>(&self, cx: &Context<'a>) -> &'a str {
        cx.credential(if self.is_instagram() { "account_id" } else { "page_id" })
    }

    fn attachment(&self, attachment: &Value, media: &Media, message: &mut Message) -> Result<(), String> {
        let kind = text(attachment, "/type").unwrap_or_default();
        message.kind = kind.to_owned();
        match kind {
            "image" | "audio" | "video" | "file" => {
                let (url, id) =
                    (text(attachment, "/payload/url"), text(attachment, "/payload/attachment_id"));
                match (url, id) {
                    (Some(url), None) if url.starts_with("http") => message.media.push(url.to_owned()),
                    (None, Some(id)) if media.get(id).is_some() => message.media.push(id.to_owned()),
                    _ => {
                        return Err(
                            "The attachment needs one url, or one attachment_id that is known".to_owned()
                        );
                    }
                }
                Ok(())
            }
            "like_heart" | "MEDIA_SHARE" if self.is_instagram() => Ok(()),
            "template" => match text(attachment, "/payload/template_type") {
                Some("button") => {
                    message.text = length(attachment, "/payload/text", 1, 640)?;
                    buttons(attachment.pointer("/payload/buttons"), 1, &mut message.buttons)
                }
                Some("generic") => {
                    let elements = attachment.pointer("/payload/elements").and_then(Value::as_array);
                    let elements = elements.filter(|all| (1..=10).contains(&all.len()));
                    for element in elements.ok_or("There must be 1 to 10 elements")? {
                        message.text.push_str(&length(element, "/title", 1, 80)?);
                        length(element, "/subtitle", 0, 80)?;
                        buttons(element.get("buttons"), 0, &mut message.buttons)?;
                    }
                    Ok(())
                }
                _ => Err("The template_type is not valid".to_owned()),
            },
            _ => Err("The attachment type is not valid".to_owned()),
        }
    }

    /// Returns the message without its id, or why it is refused.
    fn check(&self, body: &Value, media: &Media) -> Result<Message, String> {
        let kinds =
            ["id", "user_ref", "phone_number", "comment_id", "post_id", "notification_messages_token"];
        let to = kinds.iter().find_map(|kind| text(body, &format!("/recipient/{kind}")));
        let to = to.filter(|to| !to.is_empty()).ok_or("The parameter recipient is required")?;
        let how = text(body, "/messaging_type").unwrap_or("RESPONSE");
        let tag = text(body, "/tag");
        match (how, tag) {
            ("RESPONSE" | "UPDATE" | "UTILITY", None) | ("MESSAGE_TAG", Some("HUMAN_AGENT")) => {}
            ("MESSAGE_TAG", _) => return Err("Param tag must be HUMAN_AGENT".to_owned()),
            _ => return Err("Param messaging_type is not valid".to_owned()),
        }
        let object = body.get("message").filter(|message| message.is_object());
        let object = object.ok_or("The parameter message is required")?;
        let mut message = Message { to: to.to_owned(), request: body.clone(), ..Message::default() };
        let attachments = object.get("attachments").and_then(Value::as_array);
        match (object.get("text"), object.get("attachment"), attachments) {
            (Some(_), None, None) => {
                message.kind = "text".to_owned();
                message.text = length(object, "/text", 1, 2_000)?;
                if self.is_instagram() && message.text.len() > 1_000 {
                    return Err(
                        "Length of param message[text] must be at most 1000 bytes in UTF-8".to_owned()
                    );
                }
            }
            (None, Some(attachment), None) => self.attachment(attachment, media, &mut message)?,
            (None, None, Some(all)) if !all.is_empty() => {
                for attachment in all {
                    if text(attachment, "/type") != Some("image") {
                        return Err("Only images may be sent together".to_owned());
                    }
                    self.attachment(attachment, media, &mut message)?;
                }
            }
            _ => return Err("There must be one of text, attachment and attachments".to_owned()),
        }
        let replies = object.get("quick_replies").and_then(Value::as_array).cloned().unwrap_or_default();
        if replies.len() > 13 {
            return Err("There may be at most 13 quick replies".to_owned());
        }
        for reply in &replies {
            match text(reply, "/content_type") {
                Some("text") => {
                    length(reply, "/payload", 1, 1_000)?;
                    // Meta cuts longer titles.
                    let title = length(reply, "/title", 1, 1_000)?;
                    message.buttons.push(title.chars().take(20).collect());
                }
                Some(kind @ ("user_phone_number" | "user_email")) => message.buttons.push(kind.to_owned()),
                _ => return Err("The content_type of a quick reply is not valid".to_owned()),
            }
        }
        Ok(message)
    }

    fn send(&self, request: &Request, cx: &Context<'_>) -> Effect {
        let Some(body) = request.json().filter(Value::is_object) else {
            return Effect::Answer(meta::error(
                400,
                100,
                0,
                "Invalid parameter: the body is not a JSON object",
                cx,
            ));
        };
        if let Some(action) = text(&body, "/sender_action") {
            let known = ["typing_on", "typing_off", "mark_seen", "react", "unreact"].contains(&action);
            let to = text(&body, "/recipient/id");
            return Effect::Answer(match to {
                Some(to) if known && body.get("message").is_none() => {
                    Response::json(200, &json!({"recipient_id": to}))
                }
                _ => meta::error(400, 100, 2_018_048, "Invalid sender action", cx),
            });
        }
        match self.check(&body, cx.media) {
            Err(why) => Effect::Answer(meta::error(400, 100, 0, &why, cx)),
            Ok(mut message) => {
                message.id = format!("m_{}", cx.hex(1, 24));
                self.own(cx).clone_into(&mut message.from);
                let mut answer = json!({"message_id": message.id});
                if let Some(to) = text(&body, "/recipient/id") {
                    put(&mut answer, "recipient_id", to);
                }
                Effect::Accept(vec![message], Response::json(200, &answer))
            }
        }
    }

    fn upload(&self, request: &Request, cx: &Context<'_>) -> Effect {
        let id = cx.large(3).to_string();
        let parts = request.multipart().unwrap_or_default();
        let field = |name: &str| parts.iter().find(|part| part.name == name);
        let body = request.json().or_else(|| serde_json::from_slice(&field("message")?.content).ok());
        // JSON has the object under `message`; a form has a field of that name.
        let body = body.map(|body| body.get("message").cloned().unwrap_or(body)).unwrap_or_default();
        let (url, file) = (text(&body, "/attachment/payload/url"), field("filedata"));
        let (mime, name, content) = match (url, file) {
            (Some(url), None) if url.starts_with("http") => ("text/uri-list", url, url.to_owned().into()),
            (None, Some(file)) => (
                file.mime.as_deref().unwrap_or_default(),
                file.file_name.as_deref().unwrap_or_default(),
                file.content.clone(),
            ),
            _ => {
                return Effect::Answer(meta::error(
                    400,
                    100,
                    0,
                    "The attachment needs a url or filedata",
                    cx,
                ));
            }
        };
        let file = File { id: id.clone(), mime: mime.to_owned(), name: name.to_owned(), content };
        Effect::Store(file, Response::json(200, &json!({"attachment_id": id})))
    }

    fn profile(&self, id: &str, request: &Request, cx: &Context<'_>) -> Response {
        let all = json!({"first_name": "Ann", "last_name": "B", "name": "Ann B", "username": "ann",
            "profile_pic": format!("{}/cdn/0", cx.base)});
        let fields = request.query("fields").unwrap_or_default();
        let mut answer: Map<String, Value> =
            fields.split(',').filter_map(|field| Some((field.to_owned(), all.get(field)?.clone()))).collect();
        answer.insert("id".to_owned(), id.into());
        Response::json(200, &answer.into())
    }
}

impl Provider for Messenger {
    fn about(&self) -> &About {
        &self.about
    }

    fn did<'a>(&self, cx: &Context<'a>) -> &'a str {
        self.own(cx)
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if let Some(id) = request.path.strip_prefix("/cdn/") {
            return Effect::Answer(cx.file(id).unwrap_or_else(|| Response::text(404, "not found")));
        }
        let path = meta::path(request);
        let pieces: Vec<&str> = path.iter().map(String::as_str).collect();
        if let [app, "subscriptions"] = pieces.as_slice()
            && *app == cx.credential("app_id")
        {
            let object = if self.is_instagram() { "instagram" } else { "page" };
            return meta::subscriptions(request, object, cx);
        }
        let token = cx.credential("access_token");
        if !meta::has_token(request, token) {
            return Effect::Answer(meta::bad_token(cx));
        }
        if cx.credential("demand_proof") == "yes" {
            let proof = sign::hmac_sha256_hex(cx.credential("app_secret"), token.as_bytes());
            let body = request.json().unwrap_or_default();
            let given = request.query("appsecret_proof");
            if given.as_deref().or_else(|| text(&body, "/appsecret_proof")) != Some(&proof) {
                let why = "API calls from the server require an appsecret_proof argument";
                return Effect::Answer(meta::error(400, 100, 0, why, cx));
            }
        }
        let ours = |id: &str| id == "me" || id == self.own(cx) || id == cx.credential("page_id");
        match (request.method.as_str(), pieces.as_slice()) {
            ("POST", [id, "messages"]) if ours(id) => self.send(request, cx),
            ("POST", [id, "message_attachments"]) if ours(id) => self.upload(request, cx),
            ("POST", [id, "subscribed_apps"]) if ours(id) => {
                meta::subscribe(request.query("subscribed_fields").unwrap_or_default(), cx)
            }
            ("DELETE", [id, "subscribed_apps"]) if ours(id) => {
                Effect::Answer(Response::json(200, &json!({"success": true})))
            }
            ("GET", [id, "subscribed_apps"]) if ours(id) => {
                let fields = cx.webhook.and_then(|hook| hook.events.as_ref());
                let app = fields.map(|fields| json!({"id": cx.credential("app_id"), "name": "Router", "subscribed_fields": fields}));
                Effect::Answer(Response::json(200, &json!({"data": app.as_slice()})))
            }
            ("GET", [id]) if ours(id) => {
                let business = json!({"id": cx.credential("account_id")});
                let id = if *id == "me" { self.own(cx) } else { id };
                Effect::Answer(Response::json(
                    200,
                    &json!({"id": id, "user_id": self.own(cx), "name": "Simulated", "instagram_business_account": business}),
                ))
            }
            ("GET", [id]) if id.bytes().all(|octet| octet.is_ascii_alphanumeric()) => {
                Effect::Answer(self.profile(id, request, cx))
            }
            _ => Effect::Answer(meta::unknown(cx)),
        }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        match fault {
            Fault::WithoutId => Response::json(200, &json!({"recipient_id": "1"})),
            other => meta::fault(other, 613, "551", cx),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let words = inbound.text.as_str();
        let new = format!("m_{}", cx.hex(2, 24));
        let mid = or(&inbound.id, &new);
        let about = or(&inbound.about, "m_simulated");
        let tapped = or(words, "Red");
        let mut event = match (inbound.kind, file) {
            (Kind::Text, _) => json!({"message": {"mid": mid, "text": words}}),
            (kind, Some(file)) => {
                let name = match kind {
                    Kind::Video => "video",
                    Kind::Audio => "audio",
                    Kind::Document => "file",
                    _ => "image",
                };
                let mut payload = json!({"url": format!("{}/cdn/{}", cx.base, file.id)});
                if kind == Kind::Sticker && !self.is_instagram() {
                    put(&mut payload, "sticker_id", 369_239_263_222_822_u64);
                }
                json!({"message": {"mid": mid, "attachments": [{"type": name, "payload": payload}]}})
            }
            (Kind::Location, _) if !self.is_instagram() => json!({"message": {"mid": mid, "attachments": [{
                "type": "location", "payload": {"coordinates": {"lat": inbound.latitude, "long": inbound.longitude}}}]}}),
            (Kind::Button, _) => {
                json!({"message": {"mid": mid, "text": tapped, "quick_reply": {"payload": or(&inbound.payload, tapped)}}})
            }
            (Kind::List | Kind::Start, _) => {
                json!({"postback": {"mid": mid, "title": or(words, "Get Started"), "payload": or(&inbound.payload, "START")}})
            }
            (Kind::Reaction, _) if words.is_empty() => {
                json!({"reaction": {"mid": about, "action": "unreact"}})
            }
            (Kind::Reaction, _) => {
                json!({"reaction": {"mid": about, "action": "react", "reaction": "love", "emoji": words}})
            }
            (Kind::Edit, _) => json!({"message_edit": {"mid": about, "text": words, "num_edit": 1}}),
            (Kind::Delete, _) => json!({"message": {"mid": about, "is_deleted": true}}),
            (Kind::Unsupported, _) if self.is_instagram() => {
                json!({"message": {"mid": mid, "is_unsupported": true}})
            }
            (Kind::Unsupported, _) => {
                json!({"message": {"mid": mid, "attachments": [{"type": "fallback", "payload": {"title": "Shared"}}]}})
            }
            (Kind::OptIn, _) if !self.is_instagram() => {
                json!({"optin": {"ref": or(&inbound.payload, "r"), "user_ref": "ur"}})
            }
            (other, _) => {
                return Err(UnsupportedEvent::new(&self.about, other));
            }
        };
        if !inbound.about.is_empty() && event.pointer("/message/text").is_some() {
            overlay(&mut event, &json!({"message": {"reply_to": {"mid": inbound.about}}}));
        }
        overlay(
            &mut event,
            &json!({"sender": {"id": inbound.from.as_str()},
            "recipient": {"id": or(&inbound.to, self.own(cx))}, "timestamp": cx.now_ms}),
        );
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, .. } = *report;
        let (user, own) = (message.to.as_str(), self.own(cx));
        let mut event = match (status, self.product) {
            (ReportStatus::Delivered, MetaProduct::Facebook) => {
                json!({"delivery": {"mids": [message.id], "watermark": cx.now_ms}})
            }
            (ReportStatus::Read, MetaProduct::Facebook) => json!({"read": {"watermark": cx.now_ms}}),
            (ReportStatus::Read, MetaProduct::Instagram) => json!({"read": {"mid": message.id}}),
            (ReportStatus::Own("echo"), _) => {
                json!({"sender": {"id": own}, "recipient": {"id": user}, "message": {"mid": message.id,
                "is_echo": true, "app_id": cx.credential("app_id").parse::<u64>().unwrap_or_default(), "text": message.text}})
            }
            _ => return None,
        };
        let mut envelope = json!({"sender": {"id": user}, "recipient": {"id": own}, "timestamp": cx.now_ms});
        overlay(&mut envelope, &event.take());
        Some(envelope)
    }

    /// Puts up to two events of a page into one entry.
    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let mut entries: Vec<(String, Vec<Value>)> = Vec::new();
        for event in events {
            let echo = event.pointer("/message/is_echo").is_some();
            let page = text(event, if echo { "/sender/id" } else { "/recipient/id" }).unwrap_or_default();
            match entries.last_mut().filter(|(id, items)| *id == page && items.len() < 2) {
                Some((_, items)) => items.push(event.clone()),
                None => entries.push((page.to_owned(), vec![event.clone()])),
            }
        }
        let entry: Vec<Value> = entries
            .into_iter()
            // A change, such as a comment, is not a messaging event.
            .map(|(id, items)| match items.first().and_then(|item| item.get("changes")) {
                Some(changes) => json!({"id": self.own(cx), "time": cx.now_ms, "changes": changes}),
                None => json!({"id": id, "time": cx.now_ms, "messaging": items}),
            })
            .collect();
        let object = if self.is_instagram() { "instagram" } else { "page" };
        meta::post(url, &json!({"object": object, "entry": entry}), &cx.secret("app_secret"))
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-hub-signature-256"]
    }

    fn outside_window(&self, message: &Message) -> Option<OutsideWindow> {
        let how = text(&message.request, "/messaging_type").unwrap_or_default();
        (!matches!(how, "MESSAGE_TAG" | "UTILITY")).then_some(OutsideWindow::Refused("10/2018278"))
    }

    fn handshake(&self, url: &str, cx: &Context<'_>) -> Option<Handshake> {
        Some(meta::handshake(url, cx.credential("verify_token"), cx))
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        cx.account(match self.product {
            MetaProduct::Instagram => {
                &["access_token", "page_id", "account_id", "app_secret", "verify_token"]
            }
            MetaProduct::Facebook => &["access_token", "page_id", "app_secret", "verify_token"],
        })
    }
}
