//! Completes what a session tells about a message that waits by what its channel or destination
//! tells.

use message::DestinationId;
use tokio::{
    sync::oneshot,
    time::{Duration, timeout},
};

use crate::{
    context::Context,
    domain::session::WaitStep,
    protocol::{
        channel::ChannelMessage,
        destination::DestinationMessage,
        task::{MessageAnswer, MessageWait},
    },
    view::{
        DestinationView, MessageView,
        waiting::{self, WaitFacts},
    },
};

/// How long a channel or destination may take to answer; after that it does not answer.
const WHY_WAIT: Duration = Duration::from_secs(5);

/// Adds why the message waits, if it does.
pub(crate) async fn complete(context: &Context, answer: MessageAnswer) -> MessageView {
    let MessageAnswer { mut view, wait } = answer;
    view.waiting_for = match wait {
        None => None,
        Some(MessageWait::Session { stream, wait, last }) => {
            let asks = matches!(wait.step, WaitStep::Channel | WaitStep::Answer);
            let on_channel = match context.directory.channel_by_id(&view.channel) {
                Some((_, entry)) if asks => {
                    let (reply, answer) = oneshot::channel();
                    entry.tell(ChannelMessage::Why { stream, number: wait.first, reply });
                    timeout(WHY_WAIT, answer).await.ok().and_then(Result::ok)
                }
                _ => None,
            };
            let facts = WaitFacts {
                now: context.now(),
                channel: &view.channel,
                provider: context.directory.provider_of(&view.channel),
                wait: &wait,
                last: last.as_ref(),
                on_channel: on_channel.as_ref(),
            };
            Some(waiting::explain(&facts))
        }
        Some(MessageWait::NoChannel) => Some(waiting::without_channel(&view.channel, view.accepted_at)),
        Some(MessageWait::Notification { since }) => {
            let destination = show(context, &view.destination).await;
            destination.and_then(|destination| waiting::of_notification(since, &destination))
        }
    };
    view
}

/// Asks a destination for its state.
async fn show(context: &Context, id: &DestinationId) -> Option<DestinationView> {
    let entry = context.directory.destination(context.directory.destination_ix(id)?)?;
    let (reply, answer) = oneshot::channel();
    entry.tell(DestinationMessage::View(reply));
    timeout(WHY_WAIT, answer).await.ok()?.ok()
}
