//! The business's side: sends, sends again until it is answered, withdraws, ends sessions, and
//! polls. What it was told once must hold for ever.

use std::{sync::Arc, time::Duration};

use actors::{Acceptance, Origin, Refusal, Router};
use message::{ChannelId, Content, MessageId, MessageStatus, cim};
use tokio::time::{sleep, sleep_until};

use crate::{
    operator,
    pairs::{Operation, RESTART_MS, UnderWay},
    script::{MessagePlan, Op, channel_id, destination_id, did},
    world::{World, wall},
};

/// How often the business asks again before the run counts as stuck.
const TRIES_MAX: u32 = 400;

/// Starts everything the business has not done yet.
pub(crate) fn start(world: &Arc<World>, router: &Router) {
    let pending: Vec<(usize, u64)> = {
        let inner = world.lock();
        let ops = inner.script.ops.iter().enumerate();
        ops.filter(|(n, _)| !inner.done[*n]).map(|(n, (at_ms, _))| (n, *at_ms)).collect()
    };
    for (n, at_ms) in pending {
        let (world, router) = (world.clone(), router.clone());
        tokio::spawn(async move {
            sleep_until(world.instant(at_ms)).await;
            let op = world.lock().script.ops[n].1.clone();
            let _under_way = UnderWay::begin(&world, op.operation());
            perform(&world, &router, &op).await;
            world.lock().done[n] = true;
        });
    }
    tokio::spawn(poll(world.clone(), router.clone()));
    tokio::spawn(operator::still_paused(world.clone(), router.clone()));
}

async fn perform(world: &World, router: &Router, op: &Op) {
    match op {
        Op::Send(messages) => send(world, router, messages).await,
        Op::Steal(message, customer) => steal(world, router, *message, customer).await,
        Op::Cancel(message) => cancel(world, router, *message).await,
        Op::End(channel, customer) => {
            if let Ok(id) = router.find_session(&did(*channel), customer).await {
                let ended = router.end_session(id).await;
                world.note(|| format!("business: ends {id}: {ended:?}"));
            }
        }
        Op::Restart(channel) => {
            let id = ChannelId::from(channel_id(*channel).as_str());
            let done = router.control().restart(&id).await;
            world.note(|| format!("business: restarts {id}: {done:?}"));
            sleep(Duration::from_millis(RESTART_MS)).await;
        }
        Op::Pause(..)
        | Op::TryNow(_)
        | Op::CancelQueued(_)
        | Op::Reload(_)
        | Op::Away(..)
        | Op::ReloadDestination(_) => operator::perform(world, router, op).await,
    }
}

pub(crate) fn cim_of(plan: &MessagePlan) -> cim::Message {
    cim::Message {
        id: Some(MessageId::new(plan.id.as_str())),
        customer: plan.customer.as_str().into(),
        service_identifier: did(plan.channel).into(),
        channel_type: Some("SMS".into()),
        intent: cim::Intent::None,
        original_message_id: None,
        provider_message_id: None,
        conversation_id: None,
        channel_session_id: None,
        sender: None,
        priority: plan.priority,
        timestamp: None,
        scheduling: cim::Scheduling {
            send_at: plan.send_at.map(wall),
            validity_ms: plan.validity_ms,
            expires_at: None,
        },
        handling: message::event::SmsHandling::PLAIN,
        content: Content::Text(plan.text.as_str().into()),
        channel_data_json: None,
    }
}

/// Sends messages in one request; those that were not answered for are sent again, one by one.
async fn send(world: &World, router: &Router, messages: &[usize]) {
    let mut left = messages.to_vec();
    for _ in 0..TRIES_MAX {
        let (batch, origin) = {
            let inner = world.lock();
            let plans: Vec<_> = left.iter().map(|n| cim_of(&inner.script.messages[*n])).collect();
            let destination = inner.script.messages[left[0]].destination;
            (plans, Origin { destination: destination.map(|n| destination_id(n).as_str().into()) })
        };
        let answers = router.accept(batch, &origin).await;
        let mut again = Vec::new();
        for (n, answer) in left.iter().zip(answers) {
            world.note(|| format!("business: m{n} answered {answer:?}"));
            match answer {
                Ok(acceptance) => accepted(world, *n, &acceptance),
                Err(Refusal::Busy { .. }) => again.push(*n),
                Err(refusal) => world.lock().known[*n].refused = Some(refusal.to_string()),
            }
        }
        left = again;
        if left.is_empty() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    world.fail(format!("messages {left:?} were never answered"));
}

fn accepted(world: &World, n: usize, acceptance: &Acceptance) {
    let mut inner = world.lock();
    inner.sessions.insert(acceptance.session, ());
    let known = &mut inner.known[n];
    if known.accepted.is_some() && !acceptance.duplicate {
        inner.failures.push(format!("m{n} was acknowledged twice, and not as a duplicate"));
        return;
    }
    if known.accepted.is_none() {
        known.accepted = Some(acceptance.session);
    }
}

/// The id of an accepted message for another customer: must be refused.
async fn steal(world: &World, router: &Router, n: usize, customer: &str) {
    let plan = {
        let inner = world.lock();
        if inner.known[n].accepted.is_none() {
            return;
        }
        inner.script.messages[n].clone()
    };
    let stolen = MessagePlan { customer: customer.to_owned(), ..plan };
    let answers = router.accept(vec![cim_of(&stolen)], &Origin::default()).await;
    world.note(|| format!("business: steals m{n}: {answers:?}"));
    if let Some(Ok(acceptance)) = answers.first() {
        world.fail(format!("the id of m{n} was accepted for another customer: {acceptance:?}"));
    }
}

async fn cancel(world: &World, router: &Router, n: usize) {
    let id = {
        let mut inner = world.lock();
        if inner.known[n].accepted.is_none() || inner.known[n].cancelled == Some(true) {
            return;
        }
        // Should the router die now, the router does not know.
        inner.known[n].cancelled = Some(false);
        MessageId::new(inner.script.messages[n].id.as_str())
    };
    let done = router.cancel(&id).await;
    world.note(|| format!("business: cancels m{n}: {done:?}"));
    let mut inner = world.lock();
    match done {
        Ok(()) => inner.known[n].cancelled = Some(true),
        Err(Refusal::Busy { .. }) => {}
        Err(_) => inner.known[n].cancelled = None,
    }
}

/// Looks at messages now and then: a status never goes back.
async fn poll(world: Arc<World>, router: Router) {
    loop {
        let (pause, message) = {
            let mut inner = world.lock();
            let count = inner.known.len() as u64;
            (inner.rng.within(100, 3_000), inner.rng.below(count) as usize)
        };
        sleep(Duration::from_millis(pause)).await;
        let _under_way = UnderWay::begin(&world, Operation::Look);
        look(&world, &router, message).await;
    }
}

/// Looks at one message.
pub(crate) async fn look(world: &World, router: &Router, n: usize) -> Option<actors::view::MessageView> {
    let (id, accepted) = {
        let inner = world.lock();
        (MessageId::new(inner.script.messages[n].id.as_str()), inner.known[n].accepted.is_some())
    };
    let view = match router.message(&id).await {
        Ok(view) => view,
        Err(Refusal::Busy { .. }) => return None,
        Err(refusal) => {
            // Retention forgets a message that is over; the oracle knows whether it was owed.
            let retention_ms = world.lock().script.retention_s.map(|s| s * 1_000);
            if accepted && retention_ms.is_none_or(|ms| world.now_ms() < ms) {
                world.fail(format!("m{n} was accepted, and now: {refusal}"));
            }
            return None;
        }
    };
    let mut inner = world.lock();
    let seen = inner.known[n].seen;
    // Beside a part that only moved on, one that left doubt lets the message fall back to "under
    // way".
    let left_doubt =
        (seen, view.status) == (Some(MessageStatus::InDoubt), MessageStatus::Enroute) && view.parts.len() > 1;
    if seen.is_some_and(|seen| seen > view.status) && !left_doubt {
        inner.failures.push(format!("m{n} went back from {seen:?} to {:?}", view.status));
    }
    inner.known[n].seen = Some(view.status);
    drop(inner);
    Some(view)
}
