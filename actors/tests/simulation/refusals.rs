//! Only proof about the channel stops a channel, and a stopped channel recovers by itself. Each
//! case runs the whole router on virtual time, with a provider that answers as the case says.

use std::sync::{Arc, Mutex};

use actors::{
    Config, Origin, Router, Seams,
    config::{HttpConfig, OnUnknown},
    seams::{BoxFuture, Call, CallError, HttpClient},
    view::ChannelView,
};
use channels::{
    Channel,
    http::{Request, Response},
};
use message::{BodyType, Content, Event, MessageId, MessageStatus, cim};
use storage::{Driver, Log, MemoryDisk, Options, Stored};
use tokio::time::sleep_until;

use crate::{
    connection::{HANGS_UP, NO_ANSWER},
    rng::Rng,
    run,
    script::{ApiPlan, ChannelPlan, DestinationPlan, MessagePlan, Op, Script, did},
    world::World,
};

/// Answers a call at an instant: delay in milliseconds, status, body.
type Answers = dyn Fn(&Request, u64) -> (u64, u16, String) + Send + Sync;

/// The calls with their instants.
type Calls = Arc<Mutex<Vec<(u64, String)>>>;

/// A provider that answers as a case says, and records the calls with their instants.
#[derive(Clone)]
struct Scripted {
    world: Arc<World>,
    answers: Arc<Answers>,
    calls: Calls,
}

impl HttpClient for Scripted {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        let this = self.clone();
        Box::pin(async move {
            let now = this.world.now_ms();
            this.calls.lock().unwrap().push((now, call.request.url.clone()));
            call.left.set(true);
            let (delay, status, body) = (this.answers)(&call.request, now);
            tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
            Ok(Response { status, headers: Vec::new(), body: body.into() })
        })
    }
}

/// A script of one channel without faults, and of no messages.
fn quiet(rng: &mut Rng, api: Option<ApiPlan>) -> Script {
    let mut script = Script::new(rng);
    let channel = ChannelPlan {
        on_unknown: OnUnknown::Resend,
        doubt_grace_ms: 500,
        send_rate: 1_000.0,
        window: 10,
        destination: 0,
        account: "host = \"smsc0\"\nsystem_id = \"pb\"\npassword = \"pw\"\nwindow = 10\n\
                  bind_timeout = \"3s\"\nconnect_timeout = \"2s\"\n"
            .to_owned(),
        tries_max: 20,
        closed: Vec::new(),
        bindless: Vec::new(),
        throttling: Vec::new(),
        full_for: None,
        faults: 0,
        api,
        ..script.channels[0].clone()
    };
    script.channels = vec![channel];
    script.destinations = vec![DestinationPlan { batch_max: 1, connections: 4, down: Vec::new(), faults: 0 }];
    (script.messages, script.mos, script.ops, script.ends) = Default::default();
    (script.limits, script.flush_ms_max) = (Default::default(), 5);
    script
}

/// The end of a case.
struct Ended {
    events: Vec<Stored>,
    channel: ChannelView,
}

impl Ended {
    fn stops(&self) -> usize {
        self.events.iter().filter(|stored| matches!(stored.event, Event::ChannelStopped { .. })).count()
    }
}

/// A router on virtual time, to which a case talks.
struct Case {
    world: Arc<World>,
    router: Router,
    log: Log,
}

impl Case {
    async fn start(world: &Arc<World>, seams: Seams, channel: Option<Arc<dyn Channel>>) -> Self {
        world.begin(0);
        world.lock().quiet = true;
        let options = Options { driver: Driver::Inline, disk_reserve_bytes: 0, ..Options::default() };
        let (log, _) = Log::open(MemoryDisk::new().engine(), options).unwrap();
        let mut config: Config = world.lock().script.config();
        for (entry, channel) in config.channels.iter_mut().zip(channel) {
            (entry.channel, entry.http) = (channel, HttpConfig::default());
        }
        let router = Router::start(config, log.clone(), seams).await.unwrap();
        tokio::spawn(run::drive(world.clone(), log.clone()));
        Self { world: world.clone(), router, log }
    }

    async fn until(&self, at_ms: u64) {
        sleep_until(self.world.instant(at_ms)).await;
    }

    async fn send(&self, id: &str, customer: &str, content: Content) {
        let message = cim::Message {
            id: Some(MessageId::new(id)),
            customer: customer.into(),
            service_identifier: did(0).into(),
            channel_type: None,
            intent: cim::Intent::None,
            original_message_id: None,
            provider_message_id: None,
            conversation_id: None,
            channel_session_id: None,
            sender: None,
            priority: None,
            timestamp: None,
            scheduling: cim::Scheduling { send_at: None, validity_ms: None, expires_at: None },
            content,
            handling: message::event::SmsHandling::PLAIN,
            channel_data_json: None,
        };
        let answers = self.router.accept(vec![message], &Origin::default()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    async fn text(&self, id: &str, customer: &str) {
        self.send(id, customer, Content::Text(format!("<{id}>").into())).await;
    }

    async fn status(&self, id: &str) -> MessageStatus {
        self.router.message(&MessageId::new(id)).await.unwrap().status
    }

    async fn channel(&self) -> ChannelView {
        self.router.channels().await.remove(0)
    }

    async fn end(self) -> Ended {
        let channel = self.channel().await;
        Ended { events: self.log.read(message::Seq(1)).map_while(Result::ok).collect(), channel }
    }
}

pub(crate) fn on_virtual_time<F: Future>(case: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(case)
}

pub(crate) fn world(api: Option<ApiPlan>, change: impl FnOnce(&mut Script)) -> Arc<World> {
    let mut rng = Rng::new(7);
    let mut script = quiet(&mut rng, api);
    change(&mut script);
    World::with(script, rng, false)
}

fn scripted(
    world: &Arc<World>,
    answers: impl Fn(&Request, u64) -> (u64, u16, String) + Send + Sync + 'static,
) -> (Seams, Calls) {
    let calls = Arc::default();
    let client = Scripted { world: world.clone(), answers: Arc::new(answers), calls: Arc::clone(&calls) };
    (Seams { client: Arc::new(client), ..world.seams() }, calls)
}

const API: ApiPlan = ApiPlan { connections: 16, timeout_ms: 5_000, probes: true, polls: false };
const ANN: &str = "4917600000001";
const BEN: &str = "4917600000002";

/// Calls that were begun before an operator's restart of the channel are answered 401 after it.
/// `probes`: the refusal was confirmed by a probe; otherwise 402 is proof by itself.
#[test]
fn a_refusal_of_what_was_begun_before_a_restart_stops_nothing() {
    for (probes, polls, refusal) in [(true, false, 401), (false, false, 402), (true, true, 401)] {
        on_virtual_time(async move {
            let plan = ApiPlan { probes, polls, ..API };
            let world = world(Some(plan), |_| {});
            // The API is repaired after one second; what came before is refused, some of it late.
            let (seams, _) = scripted(&world, move |request, now| {
                let is_late = request.url.contains("updates") || format!("{:?}", request.body).contains(BEN);
                match (now < 1_000, is_late) {
                    _ if now < 50 && request.url.contains("probe") => (0, 200, "[]".into()),
                    (true, false) => (50, refusal, "no".into()),
                    (true, true) => (2_000, refusal, "no".into()),
                    (false, _) if request.url.contains("updates") => (3_000, 200, "[]".into()),
                    (false, _) => (0, 200, format!("id-{now}")),
                }
            });
            let case = Case::start(&world, seams, None).await;
            case.until(200).await;
            case.text("a", ANN).await;
            case.text("b", BEN).await;
            case.until(900).await;
            assert_eq!(case.channel().await.status, "credentials_refused", "{probes} {polls}");
            case.until(1_100).await;
            case.router.control().restart(&crate::script::channel_id(0).as_str().into()).await.unwrap();
            for at_ms in (1_300..6_000).step_by(100) {
                case.until(at_ms).await;
                let channel = case.channel().await;
                assert_eq!(channel.status, "connected", "{at_ms} ms, {probes} {polls}: {channel:?}");
            }
            for id in ["a", "b"] {
                assert_eq!(case.status(id).await, MessageStatus::Sent, "{id}, {probes} {polls}");
            }
            assert_eq!(case.end().await.stops(), 1, "{probes} {polls}");
        });
    }
}

/// Whether or not the provider can be probed, and whatever shows that the credentials are refused.
#[test]
fn a_channel_with_refused_credentials_probes_with_growing_pauses_and_recovers_by_itself() {
    for (probes, refusal) in [(true, 401), (true, 402), (false, 402), (false, 401), (false, 403)] {
        on_virtual_time(async move {
            let world = world(Some(ApiPlan { probes, ..API }), |_| {});
            let (seams, calls) = scripted(&world, move |_, now| match now {
                100..100_000 => (10, refusal, "no".into()),
                _ => (10, 200, format!("id-{now}")),
            });
            let case = Case::start(&world, seams, None).await;
            case.until(200).await;
            for n in 0..20 {
                case.text(&format!("m{n}"), &format!("49176000000{n:02}")).await;
            }
            case.until(8_000).await;
            let channel = case.channel().await;
            assert_eq!(channel.status, "credentials_refused", "{probes} {refusal}: {channel:?}");
            assert!(channel.reason.contains("next try in"), "{channel:?}");
            assert!(channel.links[0].next_try.is_some(), "{channel:?}");
            case.until(99_999).await;
            let asked = calls.lock().unwrap().len();
            assert!((4..=45).contains(&asked), "{asked} calls into a refusal, {probes} {refusal}");
            case.until(300_000).await;
            for n in 0..20 {
                let status = case.status(&format!("m{n}")).await;
                assert_eq!(status, MessageStatus::Sent, "m{n}, {probes} {refusal}");
            }
            let ended = case.end().await;
            assert_eq!(ended.channel.status, "connected", "{:?}", ended.channel);
            assert_eq!(ended.stops(), 1, "{probes} {refusal}: stopped once, tried several times");
        });
    }
}

/// Opens the channel of a provider's fixtures.
fn opened(provider: &str) -> Arc<dyn Channel> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/fixtures");
    let text = std::fs::read_to_string(format!("{fixtures}/{provider}.toml")).unwrap();
    let account = text.split("[account]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let provider = channels::provider(provider).unwrap();
    provider.open(account.parse().unwrap()).unwrap_or_else(|error| panic!("{provider:?}: {error}"))
}

/// A content that the provider carries at any time.
fn content(provider: &str, id: &str) -> Content {
    if !provider.starts_with("whatsapp") {
        return Content::Text(id.into());
    }
    let json = r#"{"type":"TEMPLATE","name":"hello","namespace":"n","language":{"code":"en"}}"#;
    Content::Rich { body_type: BodyType::Template, json: json.into() }
}

const TELEGRAM_OK: &str = r#"{"ok":true,"result":{"message_id":5,"chat":{"id":4917600000002}}}"#;
const CLOUD_OK: &str = r#"{"messages":[{"id":"wamid.1"}]}"#;
const TWILIO_OK: &str = r#"{"sid":"SM1"}"#;
const VIBER_OK: &str = r#"{"status":0,"message_token":7}"#;

/// Provider, the refusal of one recipient, an acceptance. The probe is answered with the
/// acceptance.
const DENIALS: [(&str, u16, &str, &str); 13] = [
    // tdlib/telegram-bot-api: a malformed token is answered so, and so are outages in front of it.
    ("telegram", 404, r#"{"ok":false,"error_code":404,"description":"Not Found"}"#, TELEGRAM_OK),
    ("telegram", 401, r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, TELEGRAM_OK),
    ("telegram", 403, "<html>", TELEGRAM_OK),
    // Cloud API, error codes: 10 and 200 to 299 are permissions, also of one object.
    ("whatsapp_cloud", 403, r#"{"error":{"code":10,"message":"Permission denied"}}"#, CLOUD_OK),
    ("whatsapp_cloud", 401, r#"{"error":{"code":190,"message":"expired"}}"#, CLOUD_OK),
    ("whatsapp_cloud", 403, "", CLOUD_OK),
    ("whatsapp_360dialog", 401, r#"{"error":"no"}"#, CLOUD_OK),
    ("viber", 200, r#"{"status":2,"status_message":"invalidAuthToken"}"#, VIBER_OK),
    // Twilio, 21606: the From is not valid for this message.
    ("twilio", 400, r#"{"code":21606,"message":"From"}"#, TWILIO_OK),
    ("twilio", 403, "", TWILIO_OK),
    // Telnyx, 10010: no authorisation, also for one profile.
    ("telnyx", 403, r#"{"errors":[{"code":"10010"}]}"#, r#"{"data":{"id":"t1"}}"#),
    ("bandwidth", 403, r#"{"type":"forbidden"}"#, r#"{"id":"b1"}"#),
    ("voipms", 401, "", r#"{"status":"success","sms":1}"#),
];

/// The refusal of one message to one recipient: the provider's probe is asked and accepts the
/// credentials, the others' messages go on, and the message gets one more try.
#[test]
fn access_denied_to_one_recipient_is_confirmed_by_the_probe_and_stops_nobody() {
    for (provider, status, refusal, good) in DENIALS {
        for once in [true, false] {
            denied(provider, (status, refusal), good, once);
        }
    }
}

fn denied(provider: &'static str, (status, refusal): (u16, &'static str), good: &'static str, once: bool) {
    let channel = opened(provider);
    let what = format!("{provider} {status} {refusal}, once: {once}");
    on_virtual_time(async move {
        let world = world(Some(API), |_| {});
        let seen = Mutex::new(0);
        let (seams, calls) = scripted(&world, move |request, _| {
            if !request.effect || !format!("{:?}", request.body).contains(ANN) {
                return (20, 200, good.into());
            }
            *seen.lock().unwrap() += 1;
            let is_refused = !once || *seen.lock().unwrap() == 1;
            if is_refused { (20, status, refusal.into()) } else { (20, 200, good.into()) }
        });
        let case = Case::start(&world, seams, Some(channel)).await;
        case.until(500).await;
        let before = calls.lock().unwrap().len();
        case.send("ann", ANN, content(provider, "ann")).await;
        case.until(800).await;
        let asked: Vec<String> = calls.lock().unwrap()[before..].iter().map(|(_, url)| url.clone()).collect();
        // Twilio's probe is two calls: the account, and its numbers.
        assert!(matches!(asked.len(), 2 | 3), "{what}: a message and a probe: {asked:?}");
        let is_other = |url: &String| *url != asked[0] || provider == "voipms";
        assert!(asked[1..].iter().all(is_other), "{what}: {asked:?}");
        for n in 0..5 {
            case.send(&format!("ben{n}"), BEN, content(provider, "ben")).await;
        }
        for at_ms in (900..20_000).step_by(300) {
            case.until(at_ms).await;
            let channel = case.channel().await;
            assert_eq!(channel.status, "connected", "{what}, {at_ms} ms: {channel:?}");
        }
        let expected = if once { MessageStatus::Sent } else { MessageStatus::Failed };
        assert_eq!(case.status("ann").await, expected, "{what}");
        for n in 0..5 {
            assert_eq!(case.status(&format!("ben{n}")).await, MessageStatus::Sent, "{what}");
        }
        assert_eq!(case.end().await.stops(), 0, "{what}");
    });
}

#[test]
fn a_custom_method_that_does_not_exist_is_that_messages_failure() {
    let unknown = [
        r#"{"ok":false,"error_code":404,"description":"Not Found: method not found"}"#,
        r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
        r#"{"ok":false,"error_code":403,"description":"Forbidden: not enough rights"}"#,
    ];
    for refusal in unknown {
        on_virtual_time(async move {
            let channel = opened("telegram");
            let world = world(Some(API), |_| {});
            let (seams, calls) = scripted(&world, move |request, _| {
                if request.url.contains("sendNothing") {
                    let status = refusal.split(&[':', ','][..]).nth(3).unwrap().parse().unwrap();
                    return (5, status, refusal.into());
                }
                (5, 200, r#"{"ok":true,"result":{"message_id":5,"chat":{"id":1}}}"#.into())
            });
            let case = Case::start(&world, seams, Some(channel)).await;
            case.until(500).await;
            let before = calls.lock().unwrap().len();
            let json = r#"{"type":"CUSTOM","jsonNode":{"method":"sendNothing"}}"#;
            case.send("custom", ANN, Content::Rich { body_type: BodyType::Custom, json: json.into() }).await;
            case.text("text", BEN).await;
            case.until(3_000).await;
            assert_eq!(case.status("custom").await, MessageStatus::Failed, "{refusal}");
            assert_eq!(case.status("text").await, MessageStatus::Sent);
            assert_eq!(calls.lock().unwrap().len(), before + 2, "{refusal}: no probe is needed");
            assert_eq!(case.end().await.stops(), 0);
        });
    }
}

/// Sends `m0` to an SMSC on virtual time; returns when it arrived, and the end.
fn smpp(change: impl FnOnce(&mut Script), until_ms: u64) -> (Option<u64>, Ended) {
    on_virtual_time(async move {
        let world = world(None, change);
        let case = Case::start(&world, world.seams(), None).await;
        case.until(100).await;
        case.text("m0", ANN).await;
        case.until(until_ms).await;
        let arrived = world.lock().smscs[0].arrivals.first().map(|arrival| arrival.at_ms);
        (arrived, case.end().await)
    })
}

/// The reason, what the SMSC does for five seconds, and until when the message must be there.
#[test]
fn a_refusal_of_the_bind_that_may_pass_is_tried_again_soon() {
    const CODES: [(u32, &str); 9] = [
        (0x0D, "ESME_RBINDFAIL after a restart of the SMSC"),
        (0x05, "ESME_RALYBND while it holds the old session"),
        (0x08, "ESME_RSYSERR"),
        (0x58, "ESME_RTHROTTLED"),
        (0x14, "ESME_RMSGQFUL"),
        (0x04, "ESME_RINVBNDSTS"),
        (0xFF, "ESME_RUNKNOWNERR"),
        (0x400, "a vendor's code"),
        (0x0001_0000, "a code outside every range"),
    ];
    for (code, what) in CODES {
        let (arrived, ended) = smpp(|script| script.channels[0].bindless = vec![(0, 5_000, code)], 60_000);
        assert!(arrived.is_some_and(|at| (5_000..13_000).contains(&at)), "{what}: {arrived:?}");
        assert_eq!(ended.stops(), 0, "{what}");
    }
    let (arrived, _) = smpp(|script| script.channels[0].closed = vec![(0, 5_000)], 60_000);
    assert!(arrived.is_some_and(|at| at < 13_000), "no connection: {arrived:?}");
    let (arrived, _) = smpp(|script| script.channels[0].bindless = vec![(0, 5_000, NO_ANSWER)], 60_000);
    assert!(arrived.is_some_and(|at| at < 20_000), "no answer to the bind: {arrived:?}");
}

/// Each bind is accepted and closed at once: such a bind does not begin the pauses anew.
#[test]
fn a_provider_that_closes_each_bind_is_tried_more_and_more_rarely() {
    let (arrived, ended) = smpp(|script| script.channels[0].bindless = vec![(0, 30_000, HANGS_UP)], 25_000);
    assert!(arrived.is_none());
    assert!((3..=6).contains(&ended.channel.links[0].attempts), "{:?}", ended.channel);
    let (arrived, _) = smpp(|script| script.channels[0].bindless = vec![(0, 30_000, HANGS_UP)], 100_000);
    assert!(arrived.is_some_and(|at| at < 60_000), "{arrived:?}");
}

#[test]
fn wrong_credentials_of_a_bind_are_tried_slowly_and_recover_by_themselves() {
    for code in [0x0E, 0x0F] {
        let (arrived, ended) = smpp(|script| script.channels[0].bindless = vec![(0, 25_000, code)], 100_000);
        assert!(arrived.is_some_and(|at| (25_000..50_000).contains(&at)), "0x{code:02X}: {arrived:?}");
        assert_eq!((ended.stops(), ended.channel.status), (1, "connected"), "{:?}", ended.channel);
        let (_, ended) = smpp(|script| script.channels[0].bindless = vec![(0, 600_000, code)], 60_000);
        assert_eq!(ended.channel.status, "credentials_refused");
        assert!(ended.channel.reason.contains("next try in"), "{:?}", ended.channel);
        assert!(ended.channel.links[0].attempts <= 4, "{:?}", ended.channel);
    }
}

/// 300 messages to others while the queue of one customer is always full: the others do not wait
/// for that customer, and the customer's own messages are kept.
#[test]
fn one_customers_full_queue_is_not_the_channels() {
    const OTHERS: usize = 300;
    let (longest, average, to_full, ended) = on_virtual_time(async {
        let world = world(None, |script| {
            script.channels[0].full_for = Some(ANN.to_owned());
            script.channels[0].full_until = u64::MAX;
            // A window that alone would hold nobody up.
            script.channels[0].account = script.channels[0].account.replace("window = 10", "window = 50");
            script.messages = (0..OTHERS + 20)
                .map(|n| MessagePlan {
                    id: format!("m{n}"),
                    channel: 0,
                    customer: if n < OTHERS { format!("4917601{n:06}") } else { ANN.to_owned() },
                    text: format!("<m{n}>"),
                    priority: None,
                    send_at: None,
                    validity_ms: None,
                    destination: None,
                })
                .collect();
            // One to the full queue among every fifteen others.
            let mixed = (0..OTHERS).flat_map(|n| {
                let full = (n % 15 == 7).then_some(OTHERS + n / 15);
                [Some(n), full].into_iter().flatten()
            });
            let all: Vec<usize> = mixed.collect();
            script.ops = all.iter().map(|n| (1_000 + 10 * (*n as u64 % 300), Op::Send(vec![*n]))).collect();
        });
        let case = Case::start(&world, world.seams(), None).await;
        crate::business::start(&world, &case.router);
        case.until(60_000).await;
        let (waited, to_full) = {
            let inner = world.lock();
            let smsc = &inner.smscs[0];
            let sent_at = |message: usize| 1_000 + 10 * (message as u64 % 300);
            let waited: Vec<u64> =
                smsc.copies.iter().map(|copy| copy.at_ms - sent_at(copy.message)).collect();
            (waited, smsc.arrivals.iter().filter(|arrival| arrival.message >= OTHERS).count())
        };
        assert_eq!(waited.len(), OTHERS, "every other message was taken");
        let (longest, sum) = (waited.iter().max().copied().unwrap_or_default(), waited.iter().sum::<u64>());
        (longest, sum / OTHERS as u64, to_full, case.end().await)
    });
    println!(
        "300 messages beside a full queue: {average} ms on average, {longest} ms at most; {to_full} tries of the full one"
    );
    assert!(longest < 1_000 && average < 200, "{longest} ms at most, {average} ms on average");
    assert!((3..40).contains(&to_full), "{to_full} tries for the customer whose queue is full");
    assert!(ended.channel.paused_until.is_none(), "{:?}", ended.channel);
}

/// The queue of the SMSC itself is full: the channel rests with growing pauses, and comes back.
#[test]
fn a_queue_that_is_full_for_everybody_is_the_channels() {
    on_virtual_time(async {
        let world = world(None, |script| {
            script.channels[0].full_for = Some(String::new());
            script.channels[0].full_until = 20_000;
        });
        let case = Case::start(&world, world.seams(), None).await;
        case.until(500).await;
        for n in 0..40 {
            case.text(&format!("m{n}"), &format!("4917602{n:06}")).await;
        }
        case.until(4_000).await;
        assert!(case.channel().await.paused_until.is_some(), "{:?}", case.channel().await);
        case.until(20_000).await;
        let tries = world.lock().smscs[0].arrivals.len();
        assert!(tries < 200, "{tries} tries into a full queue");
        case.until(120_000).await;
        assert_eq!(world.lock().smscs[0].copies.len(), 40);
    });
}

/// A provider that takes nothing of one recipient for a while, by its documented limit of a pair or
/// a chat.
#[test]
fn a_limit_of_one_recipient_holds_up_nobody_else() {
    let cases = [
        // 20 messages a minute to a group.
        (
            "telegram",
            "-100123",
            429,
            r#"{"ok":false,"error_code":429,"parameters":{"retry_after":20}}"#,
            TELEGRAM_OK,
        ),
        // One a second to a chat.
        (
            "telegram",
            ANN,
            429,
            r#"{"ok":false,"error_code":429,"parameters":{"retry_after":5}}"#,
            TELEGRAM_OK,
        ),
        (
            "whatsapp_cloud",
            ANN,
            400,
            r#"{"error":{"code":131056,"message":"Pair rate limit hit"}}"#,
            CLOUD_OK,
        ),
        // 30 messages in 30 seconds between two numbers.
        ("twilio", ANN, 429, r#"{"code":14107,"message":"rate"}"#, TWILIO_OK),
        ("twilio", ANN, 429, r#"{"code":63018,"message":"rate"}"#, TWILIO_OK),
        ("viber", ANN, 200, r#"{"status":12,"status_message":"tooManyRequests"}"#, VIBER_OK),
    ];
    for (provider, limited, status, refusal, good) in cases {
        let channel = opened(provider);
        on_virtual_time(async move {
            let world = world(Some(API), |_| {});
            let (seams, _) = scripted(&world, move |request, now| {
                let is_limited = request.effect && format!("{:?}", request.body).contains(limited);
                if is_limited && now < 30_000 { (5, status, refusal.into()) } else { (5, 200, good.into()) }
            });
            let case = Case::start(&world, seams, Some(channel)).await;
            case.until(500).await;
            for n in 0..60 {
                case.send(&format!("slow{n}"), limited, content(provider, "slow")).await;
                let customer = format!("4917603{n:06}");
                case.send(&format!("m{n}"), &customer, content(provider, "fast")).await;
                case.until(500 + 100 * (n + 1)).await;
                assert!(case.channel().await.paused_until.is_none(), "{provider} {refusal}");
            }
            case.until(8_000).await;
            for n in 0..60 {
                let status = case.status(&format!("m{n}")).await;
                assert_eq!(status, MessageStatus::Sent, "{provider} {refusal}: m{n}");
            }
            case.until(400_000).await;
            assert_eq!(case.status("slow59").await, MessageStatus::Sent, "{provider} {refusal}");
        });
    }
}
