use std::time::Duration;

use crate::{Event, Timestamp};

/// The quiet time that an event starts and must not fall into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// Whose quiet time it is: [`Event::cooldown_key`].
    pub key: String,
    /// When the event happened.
    pub at: Timestamp,
    /// How long the quiet time is; zero turns it off.
    pub length: Duration,
}

impl Cooldown {
    /// How long adapters keep the row of a cooldown that is over: much longer than the settings of two processes may differ.
    pub const KEPT: Duration = Duration::from_secs(86400);

    /// The cooldown of this event.
    #[must_use]
    pub fn of(event: &Event, length: Duration) -> Self {
        Self { key: event.cooldown_key(), at: event.at, length }
    }

    /// When the quiet time is over.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.at.after(self.length)
    }

    /// The bounds between which, both excluded, the last accepted event of the same key keeps this one from being accepted.
    ///
    /// Requests overtake each other, so the last event may be slightly later than this one. If it is later by at least the
    /// cooldown, the clock was set back, and nobody is to stay quiet until it has caught up.
    #[must_use]
    pub fn blocking(&self) -> (Timestamp, Timestamp) {
        (self.at.before(self.length), self.until())
    }

    /// The rest of the quiet time if the last event of the same key was accepted at `last`; `None` if this one may be accepted.
    #[must_use]
    pub fn left(&self, last: Timestamp) -> Option<Duration> {
        let (earliest, latest) = self.blocking();
        (earliest < last && last < latest).then(|| self.length.saturating_sub(self.at.since(last)))
    }
}
