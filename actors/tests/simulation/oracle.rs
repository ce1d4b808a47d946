//! The invariants of every run: nothing lost, nothing doubled in
//! silence, in order, within the rate, and the log tells it all.

use std::collections::BTreeMap;

use actors::{
    config::OnUnknown,
    domain::session::{DeliveryKind, Session},
    view::{MessageView, SessionStateView, UnmatchedView},
};
use message::{Content, Event, MessageStatus, PartState, PartStatus, StreamId, event::DoubtCause};
use storage::Stored;

use crate::{
    run::{Shown, streams},
    script::{IdStyle, Manners, MoPlan, Script, channel_id, destination_id},
    smsc::{Copy, JobKind, state_of},
    told::{Told, told},
    world::{Inner, World, virtual_ms},
};

/// How long a session's end may be on its way when the run is over.
const JUST_MS: u64 = 4_000;
/// How long a part that was submitted before a pause may be on its way.
const ON_ITS_WAY_MS: u64 = 1_000;
/// Items of each list in a live state.
const LISTED_MAX: usize = 100;
/// Past states of a session that are compared with a live one.
const LOOK_BACK_MAX: usize = 40;

/// Whether a session was in this state at its end, or shortly before.
/// The lines that differ in the newest state, if it was in none of them.
pub(crate) fn replay_lacks(events: &[Stored], stream: StreamId, live: &SessionStateView) -> Option<String> {
    let of_stream: Vec<&Stored> = events.iter().filter(|e| e.stream == stream).collect();
    let mut newest = None;
    for back in 0..LOOK_BACK_MAX.min(of_stream.len()) {
        let mut session = Session::blank();
        for stored in &of_stream[..of_stream.len() - back] {
            session.apply(&stored.event, stored.at);
        }
        let replayed = SessionStateView::of(&session, LISTED_MAX);
        if replayed == *live {
            return None;
        }
        newest.get_or_insert(replayed);
    }
    let (newest, live) = (format!("{newest:#?}"), format!("{:#?}", Some(live)));
    let differing = newest.lines().zip(live.lines()).filter(|(a, b)| a != b);
    Some(differing.take(8).map(|(a, b)| format!("log {} live {}; ", a.trim(), b.trim())).collect())
}

/// Judges a run.
pub(crate) fn judge(world: &World, shown: &Shown) {
    let mut failures = Vec::new();
    let told = told(&shown.events, &mut failures);
    {
        let inner = world.lock();
        let judge = Judge { inner: &inner, script: &inner.script, shown, told: &told };
        judge.nothing_lost(&mut failures);
        judge.no_silent_duplicate(&mut failures);
        judge.receipts(&mut failures);
        judge.statuses(&mut failures);
        judge.order(&mut failures);
        judge.rate(&mut failures);
        judge.pauses(&mut failures);
        judge.doubts(&mut failures);
        judge.texts(&mut failures);
        let deliveries = judge.deliveries();
        judge.taken(&deliveries, &mut failures);
        judge.notifications(&deliveries, &mut failures);
        judge.customers(&mut failures);
    }
    for failure in failures {
        world.fail(failure);
    }
}

/// A router started anew shows what the one before it did; a receipt that was kept may have found
/// its part since.
pub(crate) fn same(world: &World, before: &Shown, after: &Shown) {
    for (n, view) in &before.messages {
        let again = after.messages.get(n);
        let waits = before.doubts.iter().any(|d| d.held && d.message_id == view.message_id);
        let may_be_gone = world.lock().script.retention_s.is_some() && !waits;
        if again.is_none() && may_be_gone {
            continue;
        }
        let same = |again: &&MessageView| (again.status == view.status && again.parts == view.parts) || waits;
        if again.filter(same).is_none() {
            world.fail(format!("m{n} was {view:?} before the restart and is {again:?} after it"));
        }
    }
    if let Some(doubt) = after.doubts.iter().find(|d| !before.doubts.contains(d)) {
        world.fail(format!("{doubt:?} is in doubt only after the restart"));
    }
    let known =
        |u: &UnmatchedView| before.unmatched.iter().any(|b| (&b.channel, b.number) == (&u.channel, u.number));
    if let Some(unmatched) = after.unmatched.iter().find(|u| !known(u)) {
        world.fail(format!("{unmatched:?} is unmatched only after the restart"));
    }
    for kept in &before.unmatched {
        let still = after.unmatched.iter().any(|u| (&u.channel, u.number) == (&kept.channel, kept.number));
        let settled = |e: &Event| matches!(e, Event::ReceiptSettled { number, .. } if *number == kept.number);
        if !still && !after.events.iter().any(|stored| settled(&stored.event)) {
            world.fail(format!("{kept:?} is gone after the restart"));
        }
    }
}

struct Judge<'a> {
    inner: &'a Inner,
    script: &'a Script,
    shown: &'a Shown,
    told: &'a BTreeMap<usize, Told>,
}

/// A delivery as the log has it.
struct Delivery {
    stream: StreamId,
    number: u32,
    at_ms: u64,
    destination: String,
    kind: DeliveryKind,
}

impl Judge<'_> {
    fn copies(&self, n: usize) -> impl Iterator<Item = &Copy> {
        self.inner.smscs[self.script.messages[n].channel].copies.iter().filter(move |c| c.message == n)
    }

    fn policy(&self, n: usize) -> OnUnknown {
        self.script.channels[self.script.messages[n].channel].on_unknown
    }

    fn nothing_lost(&self, failures: &mut Vec<String>) {
        for (n, known) in self.inner.known.iter().enumerate() {
            let Some(told) = self.told.get(&n) else {
                if known.accepted.is_some() {
                    failures.push(format!("m{n} was acknowledged and is not in the log"));
                }
                if self.copies(n).next().is_some() {
                    failures.push(format!("m{n} was sent and never accepted"));
                }
                continue;
            };
            let cancelled = told.has(|e| matches!(e, Event::Cancelled { .. }));
            if cancelled && self.copies(n).next().is_some() {
                failures.push(format!("m{n} was withdrawn and sent"));
            }
            if known.cancelled == Some(true) && !cancelled {
                failures.push(format!("m{n} was withdrawn, and the log does not say so"));
            }
            let status = told.outbound.status();
            for part in 0..told.outbound.parts.len() as u16 {
                let copies = self.copies(n).filter(|c| c.part == part).count();
                if self.policy(n) == OnUnknown::Hold && copies > 1 {
                    failures.push(format!("m{n}.{part} was sent {copies} times under hold"));
                }
                let id = &told.outbound.id;
                let held =
                    self.shown.doubts.iter().any(|d| d.held && d.message_id == *id && d.part == part + 1);
                let excused = cancelled || status == MessageStatus::Failed;
                if copies == 0 && !held && !excused {
                    failures
                        .push(format!("m{n}.{part} is lost: it is {status:?} and never reached the SMSC"));
                }
            }
        }
    }

    fn no_silent_duplicate(&self, failures: &mut Vec<String>) {
        for (n, told) in self.told {
            for part in 0..told.outbound.parts.len() as u16 {
                let copies = self.copies(*n).filter(|c| c.part == part).count();
                let doubts = told.events.iter();
                let doubts =
                    doubts.filter(|e| matches!(e, Event::InDoubt { part: p, .. } if *p == part)).count();
                if copies > doubts + 1 {
                    failures.push(format!(
                        "m{n}.{part} was taken {copies} times and came in doubt only {doubts} times"
                    ));
                }
                let shown = self.shown.messages.get(n).and_then(|m| m.parts.get(usize::from(part)));
                if copies > 1 && shown.is_some_and(|p| p.resent_in_doubt == 0) {
                    failures.push(format!("m{n}.{part} was taken {copies} times and is not flagged"));
                }
            }
        }
    }

    fn receipts(&self, failures: &mut Vec<String>) {
        for (channel, smsc) in self.inner.smscs.iter().enumerate() {
            for job in &smsc.jobs {
                let JobKind::Receipt { copy, id, word, .. } = &job.kind else { continue };
                let copy = &smsc.copies[*copy];
                let Some(told) = self.told.get(&copy.message) else { continue };
                let Some(part) = told.outbound.parts.get(usize::from(copy.part)) else { continue };
                let moved = part.state.join(state_of(word)) == part.state;
                let kept = self.shown.events.iter().any(|stored| {
                    matches!(&stored.event, Event::ReceiptUnmatched(r)
                        if *r.provider_id == **id && r.channel.as_str() == channel_id(channel))
                });
                let known = told.ids(copy.part).contains(&copy.id.as_str());
                // One with the type of a message that led to no part is the customer's message.
                let as_message = |events: &[Stored]| {
                    events.iter().any(|stored| {
                        matches!(&stored.event, Event::Received(received)
                            if matches!(&received.content, Content::Text(text)
                                if text.contains(&format!("id:{id} ")) && text.contains(word)))
                    })
                };
                let untyped = self.script.channels[channel].manners == Manners::Untyped;
                if !moved && untyped && as_message(&self.shown.events) {
                    continue;
                }
                if !moved && (known || !kept) {
                    failures.push(format!(
                        "the receipt {id} {word} for m{}.{} is lost (id known: {known}, kept: {kept}): {:?}",
                        copy.message, copy.part, part.state
                    ));
                }
            }
        }
    }

    fn statuses(&self, failures: &mut Vec<String>) {
        for (n, told) in self.told {
            let Some(view) = self.shown.messages.get(n) else {
                let is_over = told.is_over() && self.script.retention_s.is_some();
                if is_over {
                    continue;
                }
                failures.push(format!("m{n} is in the log and not shown"));
                continue;
            };
            if view.status != told.outbound.status() {
                failures.push(format!(
                    "m{n} is shown as {:?}, its log says {:?}",
                    view.status,
                    told.outbound.status()
                ));
            }
            for (part, p) in told.outbound.parts.iter().enumerate() {
                let most = self.most(*n, part as u16, told);
                if most.join(p.state) != most {
                    failures
                        .push(format!("m{n}.{part} is {:?}; the SMSC reported at most {most:?}", p.state));
                }
            }
            let delivered = told.outbound.status() >= MessageStatus::Delivered;
            if delivered && told.outbound.parts.iter().any(|p| p.state.reached < PartStatus::Delivered) {
                failures.push(format!("m{n} is delivered, and a part is not"));
            }
        }
    }

    /// The most that can be known of a part, by all that the SMSC ever said of it.
    fn most(&self, n: usize, part: u16, told: &Told) -> PartState {
        let smsc = &self.inner.smscs[self.script.messages[n].channel];
        let mut most = PartState::reached(PartStatus::InDoubt);
        for job in &smsc.jobs {
            if let JobKind::Receipt { copy, word, .. } = &job.kind
                && (smsc.copies[*copy].message, smsc.copies[*copy].part) == (n, part)
            {
                most = most.join(state_of(word));
            }
        }
        for copy in self.copies(n).filter(|copy| copy.part == part) {
            most = most.join(PartState::reached(PartStatus::Sent));
            let mos = self.script.mos.iter().filter(|mo| mo.channel == self.script.messages[n].channel);
            for mo in mos.filter(|mo| self.may_mean(mo, copy)) {
                most = most.join(if mo.text.contains("DELIVRD") {
                    state_of("DELIVRD")
                } else {
                    state_of("FAILED")
                });
            }
            if told.has(|e| matches!(e, Event::Queried { .. })) {
                most = most.join(copy.final_state());
            }
        }
        let failed = |e: &Event| {
            matches!(e, Event::PartFailed { .. } | Event::Expired { .. } | Event::Cancelled { .. })
        };
        if told.has(failed) { most.join(PartState::failure()) } else { most }
    }

    /// Whether a customer's words in the form of a receipt may be taken for one of this copy: only
    /// if the customer knows the id of what was sent to nobody else.
    fn may_mean(&self, mo: &MoPlan, copy: &Copy) -> bool {
        let style = self.script.channels[mo.channel].style;
        let is_own = mo.forged && mo.customer == copy.customer;
        let spells = !matches!(style, IdStyle::Decimal | IdStyle::Nodes);
        is_own && (spells || mo.text.starts_with(&format!("id:{} ", copy.id)))
    }

    fn order(&self, failures: &mut Vec<String>) {
        let mut in_order: Vec<&Told> = self.told.values().collect();
        in_order.sort_by_key(|told| (told.stream, told.no));
        for earlier in &in_order {
            let scheduled = earlier.outbound.send_at.is_some();
            let held = self.policy(earlier.number) == OnUnknown::Hold
                && earlier.has(|e| matches!(e, Event::InDoubt { .. }));
            let Some(last) = self.copies(earlier.number).map(|c| c.at_ms).max() else { continue };
            if scheduled || held {
                continue;
            }
            for later in in_order.iter().filter(|l| l.stream == earlier.stream && l.no > earlier.no) {
                debug_assert!(later.accepted_at > earlier.accepted_at);
                let first = self.copies(later.number).map(|c| c.at_ms).min();
                if first.is_some_and(|first| first < last) {
                    failures.push(format!("m{} overtook m{}", later.number, earlier.number));
                }
            }
        }
    }

    fn rate(&self, failures: &mut Vec<String>) {
        for (n, smsc) in self.inner.smscs.iter().enumerate() {
            let most = self.script.channels[n].send_rate.ceil() as usize;
            for window in smsc.arrivals.windows(most + 1) {
                let (first, last) = (window[0], window[most]);
                if last.at_ms < first.at_ms + 1_000 {
                    failures.push(format!(
                        "{} parts came to SMSC {n} from {} to {} ms (m{} to m{}); its rate is {most}",
                        most + 1,
                        first.at_ms,
                        last.at_ms,
                        first.message,
                        last.message
                    ));
                    return;
                }
            }
        }
    }

    /// Nothing comes to a provider whose channel is paused, but what was on its way.
    fn pauses(&self, failures: &mut Vec<String>) {
        for (channel, from, to) in &self.inner.pauses {
            let came = self.inner.smscs[*channel].arrivals.iter();
            if let Some(part) = came.into_iter().find(|a| a.at_ms > from + ON_ITS_WAY_MS && a.at_ms < *to) {
                failures.push(format!(
                    "m{} came to SMSC {channel} at {} ms, paused from {from} to {to} ms",
                    part.message, part.at_ms
                ));
            }
        }
    }

    /// A death leaves no more in doubt than was with the links and, where doubts are sent again, as
    /// much made ready ahead.
    fn doubts(&self, failures: &mut Vec<String>) {
        for (n, plan) in self.script.channels.iter().enumerate() {
            let told = self.told.values().filter(|told| self.script.messages[told.number].channel == n);
            let by_restart = |e: &&Event| matches!(e, Event::InDoubt { cause: DoubtCause::Restart, .. });
            let doubts: usize = told.map(|told| told.events.iter().filter(by_restart).count()).sum();
            let each = if plan.on_unknown == OnUnknown::Hold { plan.window } else { 2 * plan.window };
            let most = each * self.script.ends.len();
            if doubts > most {
                failures.push(format!(
                    "deaths left {doubts} parts of channel {n} in doubt, {most} at most may be: {plan:?}"
                ));
            }
        }
    }

    /// The customer reads exactly what the business wrote.
    fn texts(&self, failures: &mut Vec<String>) {
        for (n, told) in self.told {
            let parts = told.outbound.parts.len() as u16;
            let part = |part| self.copies(*n).find(|copy| copy.part == part).map(|copy| copy.text.as_str());
            let Some(text) = (0..parts).map(part).collect::<Option<String>>() else { continue };
            if text != self.script.messages[*n].text {
                failures.push(format!("m{n} arrived as {text:?}"));
            }
        }
    }

    /// All that the log promised to destinations.
    fn deliveries(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        for stream in streams(&self.shown.events) {
            let mut session = Session::blank();
            let mut last = 0;
            for stored in self.shown.events.iter().filter(|e| e.stream == stream) {
                session.apply(&stored.event, stored.at);
                let channel = self.script.channels.iter().enumerate();
                let channel =
                    channel.map(|(n, _)| n).find(|n| session.address.channel.as_str() == channel_id(*n));
                let Some(channel) = channel else { continue };
                for delivery in session.deliveries.iter().filter(|d| d.number > last) {
                    let own = destination_id(self.script.channels[channel].destination);
                    let named = delivery.destination.as_ref().map(|d| d.as_str().to_owned());
                    all.push(Delivery {
                        stream,
                        number: delivery.number,
                        at_ms: virtual_ms(delivery.at),
                        destination: named.unwrap_or(own),
                        kind: delivery.kind.clone(),
                    });
                }
                last = session.counters.deliveries.max(last);
            }
        }
        all
    }

    /// Everything reached its destination, in order, and nothing else did.
    fn taken(&self, deliveries: &[Delivery], failures: &mut Vec<String>) {
        let mut next: BTreeMap<(StreamId, &str), Vec<u32>> = BTreeMap::new();
        let mut by_id: BTreeMap<String, &Delivery> = BTreeMap::new();
        for delivery in deliveries {
            let id = match &delivery.kind {
                DeliveryKind::Message(received) => received.id.to_string(),
                _ => format!("{}-{}", delivery.stream, delivery.number),
            };
            next.entry((delivery.stream, delivery.destination.as_str())).or_default().push(delivery.number);
            if by_id.insert(id.clone(), delivery).is_some() {
                failures.push(format!("two deliveries are called {id}"));
            }
        }
        let mut came: BTreeMap<&str, bool> = by_id.keys().map(|id| (id.as_str(), false)).collect();
        for taken in &self.inner.taken {
            let Some(delivery) = by_id.get(&taken.id) else {
                failures.push(format!("a destination got what the log does not know: {taken:?}"));
                continue;
            };
            if delivery.destination != destination_id(taken.destination) {
                failures.push(format!("{} went to dest{}", taken.id, taken.destination));
            }
            if let Some(event_id) = &taken.event_id
                && *event_id != format!("{}-{}", delivery.stream, delivery.number)
            {
                failures.push(format!("{} came as event {event_id}", taken.id));
            }
            let first = came.insert(taken.id.as_str(), true) == Some(false);
            let waiting = next.entry((delivery.stream, delivery.destination.as_str())).or_default();
            if first {
                if waiting.first() != Some(&delivery.number) {
                    failures.push(format!(
                        "delivery {} of {} overtook {waiting:?}",
                        delivery.number, delivery.stream
                    ));
                }
                waiting.retain(|number| *number != delivery.number);
            }
        }
        let last = self.shown.events.last().map_or(0, |stored| virtual_ms(stored.at));
        for (id, _) in came.iter().filter(|(_, came)| !**came) {
            // A session that ended by inactivity while all was looked at is still on its way.
            let just_ended = by_id
                .get(*id)
                .is_some_and(|d| matches!(d.kind, DeliveryKind::EndChat(_)) && d.at_ms + JUST_MS >= last);
            if just_ended {
                continue;
            }
            failures.push(format!("{id} never reached its destination"));
        }
    }

    /// Every fate is told once.
    fn notifications(&self, deliveries: &[Delivery], failures: &mut Vec<String>) {
        for (n, told) in self.told {
            let status = told.outbound.status();
            let cancelled = told.has(|e| matches!(e, Event::Cancelled { .. }));
            let mut of_message: BTreeMap<MessageStatus, u32> = BTreeMap::new();
            for delivery in deliveries {
                if let DeliveryKind::Notification(notification) = &delivery.kind
                    && notification.id == told.outbound.id
                {
                    *of_message.entry(notification.status).or_default() += 1;
                    let plan = &self.script.messages[*n];
                    let own = self.script.channels[plan.channel].destination;
                    if delivery.destination != destination_id(plan.destination.unwrap_or(own)) {
                        failures.push(format!("m{n} is reported to {}", delivery.destination));
                    }
                }
            }
            let told_of = matches!(status, MessageStatus::Failed | MessageStatus::Delivered) && !cancelled;
            if told_of && !of_message.contains_key(&status) {
                failures.push(format!("nobody was told that m{n} is {status:?}"));
            }
            for (status, count) in of_message.iter().filter(|(_, count)| **count > 1) {
                failures.push(format!("m{n} was reported as {status:?} {count} times"));
            }
            if of_message.keys().any(|reported| *reported > status) {
                failures.push(format!("m{n} was reported as {of_message:?} and is {status:?}"));
            }
        }
    }

    /// Customers' messages reached the business whole, and once unless the SMSC repeated them.
    fn customers(&self, failures: &mut Vec<String>) {
        for (n, mo) in self.script.mos.iter().enumerate() {
            let tag = format!("<o{n}>");
            let (mut ids, mut firsts): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
            for taken in self.inner.taken.iter().filter(|t| t.kind == "message" && t.text.contains(&tag)) {
                if taken.text != mo.text {
                    failures.push(format!("the customer's message {n} came as {:?}", taken.text));
                }
                ids.push(&taken.id);
                firsts.push(taken.repeats.as_deref().unwrap_or(&taken.id));
            }
            for all in [&mut ids, &mut firsts] {
                all.sort_unstable();
                all.dedup();
            }
            if firsts.len() > 1 {
                failures.push(format!(
                    "the customer's message {n} came as {ids:?}, and it is not said that they may be one"
                ));
            }
            let jobs = self.inner.smscs[mo.channel].jobs.iter();
            let sends = jobs.filter(|job| matches!(job.kind, JobKind::Mo { mo, .. } if mo == n));
            let repeats: u32 = sends.map(|job| job.sends.saturating_sub(1)).sum();
            let mut copies = self.inner.smscs[mo.channel].copies.iter();
            let is_receipt = mo.forged && copies.any(|copy| self.may_mean(mo, copy));
            if ids.is_empty() && !is_receipt {
                failures.push(format!("the customer's message {n} was acknowledged and never delivered"));
            }
            // An API names what it brings; an SMSC does not, and a repeat of it looks like another
            // message.
            let named = self.script.channels[mo.channel].api.is_some();
            let most = if mo.parts.len() == 1 && !named { 1 + repeats as usize } else { 1 };
            if ids.len() > most {
                failures.push(format!("the customer's message {n} came {} times as {ids:?}", ids.len()));
            }
        }
    }
}
