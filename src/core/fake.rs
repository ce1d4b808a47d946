//! A router for tests of what is around it: it answers by the service identifier, and shows made-up views that
//! fill every page. It routes nothing.

use std::sync::{Arc, Mutex};

use actors::{
    Acceptance, MediaFile, NoFile, OpenSession, Origin, Page, Refusal, TailEvent,
    view::{
        ChannelCounts, ChannelView, DeadLetterView, DestinationView, DoubtView, EventView, ExchangeView,
        LinkView, MessageView, PartView, PlanView, SessionIdText, SessionView, UnmatchedView,
    },
    webhook,
};
use message::{
    ChannelId, MessageId, MessageStatus, Seq, SessionId, StreamId, Timestamp,
    cim::Message,
    event::{Cause, DoubtSettlement},
};
use tokio::sync::broadcast;

use super::{Core, Later};

/// The instant at which everything made up begins.
pub(crate) const START: Timestamp = Timestamp(1_790_000_000_000);

pub(crate) struct Fake {
    /// What was asked of it, in words.
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) tail: broadcast::Sender<Arc<TailEvent>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self { asked: Mutex::default(), tail: broadcast::channel(16).0 }
    }
}

pub(crate) fn session_id() -> SessionId {
    SessionId { stream: StreamId(0xfeed), ordinal: 1 }
}

pub(crate) fn event(
    seq: u64,
    after_ms: u64,
    event: &'static str,
    part: Option<u16>,
    detail: &str,
) -> EventView {
    EventView {
        seq: Seq(seq),
        at: START.plus_ms(after_ms),
        stream: "feed".into(),
        event,
        message: Some(1),
        part,
        detail: detail.into(),
    }
}

fn events() -> Vec<EventView> {
    vec![
        event(41, 0, "accepted", None, "m-1 Hello 😀"),
        event(42, 3, "submitting", None, "parts 1, 2, 3"),
        event(43, 21, "submitted", Some(1), "provider id 7f3a01"),
        event(44, 22, "submitted", Some(2), "provider id 7f3a02"),
        event(45, 30_022, "in_doubt", Some(3), "no answer in time; it is sent again"),
        event(46, 30_040, "submitted", Some(3), "provider id 7f3a09"),
        event(47, 31_020, "receipt", Some(1), "DELIVRD/000"),
        event(48, 31_021, "receipt", Some(2), "DELIVRD/000"),
        event(49, 4_200_000, "receipt", Some(3), "DELIVRD/000"),
    ]
}

fn session(at: Option<Timestamp>) -> SessionView {
    let events: Vec<_> = events().into_iter().filter(|e| at.is_none_or(|at| e.at <= at)).collect();
    SessionView {
        session_id: SessionIdText(session_id()),
        state: "open",
        channel: "sms-main".into(),
        did: "5155".into(),
        customer: "+4917600000001".into(),
        handler: "agent-7".into(),
        opened_at: START,
        last_activity: events.last().map_or(START, |e| e.at),
        closes_at: Some(START.plus_ms(5_000_000)),
        messages_open: 1,
        deliveries_waiting: 2,
        dead_letters: 1,
        snapshot: Some(format!("message 1\nevents {}\nhandler agent-7", events.len())),
        events,
    }
}

fn refusal(service_identifier: &str, id: Option<&MessageId>) -> Option<Refusal> {
    Some(match service_identifier {
        "unknown" => Refusal::UnknownChannel { service_identifier: "unknown".into(), known: "5155".into() },
        "unsendable" => Refusal::Unsendable(Cause::new("empty", "there is no text in it")),
        "busy" => Refusal::Busy { reason: "the disk is nearly full".into(), retry_after_s: 7 },
        "held" => Refusal::Held { session: session_id(), handler: "agent-1".into() },
        "taken" => Refusal::IdTaken(id.cloned().unwrap_or("x".into())),
        _ => return None,
    })
}

impl Fake {
    fn ask(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

fn soon<'a, T: Send + 'a>(value: T) -> Later<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Core for Fake {
    fn accept<'a>(
        &'a self,
        messages: Vec<Message>,
        origin: &'a Origin,
    ) -> Later<'a, Vec<Result<Acceptance, Refusal>>> {
        self.ask(format!("accept {} for {:?}", messages.len(), origin.destination));
        let each = messages.into_iter().map(|m| match refusal(&m.service_identifier, m.id.as_ref()) {
            Some(refusal) => Err(refusal),
            None => {
                let message_id = m.id.unwrap_or("drawn".into());
                let duplicate = message_id.as_str().starts_with("dup");
                Ok(Acceptance { message_id, duplicate, session: session_id() })
            }
        });
        soon(each.collect())
    }
    fn plan<'a>(&'a self, message: Message, _: &'a Origin) -> Later<'a, Result<PlanView, Refusal>> {
        self.ask("plan");
        soon(match refusal(&message.service_identifier, None) {
            Some(refusal) => Err(refusal),
            None => Ok(PlanView {
                channel: "sms-main".into(),
                provider: "smpp",
                because: "the only channel with 5155".into(),
                customer: "4917600000001".into(),
                did: "5155".into(),
                session_id: SessionIdText(session_id()),
                session_open: &*message.customer != "+1",
                text: "Hello".into(),
                alphabet: "Gsm7".into(),
                concatenation: "None".into(),
                parts: 1,
                messages: vec![],
                choices: vec![],
                sms_segments: None,
                adapted: vec![],
                priority: 0,
                destination: "support".into(),
                ahead_in_session: 0,
            }),
        })
    }
    fn message<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<MessageView, Refusal>> {
        if id.as_str() == "none" {
            return soon(Err(Refusal::NotFound("message")));
        }
        let part = |part, provider_id: &str, resent_in_doubt| PartView {
            part,
            status: MessageStatus::Delivered,
            provider_id: provider_id.into(),
            tries: 1,
            resent_in_doubt,
        };
        soon(Ok(MessageView {
            message_id: id.clone(),
            status: MessageStatus::Delivered,
            session_id: SessionIdText(session_id()),
            channel: "sms-main".into(),
            customer: "+4917600000001".into(),
            did: "5155".into(),
            accepted_at: START,
            adapted: vec!["buttons became a numbered list".into()],
            parts: vec![part(1, "7f3a01", 0), part(2, "7f3a02", 0), part(3, "7f3a09", 1)],
            events: events(),
        }))
    }
    fn exchanges(
        &self,
        channel: &ChannelId,
        message: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Arc<ExchangeView>>, Refusal> {
        self.ask(format!("exchanges of {channel} for {message:?} limit {limit}"));
        if channel.as_str() == "nope" {
            return Err(Refusal::NotFound("channel"));
        }
        Ok(vec![Arc::new(ExchangeView {
            at: START.plus_ms(4),
            method: "POST",
            url: "https://api.provider.example/v2/messages".into(),
            body: "{\"text\":\"Hello <b>\"}".into(),
            status: Some(503),
            answer: "no room for <b>".into(),
            took_ms: 17,
            message_id: Some("m".into()),
            part: Some(1),
            error: None,
        })])
    }
    fn cancel<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<(), Refusal>> {
        soon(match id.as_str() {
            "late" => Err(Refusal::TooLate("parts of it were sent already".into())),
            "none" => Err(Refusal::NotFound("message")),
            _ => Ok(()),
        })
    }
    fn open_session(&self, request: OpenSession) -> Later<'_, Result<SessionView, Refusal>> {
        self.ask(format!("open for {:?} takeover {}", request.handler, request.takeover));
        soon(match refusal(&request.service_identifier, None) {
            Some(Refusal::Held { .. }) if request.takeover => Ok(session(None)),
            Some(refusal) => Err(refusal),
            None => Ok(session(None)),
        })
    }
    fn session(&self, id: SessionId, at: Option<Timestamp>) -> Later<'_, Result<SessionView, Refusal>> {
        soon(if id == session_id() { Ok(session(at)) } else { Err(Refusal::NotFound("session")) })
    }
    fn end_session(&self, id: SessionId) -> Later<'_, Result<(), Refusal>> {
        self.ask(format!("end {id}"));
        soon(if id == session_id() { Ok(()) } else { Err(Refusal::NotFound("session")) })
    }
    fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<SessionView>, Refusal>> {
        self.ask(format!("sessions after {after:?} limit {limit}"));
        let mut view = session(None);
        (view.events, view.snapshot) = (Vec::new(), None);
        let next = (after.is_none()).then(session_id);
        soon(Ok(Page { items: vec![view; limit.min(3)], next }))
    }
    fn channels(&self) -> Later<'_, Vec<ChannelView>> {
        let link = |link, status, reason: &str, attempts| LinkView {
            link,
            status,
            reason: reason.into(),
            since: START,
            attempts,
            outstanding: 12,
        };
        let channel = |id: &str, name: &str, status, reason: &str, links| ChannelView {
            id: id.into(),
            name: name.into(),
            provider: "smpp",
            dids: vec!["5155".into(), "5156".into()],
            status,
            reason: reason.into(),
            since: START,
            links,
            send_rate: 100.0,
            paused_until: None,
            sessions_waiting: 4,
            parts_outstanding: 24,
            receipts_unmatched: 2,
            set_up: None,
            account: Vec::new(),
            counts: ChannelCounts {
                submitted: 1_234_567,
                receipts: 1_230_001,
                received: 9_120,
                ..Default::default()
            },
        };
        soon(vec![
            channel(
                "sms-main",
                "Main SMS",
                "connected",
                "",
                vec![link(1, "bound", "", 1), link(2, "bound", "", 1)],
            ),
            channel(
                "sms-spare",
                "Spare SMS",
                "credentials_refused",
                "bind refused: 0x0000000E (invalid password); change the password and start again",
                vec![link(1, "stopped", "bind refused", 3)],
            ),
        ])
    }
    fn destinations(&self) -> Later<'_, Vec<DestinationView>> {
        soon(vec![DestinationView {
            id: "support".into(),
            url: "http://127.0.0.1:9000/cim".into(),
            status: "down",
            reason: "connection refused".into(),
            since: START,
            sessions_waiting: 3,
            posts_outstanding: 1,
            taken: 52_113,
            failed: 17,
        }])
    }
    fn restart_channel<'a>(&'a self, id: &'a ChannelId) -> Later<'a, Result<(), Refusal>> {
        self.ask(format!("restart {id}"));
        soon(if id.as_str() == "sms-main" { Ok(()) } else { Err(Refusal::NotFound("channel")) })
    }
    fn unmatched<'a>(
        &'a self,
        _: Option<&'a ChannelId>,
        after: u32,
        limit: usize,
    ) -> Later<'a, Vec<UnmatchedView>> {
        let receipt = UnmatchedView {
            number: 1,
            channel: "sms-main".into(),
            provider_id: "00c0ffee".into(),
            customer: "4917600000001".into(),
            did: "5155".into(),
            code: "DELIVRD/000".into(),
            received_at: START,
        };
        soon(if after == 0 { vec![receipt; limit.min(2)] } else { Vec::new() })
    }
    fn in_doubt(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<DoubtView>, Refusal>> {
        self.ask(format!("in doubt after {after:?}"));
        let doubt = |held, resent| DoubtView {
            message_id: "5f0c1f2e-6d2b-4b7e-9a61-0a7b6a1d9c01".into(),
            part: 3,
            session_id: SessionIdText(session_id()),
            channel: "sms-main".into(),
            customer: "+4917600000001".into(),
            resent,
            held,
        };
        let items = [doubt(true, 0), doubt(false, 1)].into_iter().take(limit).collect();
        soon(Ok(Page { items, next: None }))
    }
    fn settle_doubt<'a>(
        &'a self,
        id: &'a MessageId,
        part: u16,
        by: DoubtSettlement,
    ) -> Later<'a, Result<(), Refusal>> {
        self.ask(format!("settle {id} {part} {by:?}"));
        soon(Ok(()))
    }
    fn dead_letters(
        &self,
        _: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<DeadLetterView>, Refusal>> {
        let letter = DeadLetterView {
            id: "0000000000000000000000000000feed-7".into(),
            session_id: SessionIdText(session_id()),
            destination: "support".into(),
            kind: "notification",
            reason: "HTTP 500 for 2 days".into(),
        };
        soon(Ok(Page { items: vec![letter; limit.min(1)], next: None }))
    }
    fn replay_dead_letter<'a>(&'a self, id: &'a str) -> Later<'a, Result<(), Refusal>> {
        self.ask(format!("replay {id}"));
        soon(Ok(()))
    }
    fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        self.tail.subscribe()
    }
    fn accepting(&self) -> Result<(), Refusal> {
        Ok(())
    }
    fn webhook_bytes_max(&self, channel: &ChannelId) -> Option<usize> {
        (channel.as_str() == "http").then_some(1_024)
    }
    fn media<'a>(&'a self, _channel: &'a ChannelId, token: &'a str) -> Later<'a, Result<MediaFile, NoFile>> {
        let answer = match token {
            "picture" => Ok(MediaFile {
                content_type: "image/png".into(),
                name: None,
                octets: bytes::Bytes::from_static(b"octets"),
            }),
            "gone" => Err(NoFile::Refused("expired (http 404)".into())),
            "busy" => Err(NoFile::Busy),
            _ => Err(NoFile::Unknown),
        };
        Box::pin(async move { answer })
    }
    fn shared_webhook<'a>(&'a self, call: &'a webhook::Call) -> Later<'a, webhook::Answer> {
        self.ask(format!("shared {} {}", call.method, call.url));
        Box::pin(async { webhook::Answer::Reply(channels::http::Reply::text("EVENT_RECEIVED")) })
    }
    fn webhook<'a>(&'a self, channel: &'a ChannelId, call: &'a webhook::Call) -> Later<'a, webhook::Answer> {
        self.ask(format!("{} {channel} {} {}", call.method, call.url, String::from_utf8_lossy(&call.body)));
        let answer = match call.body.as_ref() {
            b"wrong" => webhook::Answer::Refused {
                status: 403,
                reason: "the signature does not fit".into(),
                challenge: Some("Basic"),
            },
            b"odd" => webhook::Answer::Malformed("the body is no JSON".into()),
            b"later" => webhook::Answer::Busy { reason: "not stored".into(), retry_after_s: 5 },
            _ => webhook::Answer::Reply(channels::http::Reply::json("{}")),
        };
        Box::pin(async move { answer })
    }
    fn committed(&self) -> Seq {
        Seq(4_711)
    }
}
