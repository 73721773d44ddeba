use std::time::Duration;

use crate::{Attempt, AttemptOutcome, NextStep, Timestamp};

/// When a failed delivery is tried again, and when it is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    waits: Vec<Duration>,
    give_up_after: Duration,
}

/// A text is not a schedule. The message says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a duration is a whole number with a unit, s, m, h or d, greater than zero, as in `30s`; a schedule is a list of them, as in `5s,30s,2m`"
)]
pub struct InvalidSchedule;

impl RetryPolicy {
    /// Returns the policy with these waits between tries, the last one repeated, until `give_up_after` has passed since
    /// the event was accepted, or replayed.
    ///
    /// # Errors
    /// [`InvalidSchedule`] if there is no wait.
    pub fn new(waits: Vec<Duration>, give_up_after: Duration) -> Result<Self, InvalidSchedule> {
        if waits.is_empty() { Err(InvalidSchedule) } else { Ok(Self { waits, give_up_after }) }
    }

    /// The waits between tries.
    #[must_use]
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }

    /// How long after the start of a round an event is given up.
    #[must_use]
    pub fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    /// Returns the duration in a text such as `5s`, `10m`, `1h` or `2d`.
    ///
    /// # Errors
    /// [`InvalidSchedule`] if it is anything else.
    pub fn parse_duration(text: &str) -> Result<Duration, InvalidSchedule> {
        let text = text.trim();
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(InvalidSchedule)?;
        let seconds: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(InvalidSchedule),
        };
        // `parse` alone would take a plus sign.
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSchedule);
        }
        let number: u32 = number.parse().map_err(|_| InvalidSchedule)?;
        if number == 0 { Err(InvalidSchedule) } else { Ok(Duration::from_secs(u64::from(number) * seconds)) }
    }

    /// Returns the waits in a text such as `5s,30s,2m`.
    ///
    /// # Errors
    /// [`InvalidSchedule`] if a part is not a duration.
    pub fn parse_waits(text: &str) -> Result<Vec<Duration>, InvalidSchedule> {
        text.split(',').map(Self::parse_duration).collect()
    }

    /// What happens to an event after the `tries`-th try (1 is the first) of the round that started at `round_started`.
    ///
    /// `jitter`, from 0 to 1, spreads the wait between its full length and a fifth more, so that events that failed
    /// together do not come back together. A receiver's `Retry-After` can only lengthen a wait.
    #[must_use]
    pub fn next_step(
        &self,
        attempt: &Attempt,
        tries: u32,
        round_started: Timestamp,
        now: Timestamp,
        jitter: f64,
    ) -> NextStep {
        let retry_after = match attempt.outcome {
            AttemptOutcome::Delivered => return NextStep::Sent,
            AttemptOutcome::Gone => return NextStep::Dead,
            AttemptOutcome::Failed { retry_after } => retry_after.unwrap_or_default(),
        };
        let index = (tries.max(1) as usize - 1).min(self.waits.len() - 1);
        let wait = self.waits[index].mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)).max(retry_after);
        // The last try comes when the time is up, however long the waits have become.
        let end = round_started.after(self.give_up_after);
        if now >= end { NextStep::Dead } else { NextStep::RetryAt(now.after(wait).min(end)) }
    }
}

impl Default for RetryPolicy {
    /// `5s,30s,2m,10m,1h` for `24h`.
    fn default() -> Self {
        Self {
            waits: [5, 30, 120, 600, 3600].map(Duration::from_secs).to_vec(),
            give_up_after: Duration::from_secs(86400),
        }
    }
}
