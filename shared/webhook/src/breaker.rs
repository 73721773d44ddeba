use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Consecutive unanswered tries after which the receiver is left alone.
const PATIENCE: u32 = 5;
/// How long it is left alone at first, and at most. The time doubles with each unanswered probe.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Makes a dead receiver cheap: after some unanswered tries the next ones fail at once, until a probe after a rest is
/// answered. An error status is an answer.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { silent: u32 },
    Open { until: Instant, rest: Duration },
    Probing { rest: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { silent: 0 }
    }
}

/// Permission to make one try.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Permission to make a try now, or `None` while the receiver is left alone.
    pub(crate) fn enter(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Some(Pass { breaker: self, probe: false }),
            State::Open { until, rest } if now >= until => {
                *state = State::Probing { rest };
                Some(Pass { breaker: self, probe: true })
            }
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Records that the receiver answered: tries are free again, even if this one started before the receiver was left alone.
    pub(crate) fn answered(self) {
        *self.breaker.state() = State::default();
    }

    /// Records that the receiver did not answer.
    pub(crate) fn silent(mut self, now: Instant) {
        let mut state = self.breaker.state();
        *state = match *state {
            State::Closed { silent } if silent + 1 < PATIENCE => State::Closed { silent: silent + 1 },
            State::Closed { .. } => {
                tracing::warn!("the webhook's receiver does not answer; leaving it alone for a while");
                State::Open { until: now + FIRST_REST, rest: FIRST_REST }
            }
            State::Probing { rest } if self.probe => {
                let rest = (rest * 2).min(LONGEST_REST);
                State::Open { until: now + rest, rest }
            }
            // This try started before the circuit opened.
            other => other,
        };
        self.probe = false;
    }
}

impl Drop for Pass<'_> {
    /// A probe that was cancelled leaves its place to the next.
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.breaker.state();
            if let State::Probing { rest } = *state {
                *state = State::Open { until: Instant::now(), rest };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(breaker: &Breaker, now: Instant, times: u32) {
        for n in 0..times {
            breaker.enter(now).unwrap_or_else(|| panic!("closed at {n}")).silent(now);
        }
    }

    #[test]
    fn it_opens_after_five_silent_tries_in_a_row() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        silence(&breaker, now, 4);
        breaker.enter(now).expect("still closed").answered();
        silence(&breaker, now, 5);
        assert!(breaker.enter(now).is_none());
        assert!(breaker.enter(now + Duration::from_millis(4999)).is_none());
    }

    #[test]
    fn one_probe_after_the_rest_decides() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        silence(&breaker, now, 5);
        for rest in [5, 10, 20, 40, 60, 60] {
            assert!(breaker.enter(now + Duration::from_secs(rest) - Duration::from_millis(1)).is_none(), "{rest}");
            now += Duration::from_secs(rest);
            let probe = breaker.enter(now).expect("the probe");
            assert!(breaker.enter(now).is_none(), "one probe at a time");
            probe.silent(now);
        }
        now += Duration::from_secs(60);
        breaker.enter(now).expect("the probe").answered();
        silence(&breaker, now, 4);
        assert!(breaker.enter(now).is_some(), "an answer begins the count anew");
    }

    #[test]
    fn tries_from_before_it_opened_neither_lengthen_the_rest_nor_take_the_probes_place() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let late: Vec<Pass<'_>> = (0..3).map(|_| breaker.enter(now).expect("closed")).collect();
        let answered = breaker.enter(now).expect("closed");
        silence(&breaker, now, 5);
        let later = now + Duration::from_secs(5);
        for pass in late {
            pass.silent(later);
        }
        let probe = breaker.enter(later).expect("the rest is as long as it was");
        drop(probe);
        assert!(
            breaker.enter(Instant::now() + Duration::from_secs(1)).is_some(),
            "a probe that was cancelled is no end"
        );
        answered.answered();
        assert!(breaker.enter(now).is_some());
    }
}
