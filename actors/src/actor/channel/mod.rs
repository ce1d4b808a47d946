//! A channel: asks its sessions for due parts while a link has window and the rate allows, hands
//! them to the links, and returns answers, receipts and customers' messages to the sessions. It
//! holds no message that the log does not.

mod drain;
mod http_inbound;
mod input;
mod link_slot;
mod links;
mod metrics;
mod outbox;
mod own_stream;
mod profiles;
mod receipt_names;
mod receipts;
mod recent;
mod refusals;
mod smpp_inbound;
mod state;
pub(crate) mod view;
mod waiting;

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use self::{input::ChannelInput, state::ChannelState};
use crate::{config::ChannelIx, context::Context, protocol::channel::ChannelMessage};

pub(crate) struct ChannelActor;

impl Actor for ChannelActor {
    type Msg = ChannelInput;
    type State = ChannelState;
    type Arguments = (Arc<Context>, ChannelIx);

    async fn pre_start(
        &self,
        myself: ActorRef<ChannelInput>,
        (context, ix): Self::Arguments,
    ) -> Result<ChannelState, ActorProcessingErr> {
        Ok(ChannelState::start(context, ix, myself).await?)
    }

    async fn handle(
        &self,
        _myself: ActorRef<ChannelInput>,
        input: ChannelInput,
        state: &mut ChannelState,
    ) -> Result<(), ActorProcessingErr> {
        let message = match input {
            ChannelInput::Message(message) => message,
            ChannelInput::SendDue => {
                state.on_send_due();
                return Ok(());
            }
        };
        match message {
            ChannelMessage::FromHost(batch) => state.on_host_batch(*batch),
            ChannelMessage::FromLink(report) => state.on_link_report(report),
            ChannelMessage::Tick => state.tick(),
            ChannelMessage::Events(events, completion) => state.on_events(events, completion),
            ChannelMessage::FireAndForget(request) => state.fire_and_forget(*request),
            ChannelMessage::Acknowledge(acks) => state.acknowledge(acks),
            ChannelMessage::Restart(reply) => {
                state.restart();
                let _caller_gone = reply.send(());
            }
            ChannelMessage::Why { stream, number, reply } => {
                let _caller_gone = reply.send(state.why(stream, number));
            }
            ChannelMessage::TryNow(reply) => {
                state.try_now();
                let _caller_gone = reply.send(());
            }
            ChannelMessage::Pause { wanted, reply } => state.set_pause(wanted, reply),
            ChannelMessage::View(reply) => {
                if let Some(view) = state.view() {
                    let _caller_gone = reply.send(view);
                }
            }
            ChannelMessage::Unmatched { after, limit, reply } => {
                let _caller_gone = reply.send(state.unmatched(after, limit));
            }
            ChannelMessage::Checkpoint(reply) => {
                state.checkpoint();
                let _coordinator_gone = reply.send(());
            }
            ChannelMessage::Drain(reply) => state.drain(reply),
            ChannelMessage::Retire(reply) => state.retire(reply),
        }
        Ok(())
    }

    /// Restarts a link whose actor died; the channel goes on.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ChannelInput>,
        event: SupervisionEvent,
        state: &mut ChannelState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, _) | SupervisionEvent::ActorTerminated(cell, _, _) = &event
        {
            state.on_link_actor_gone(cell.get_id()).await;
        }
        Ok(())
    }
}
