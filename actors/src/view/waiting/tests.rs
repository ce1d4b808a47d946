//! Each step and each state of a channel gives its reason, its words and its estimate.

use message::MessageNo;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn wait(step: WaitStep, ahead: usize) -> SessionWait {
    let (first, first_id) = (MessageNo(1), "m-1".into());
    SessionWait {
        first,
        first_id,
        ahead,
        parts: ahead + 1,
        step,
        since: Timestamp(900_000),
        not_before: None,
    }
}

fn state(block: ChannelBlock, place: PartPlace) -> ChannelWait {
    ChannelWait {
        block,
        since: Timestamp::default(),
        next_try: None,
        place,
        queued: 5,
        unanswered: 10,
        send_rate: Some(10.0),
    }
}

fn told(wait: &SessionWait, on_channel: Option<&ChannelWait>) -> WaitingView {
    let last = Cause::new("0x00000014", "queue full");
    let channel = "sms".into();
    explain(&WaitFacts { now: NOW, channel: &channel, provider: "smpp", wait, last: Some(&last), on_channel })
}

#[test]
fn every_step_has_a_reason_with_words_for_the_fix() {
    use WaitReason as Reason;
    let at = NOW.plus_ms(27_000);
    for (step, reason, words, eta) in [
        (WaitStep::NotDue { at }, Reason::NotDue, "scheduled and goes in 27 s", Some(at)),
        (WaitStep::ClockInDoubt, Reason::ClockInDoubt, "Correct the clock", None),
        (
            WaitStep::Retry { part: 1, at },
            Reason::RetryPause,
            "Part 2 is tried again in 27 s: queue full",
            Some(at),
        ),
        (WaitStep::Retry { part: 0, at }, Reason::RetryPause, "Ask for a larger queue", Some(at)),
        (WaitStep::Resend { part: 0, at }, Reason::InDoubt, "It is sent again in 27 s", Some(at)),
        (WaitStep::Held { part: 0 }, Reason::InDoubtHeld, "POST /api/in-doubt", None),
        (WaitStep::CustomerPause { until: at }, Reason::CustomerPause, "goes in 27 s", Some(at)),
        (WaitStep::Receipt { until: at }, Reason::Receipt, "Unmatched receipts", None),
        (WaitStep::Channel, Reason::ChannelFailed, "see the log", None),
    ] {
        let view = told(&wait(step, 0), None);
        assert_eq!((view.reason, view.eta, view.ahead), (reason, eta, None), "{step:?}");
        assert!(view.text.contains(words), "{step:?}: {}", view.text);
        assert!(view.text.starts_with(char::is_uppercase) && view.text.ends_with('.'), "{}", view.text);
    }
}

#[test]
fn a_channel_says_what_holds_it_back() {
    use WaitReason as Reason;
    let lane = PartPlace::Lane(LanePlace { sessions: 20, parts: 44, round: 100 });
    let refused = ChannelBlock::Stopped(Cause::new("0x0000000E", "password is invalid"));
    let until = NOW.plus_ms(4_000);
    let throttled = |cause| ChannelBlock::Throttled { until, cause };
    for (block, place, reason, words, eta_ms) in [
        (ChannelBlock::Free, PartPlace::Provider, Reason::Answer, "has not answered yet", None),
        (ChannelBlock::Draining, lane, Reason::ShuttingDown, "after the next start", None),
        (refused, lane, Reason::ChannelStopped, "password in [channel.account] of channel sms", None),
        (
            ChannelBlock::NotConnected("127.0.0.1:9: connection refused".into()),
            lane,
            Reason::ChannelConnecting,
            "connection refused. Check host and port in [channel.account] of channel sms",
            None,
        ),
        (ChannelBlock::Paused, lane, Reason::ChannelPaused, "resume it: patchbay channel resume sms.", None),
        (ChannelBlock::NotConnected(String::new()), lane, Reason::ChannelConnecting, "is connecting", None),
        // 5 queued, 44 before it and its own part, at 10 a second.
        (throttled(None), lane, Reason::Throttled, "sends again in 4 s", Some(4_000 + 5_000)),
        (
            throttled(Some(Cause::new("0x58", "throttled"))),
            lane,
            Reason::Throttled,
            "to send less (throttled (0x58))",
            Some(9_000),
        ),
        (ChannelBlock::Rate, lane, Reason::Rate, "about 5 s. Raise send_rate", Some(5_000)),
        (ChannelBlock::Rate, PartPlace::Queue(9), Reason::Rate, "9 messages of others", Some(1_000)),
        (ChannelBlock::Window, lane, Reason::Window, "10 parts are without an answer", None),
        (ChannelBlock::Free, PartPlace::Elsewhere, Reason::Turn, "in a moment", None),
    ] {
        let view = told(&wait(WaitStep::Channel, 0), Some(&state(block.clone(), place)));
        assert_eq!((view.reason, view.eta), (reason, eta_ms.map(|ms| NOW.plus_ms(ms))), "{block:?}");
        assert!(view.text.contains(words), "{block:?}: {}", view.text);
        let ahead = match place {
            PartPlace::Queue(parts) => Some(parts),
            PartPlace::Lane(_) => Some(25),
            _ => None,
        };
        assert_eq!(view.ahead, ahead, "{block:?}");
    }
}

#[test]
fn behind_another_message_the_cause_is_told_where_it_is() {
    // The channel's trouble is the cause for all of its messages.
    let lane = PartPlace::Lane(LanePlace { sessions: 0, parts: 0, round: 1 });
    let view = told(&wait(WaitStep::Channel, 2), Some(&state(ChannelBlock::Rate, lane)));
    assert_eq!((view.reason, view.ahead), (WaitReason::Rate, Some(7)));
    assert!(view.text.contains("2 earlier messages to the same customer go first"), "{}", view.text);
    // 5 queued and 3 of its own session.
    assert_eq!(view.eta, Some(NOW.plus_ms(800)));
    // Another message's pause is that message's.
    let view = told(&wait(WaitStep::Retry { part: 0, at: NOW.plus_ms(9_000) }, 1), None);
    assert_eq!((view.reason, view.ahead, view.eta), (WaitReason::EarlierMessage, Some(1), None));
    assert!(view.text.contains("The first of them is m-1: part 1 is tried again in 9 s"), "{}", view.text);
    // A rule of the customer is later than the rate.
    let paused = SessionWait { not_before: Some(NOW.plus_ms(6_000)), ..wait(WaitStep::Channel, 0) };
    assert_eq!(told(&paused, Some(&state(ChannelBlock::Rate, lane))).eta, Some(NOW.plus_ms(6_000)));
}
