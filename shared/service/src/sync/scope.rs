//! What one answer is made for, fixed before anything is read.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use plexus_core::{
    filter::Filter,
    position::{Epoch, Position, Sequence, WriterId},
    token::SyncToken,
};

use super::account_data::News;
use crate::{
    Ctx, Requester, ServiceError,
    users::ignored::{Ignored, ignored_by},
};

/// One answer: who asks, what for, and from where to where.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) requester: &'a Requester,
    pub(super) filter: &'a Filter,
    /// Whether the device is told all of the state of its rooms.
    pub(super) full_state: bool,
    /// Whether state is told as it is at the end of the timeline.
    pub(super) state_after: bool,
    pub(super) now_ms: i64,
    pub(super) window: Window,
    /// What of the user's account data is new.
    pub(super) account_data: News,
    /// Whom the user does not want to hear.
    pub(super) ignored: Ignored,
    pub(super) effort: Effort,
}

impl<'a> Scope<'a> {
    /// An answer to who has been told nothing yet, or what came before a window.
    pub(super) async fn new(
        ctx: &'a Ctx,
        requester: &'a Requester,
        filter: &'a Filter,
        window: Window,
    ) -> Result<Self, ServiceError> {
        Ok(Self {
            ctx,
            requester,
            filter,
            full_state: window.since.is_none(),
            state_after: false,
            now_ms: ctx.clock.now_ms(),
            account_data: News::load(ctx, requester, &window).await?,
            ignored: ignored_by(ctx, requester.user).await?,
            window,
            effort: Effort::default(),
        })
    }
}

/// Most events that one answer looks at beyond the first few of each room, to find those that a filter shows.
const READ_MAX: usize = 20_000;

/// How much work one answer may be, so that nobody's filter keeps a process from answering others.
#[derive(Debug, Default)]
pub(super) struct Effort {
    read: AtomicUsize,
    since_pause: AtomicUsize,
}

/// After how many rooms and events looked at an answer lets others go on: about a millisecond of work.
const PAUSE_EVERY: usize = 500;

impl Effort {
    /// Whether some more events may be read, which then count as read.
    pub(super) fn may_read(&self, events: usize) -> bool {
        self.read.fetch_add(events, Relaxed) + events <= READ_MAX
    }

    /// Some rooms or events have been looked at. What is in memory is read without a pause: now and then there has to be one.
    pub(super) async fn spend(&self, looked_at: usize) {
        if self.since_pause.fetch_add(looked_at, Relaxed) + looked_at >= PAUSE_EVERY {
            self.since_pause.store(0, Relaxed);
            tokio::task::yield_now().await;
        }
    }
}

/// The part of the log that an answer tells of.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// What the device has been told; none if nothing.
    pub(super) since: Option<Since>,
    /// The last place told of, on the master's chain.
    pub(super) up_to: Sequence,
    /// The same on every stored chain.
    pub(super) position: Position,
    /// The last place told of on the ephemeral chain.
    pub(super) ephemeral: (Epoch, Sequence),
    /// The to-device messages that have been told.
    pub(super) to_device: i64,
}

/// What a device has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) position: Sequence,
    pub(super) ephemeral: (Epoch, Sequence),
}

/// What of the ephemeral state has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    /// Nothing has changed.
    Nothing,
    /// What has changed after this place.
    After(Sequence),
    /// Who is typing, where anybody is.
    Current,
    /// Everything, also that nobody is typing: what the device knows is of another epoch.
    All,
}

impl Window {
    /// From what a device has been told to what this process has applied.
    pub(super) fn now(ctx: &Ctx, since: Option<&SyncToken>) -> Self {
        let position = ctx.replica.position();
        let up_to = position.get(WriterId::MASTER);
        Self {
            since: since.map(|since| Since {
                position: since.position.get(WriterId::MASTER),
                ephemeral: since.ephemeral,
            }),
            up_to,
            position,
            ephemeral: ctx.replica.ephemeral(),
            to_device: since.map_or(0, |since| since.to_device),
        }
    }

    /// The token of a device that has been told everything in the window, and its messages up to `to_device`.
    pub(super) fn next(&self, ctx: &Ctx, to_device: i64) -> SyncToken {
        SyncToken {
            generation: ctx.config.generation.clone(),
            position: self.position.clone(),
            ephemeral: self.ephemeral_told(),
            to_device,
        }
    }

    /// Up to where the device is told of the stored chain, before this answer; 0 if nothing.
    pub(super) fn after(&self) -> Sequence {
        self.since.map_or(0, |since| since.position)
    }

    /// What has to be told of typing.
    pub(super) fn typing(&self) -> Typing {
        let Some(Since {
            ephemeral: (epoch, told),
            ..
        }) = self.since
        else {
            return Typing::Current;
        };
        match self.ephemeral {
            // A process that has not heard of the chain yet has nothing to tell.
            (0, _) => Typing::Nothing,
            (now, at) if now == epoch && at <= told => Typing::Nothing,
            (now, _) if now == epoch => Typing::After(told),
            _ if epoch == 0 => Typing::Current,
            _ => Typing::All,
        }
    }

    /// Up to where the device is told of the ephemeral chain after this answer. A process that is behind on it moves nobody back.
    fn ephemeral_told(&self) -> (Epoch, Sequence) {
        match (self.since, self.ephemeral) {
            (Some(since), (0, _)) => since.ephemeral,
            (Some(since), now) if now.0 == since.ephemeral.0 => now.max(since.ephemeral),
            (_, now) => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(told: (Epoch, Sequence), now: (Epoch, Sequence)) -> Window {
        let since = Some(Since {
            position: 4,
            ephemeral: told,
        });
        Window {
            since,
            up_to: 9,
            position: Position::default(),
            ephemeral: now,
            to_device: 0,
        }
    }

    #[test]
    fn typing_is_told_once_and_anew_in_another_epoch() {
        let table = [
            ((3, 5), (3, 5), Typing::Nothing, (3, 5)),
            ((3, 5), (3, 8), Typing::After(5), (3, 8)),
            ((3, 8), (3, 5), Typing::Nothing, (3, 8)),
            ((3, 5), (4, 2), Typing::All, (4, 2)),
            ((0, 0), (4, 2), Typing::Current, (4, 2)),
            ((3, 5), (0, 0), Typing::Nothing, (3, 5)),
        ];
        for (told, now, typing, next) in table {
            let window = window(told, now);
            assert_eq!(
                (window.typing(), window.ephemeral_told()),
                (typing, next),
                "{told:?} {now:?}"
            );
        }
        let first = Window {
            since: None,
            ..window((0, 0), (4, 2))
        };
        assert_eq!((first.typing(), first.after()), (Typing::Current, 0));
    }
}
