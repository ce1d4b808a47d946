//! Reads Telegram's updates: messages, edits, pressed buttons, reactions, votes, membership of the
//! bot. The place (chat, topic or business connection) is the customer, so that replies go where
//! the words came from; in groups the person is an attribute. Words of the business itself, of its
//! bot and of other bots are not read: an answer to them would be an answer to ourselves.

use std::sync::Arc;

use message::{BodyType, Content};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{
    content::{self, Said, UpdateBody},
    events::EVENTS,
    place::{ChatPlace, Within},
    rich,
};
use crate::{
    contract::{
        InEvent, InMessage, InMove, Received,
        events::{Fate, fate, note_unknown},
    },
    toolkit::{inbound_body, json},
};

/// The attribute with the id by which a pressed button is acknowledged.
pub(super) const CALLBACK: &str = "callbackQueryId";

/// Maximum number of deleted messages of one update that are told; Telegram names up to 100.
const DELETED_MAX: usize = 1_000;

/// The events of an update: none when it is ignored for a reason of the table.
type ReadUpdate = Result<Vec<InEvent>, Box<str>>;

/// Reads one update. `bot` is the id of our own bot, which is in its token.
pub(super) fn update(bot: &str, update: &Value, received: &mut Received) {
    let id = json::text(update, "/update_id").unwrap_or_default();
    let members = update.as_object().into_iter().flatten().filter(|(kind, _)| *kind != "update_id");
    if members.clone().next().is_none() {
        note_unknown(&mut received.unknown, "update", "without content");
    }
    for (kind, item) in members {
        let mut reader = UpdateReader { bot, update_id: &id, unknown: &mut received.unknown };
        let read = match fate(EVENTS, "update", kind) {
            None => {
                reader.note("update", kind);
                continue;
            }
            Some(Fate::Ignored(_)) => Ok(Vec::new()),
            Some(_) => reader.read(kind, item),
        };
        match read {
            Ok(events) if events.is_empty() => received.ignored += 1,
            Ok(events) => received.events.extend(events),
            Err(problem) => received.events.push(InEvent::Broken(problem)),
        }
    }
}

fn needed(item: &Value, pointer: &str) -> Result<String, Box<str>> {
    let text = json::some_text(item, pointer);
    text.map(|text| text.into_owned()).ok_or_else(|| format!("{pointer} is missing").into())
}

fn place(item: &Value) -> Result<ChatPlace, Box<str>> {
    ChatPlace::of(item).ok_or_else(|| "/chat/id is missing".into())
}

fn event(message: InMessage) -> Vec<InEvent> {
    vec![InEvent::Message(Box::new(message))]
}

fn with(message: &mut InMessage, key: &str, value: &str) {
    if !value.is_empty() {
        message.attributes.push((key.into(), value.into()));
    }
}

/// Returns whether somebody of the business acts, where a place has two writers: in a business
/// account's chat its owner, whose number is not the chat's; in a channel's direct messages its
/// administrators, who speak as the channel.
fn is_owner(item: &Value, place: &ChatPlace) -> bool {
    let text = |pointer: &str| json::some_text(item, pointer);
    let is_other = |customer: &str| text("/from/id").is_some_and(|id| id != customer);
    match &place.within {
        Within::Business(_) => is_other(&place.chat),
        Within::Direct(_) => {
            let customer = text("/direct_messages_topic/user/id");
            item.get("sender_chat").is_some() || customer.is_some_and(|customer| is_other(&customer))
        }
        Within::Chat | Within::Topic(_) => false,
    }
}

fn is(item: &Value, pointer: &str) -> bool {
    json::at(item, pointer).and_then(Value::as_bool) == Some(true)
}

struct UpdateReader<'a> {
    bot: &'a str,
    update_id: &'a str,
    unknown: &'a mut Vec<Box<str>>,
}

impl UpdateReader<'_> {
    fn note(&mut self, place: &str, name: &str) {
        note_unknown(self.unknown, place, name);
    }

    fn read(&mut self, kind: &str, item: &Value) -> ReadUpdate {
        match kind {
            "message" | "business_message" => self.written(item),
            "edited_message" | "edited_business_message" => self.edited(item),
            "deleted_business_messages" => deleted(item),
            "business_connection" => connection(item),
            "callback_query" => self.pressed(item),
            "message_reaction" => self.reaction(item),
            "poll_answer" => self.vote(item),
            "purchased_paid_media" => self.purchase(item),
            "my_chat_member" => self.membership(item),
            other => Err(format!("the update {other} is in the table and not read").into()),
        }
    }

    /// Returns whether a message is not the customer's, as the rows `from:` of the table say.
    fn is_own(&self, item: &Value, place: &ChatPlace) -> bool {
        let text = |pointer: &str| json::some_text(item, pointer);
        let chat = text("/chat/id");
        if item.get("sender_business_bot").is_some() || is(item, "/is_automatic_forward") {
            return true;
        }
        if is_owner(item, place) || text("/via_bot/id").is_some_and(|id| id == self.bot) {
            return true;
        }
        match text("/sender_chat/id") {
            // An administrator speaks as the group itself. A person who speaks as a channel of
            // their own has a sender that is called a bot.
            Some(sender) => Some(sender) == chat,
            None => is(item, "/from/is_bot"),
        }
    }

    fn written(&mut self, item: &Value) -> ReadUpdate {
        let place = place(item)?;
        let number = needed(item, "/message_id")?;
        if self.is_own(item, &place) {
            return Ok(Vec::new());
        }
        let body = match content::said(item) {
            Said::Body(body) => body,
            Said::Unknown(kind) => {
                self.note("message", &kind);
                content::unsupported(&kind)
            }
            Said::Admitted => {
                let (customer, id) = (place.to_string().into(), place.message(&number).into());
                return Ok(vec![InEvent::OptOut { did: "".into(), customer, out: false, id }]);
            }
            Said::Moved => return Ok(moved(item, &place)),
            Said::Nothing => return Ok(Vec::new()),
        };
        Ok(event(message(item, &place, &number, body)))
    }

    fn edited(&mut self, item: &Value) -> ReadUpdate {
        // Two edits within a second have one date.
        let changed = json::text(item, "/edit_date").unwrap_or_default();
        let changed = [&*changed, self.update_id].join("-");
        let mut events = self.written(item)?;
        for event in &mut events {
            if let InEvent::Message(message) = event {
                let of = message.id.clone();
                message.id = format!("{of}#edit{changed}").into();
                with(message, "edits", &of);
                message.reply_to = Some(of);
            }
        }
        Ok(events)
    }

    fn id(&self) -> String {
        if self.update_id.is_empty() { String::new() } else { format!("update:{}", self.update_id) }
    }

    /// Reads that the bot was removed, or admitted again. A change of its rights says nothing.
    fn membership(&mut self, item: &Value) -> ReadUpdate {
        let customer = place(item)?.to_string().into();
        let word = needed(item, "/new_chat_member/status")?;
        if fate(EVENTS, "member", &word).is_none() {
            self.note("member", &word);
            return Ok(Vec::new());
        }
        let is_out = |member: &str| {
            let status = json::some_text(item, &format!("{member}/status"))?;
            Some(match &*status {
                "kicked" | "left" => true,
                "restricted" => !is(item, &format!("{member}/is_member")),
                _ => false,
            })
        };
        let (before, now) = (is_out("/old_chat_member"), is_out("/new_chat_member"));
        match now {
            Some(out) if before != now => {
                Ok(vec![InEvent::OptOut { did: "".into(), customer, out, id: self.id().into() }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Reads a pressed button: Telegram sends its data; its label is on the message's own keyboard.
    fn pressed(&self, item: &Value) -> ReadUpdate {
        let id = needed(item, "/id")?;
        let person_id = needed(item, "/from/id")?;
        let shown = item.get("message").unwrap_or(&Value::Null);
        // A message that was sent by inline mode is not told.
        let place = ChatPlace::of(shown).unwrap_or(ChatPlace { chat: person_id, within: Within::Chat });
        if is_owner(item, &place) {
            return Ok(Vec::new());
        }
        let data =
            json::text(item, "/data").or_else(|| json::text(item, "/game_short_name")).unwrap_or_default();
        let rows = json::items(shown, "/reply_markup/inline_keyboard").iter();
        let mut buttons = rows.flat_map(|row| json::items(row, ""));
        let title = buttons
            .find(|button| json::text(button, "/callback_data").is_some_and(|known| known == data))
            .and_then(|button| json::text(button, "/text"))
            .unwrap_or_default();
        let (content, attribute) = inbound_body::pressed(&title, &data);
        let mut message = InMessage::new("", &place.to_string(), &format!("callback:{id}"), content);
        message.attributes.extend(attribute);
        with(&mut message, CALLBACK, &id);
        message.reply_to = json::some_text(shown, "/message_id").map(|number| place.message(&number).into());
        person(&mut message, item, "/from");
        Ok(event(message))
    }

    /// Reads a vote in a poll that is not anonymous; options are counted from 0 as Telegram does.
    fn vote(&self, item: &Value) -> ReadUpdate {
        let poll = needed(item, "/poll_id")?;
        let Some(person_id) = json::some_text(item, "/user/id") else { return Ok(Vec::new()) };
        let options: Vec<String> = json::items(item, "/option_ids").iter().map(Value::to_string).collect();
        if options.is_empty() {
            return Ok(Vec::new());
        }
        let options = options.join(",");
        // A customer may choose, choose anew and return to the first choice.
        let id = format!("poll:{poll}:{person_id}:{options}:{}", self.update_id);
        let mut message =
            InMessage::new("", &person_id, &id, Content::Text(format!("[vote: {options}]").into()));
        with(&mut message, "pollId", &poll);
        with(&mut message, "pollOptions", &options);
        person(&mut message, item, "/user");
        Ok(event(message))
    }

    fn reaction(&mut self, item: &Value) -> ReadUpdate {
        let place = place(item)?;
        let of = place.message(&needed(item, "/message_id")?);
        let Some(person_id) = json::some_text(item, "/user/id").filter(|_| !is(item, "/user/is_bot")) else {
            return Ok(Vec::new());
        };
        let mut words = String::new();
        for reaction in json::items(item, "/new_reaction") {
            let text = |key: &str| json::text(reaction, key).unwrap_or_default();
            let kind = text("/type");
            if fate(EVENTS, "reaction", &kind).is_none() {
                self.note("reaction", &kind);
                return Ok(Vec::new());
            }
            match &*kind {
                "emoji" => words.push_str(&text("/emoji")),
                "custom_emoji" => words.push_str(&format!("[custom emoji {}]", text("/custom_emoji_id"))),
                _ => words.push('⭐'),
            }
        }
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let at = json::text(item, "/date").unwrap_or_default();
        let id = format!("{of}#reaction:{person_id}:{at}");
        let content = Content::Text(words.as_str().into());
        let mut message = InMessage::new("", &place.to_string(), &id, content);
        message.time = json::time(item, "/date");
        message.reply_to = Some(of.into());
        // An update about a reaction names the chat and no topic.
        message.is_placed_by_reply = place.within == Within::Chat;
        with(&mut message, "reaction", &words);
        person(&mut message, item, "/user");
        Ok(event(message))
    }

    fn purchase(&self, item: &Value) -> ReadUpdate {
        let customer = needed(item, "/from/id")?;
        let payload = json::text(item, "/paid_media_payload").unwrap_or_default();
        let words = format!("bought paid media: {payload}");
        let data = json!({"purchasedPaidMedia": payload});
        let mut message = InMessage::notice("", &customer, &self.id(), &words, data);
        with(&mut message, "payload", &payload);
        person(&mut message, item, "/from");
        Ok(event(message))
    }
}

/// Returns a customer's message.
fn message(item: &Value, place: &ChatPlace, number: &str, body: UpdateBody) -> InMessage {
    // Ephemeral messages have the number 0 and an id of their own, which is used again later.
    let id = match json::some_text(item, "/ephemeral_message_id").filter(|_| number == "0") {
        Some(own) => format!("{number}#{own}:{}", json::text(item, "/date").unwrap_or_default()),
        None => number.to_owned(),
    };
    let mut message = InMessage::new("", &place.to_string(), &place.message(&id), body.content);
    message.media = body.media;
    message.time = json::time(item, "/date");
    // In a topic, what answers nothing answers the message that opened the topic.
    let opening = json::text(item, "/message_thread_id").filter(|_| matches!(place.within, Within::Topic(_)));
    message.reply_to = json::some_text(item, "/reply_to_message/message_id")
        .filter(|number| opening.as_ref() != Some(number))
        .map(|number| place.message(&number).into());
    message.attributes = body.attributes.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    with(&mut message, "payload", link_payload(&json::text(item, "/text").unwrap_or_default()));
    person(&mut message, item, "/from");
    with(&mut message, "quote", &rich::text(item, "/quote/text", "/quote/entities"));
    for (key, pointer) in [
        ("mediaGroupId", "/media_group_id"),
        ("threadId", "/message_thread_id"),
        ("businessConnectionId", "/business_connection_id"),
        ("viaBot", "/via_bot/username"),
    ] {
        with(&mut message, key, &json::text(item, pointer).unwrap_or_default());
    }
    if item.get("forward_origin").is_some() {
        with(&mut message, "forwarded", "true");
    }
    message
}

/// Returns the payload of the link that opened the chat (`/start promo7`), or that brought the bot
/// into a group (`/start@shop_bot promo7`).
fn link_payload(text: &str) -> &str {
    let rest = text.strip_prefix("/start").unwrap_or_default();
    let (name, payload) = rest.split_once(' ').unwrap_or_default();
    if name.is_empty() || name.starts_with('@') { payload.trim() } else { "" }
}

/// Adds the sender, and the group, to a message.
fn person(message: &mut InMessage, item: &Value, who: &str) {
    let who = if item.get("sender_chat").is_some() { "/sender_chat" } else { who };
    let text = |key: &str| json::text(item, &format!("{who}/{key}")).unwrap_or_default();
    let name = format!("{} {} {}", text("first_name"), text("last_name"), text("title"));
    with(message, "customerName", name.trim());
    with(message, "username", &text("username"));
    with(message, "language", &text("language_code"));
    let chat = if item.get("chat").is_some() { "/chat" } else { "/message/chat" };
    let of_chat = |key: &str| json::text(item, &format!("{chat}/{key}")).unwrap_or_default();
    let kind = of_chat("type");
    if !kind.is_empty() && kind != "private" {
        with(message, "senderId", &text("id"));
        with(message, "chatType", &kind);
        with(message, "chatTitle", &of_chat("title"));
    }
}

/// Tells that a group became a supergroup, which is where it is reached from then on. Both groups
/// say so; the old number never gets another owner.
fn moved(item: &Value, place: &ChatPlace) -> Vec<InEvent> {
    let to = json::some_text(item, "/migrate_to_chat_id");
    let from = json::some_text(item, "/migrate_from_chat_id");
    let (old, new) = match (&to, &from) {
        (Some(new), _) => (place.chat.as_str(), &**new),
        (None, Some(old)) => (&**old, place.chat.as_str()),
        (None, None) => return Vec::new(),
    };
    let words = format!("the group is a supergroup now: {new}");
    let data = json!({"customerMoved": {"from": old, "to": new}});
    let mut notice = InMessage::notice("", new, &format!("moved:{old}:{new}"), &words, data);
    notice.time = json::time(item, "/date");
    with(&mut notice, "previousCustomerIdentifier", old);
    let names = |name: &str| SmallVec::from_iter([Arc::from(name)]);
    let (previous, names) = (names(old), names(new));
    vec![InEvent::Moved(Box::new(InMove { previous, names, released: SmallVec::new(), notice }))]
}

/// Reads the end of messages in a business account's chat.
fn deleted(item: &Value) -> ReadUpdate {
    let place = place(item)?;
    let numbers = json::items(item, "/message_ids").iter().filter_map(|number| json::some_text(number, ""));
    let told = numbers.take(DELETED_MAX).map(|number| {
        let id = place.message(&number);
        let body = json!({"type": "DELETEDNOTIFICATION", "messageId": id});
        let content = inbound_body::rich(BodyType::DeletedNotification, body);
        let mut message = InMessage::new("", &place.to_string(), &format!("{id}#deleted"), content);
        message.reply_to = Some(id.into());
        InEvent::Message(Box::new(message))
    });
    Ok(told.collect())
}

/// Reads that a business account lets the bot speak for it, or no longer.
fn connection(item: &Value) -> ReadUpdate {
    let id = needed(item, "/id")?;
    let owner = json::text(item, "/user/username").or_else(|| json::text(item, "/user/id"));
    let owner = owner.unwrap_or_default();
    // Before Bot API 9.0 the right to reply stood beside the others.
    let replies = is(item, "/rights/can_reply") || is(item, "/can_reply");
    let says = match (is(item, "/is_enabled"), replies) {
        (false, _) => format!("of {owner}: ended; messages through it are refused"),
        (true, false) => format!("of {owner}: without the right to reply; messages are refused"),
        (true, true) => format!("of {owner}: may reply"),
    };
    Ok(vec![InEvent::Account { about: format!("business connection {id}").into(), says: says.into() }])
}
