//! How far the drain of a channel is: it ends with the process, or before another form of the
//! channel follows. Answers each caller once.

use tokio::sync::oneshot;

use crate::view::ChannelCounts;

/// The drain of a channel.
#[derive(Default)]
pub(crate) struct Drain {
    stage: Stage,
    gives_back: bool,
    drained: Vec<oneshot::Sender<()>>,
    retired: Option<oneshot::Sender<ChannelCounts>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The channel works.
    #[default]
    Off,
    /// Answers to submits are awaited.
    Awaiting,
    /// The links were told to unbind.
    Unbinding,
}

impl Drain {
    /// Begins; the caller is answered when nothing is outstanding.
    pub(crate) fn begin(&mut self, reply: oneshot::Sender<()>) {
        self.start();
        self.drained.push(reply);
    }

    /// Begins; parts that were not submitted go back to their sessions, and the caller is answered
    /// when every link is unbound.
    pub(crate) fn begin_retirement(&mut self, reply: oneshot::Sender<ChannelCounts>) {
        self.start();
        self.gives_back = true;
        self.retired = Some(reply);
    }

    fn start(&mut self) {
        if self.stage == Stage::Off {
            self.stage = Stage::Awaiting;
        }
    }

    /// Whether it has begun.
    pub(crate) fn is_on(&self) -> bool {
        self.stage != Stage::Off
    }

    /// Whether parts that were not submitted go back to their sessions.
    pub(crate) fn gives_back(&self) -> bool {
        self.gives_back
    }

    /// Notes that nothing is outstanding. Returns true the first time.
    pub(crate) fn unbinds_now(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::Unbinding) != Stage::Unbinding
    }

    /// Answers the requests that wait until nothing is outstanding.
    pub(crate) fn answer_drained(&mut self) {
        for reply in self.drained.drain(..) {
            let _caller_gone = reply.send(());
        }
    }

    /// Answers who waits until every link is unbound.
    pub(crate) fn answer_retired(&mut self, counts: ChannelCounts) {
        if let Some(reply) = self.retired.take() {
            let _caller_gone = reply.send(counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_is_answered_once_whatever_began_first() {
        let mut drain = Drain::default();
        assert!(!drain.is_on());
        let (retired, mut is_retired) = oneshot::channel();
        drain.begin_retirement(retired);
        let (reply, mut is_drained) = oneshot::channel();
        drain.begin(reply);
        assert!(drain.is_on() && drain.gives_back());
        assert!(is_drained.try_recv().is_err(), "something is outstanding");
        assert!(drain.unbinds_now());
        assert!(!drain.unbinds_now(), "links are told to unbind once");
        drain.answer_drained();
        assert!(is_drained.try_recv().is_ok() && is_retired.try_recv().is_err());
        drain.answer_retired(ChannelCounts::default());
        drain.answer_retired(ChannelCounts::default());
        assert!(is_retired.try_recv().is_ok());
    }
}
