use std::time::Duration;

use attendance::{AttemptOutcome, NextStep, RetryPolicy, Timestamp};
use attendance_testkit::{answered, delivered, failed};
use proptest::prelude::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn durations_have_a_number_and_a_unit() {
    for (text, expected) in [("5s", 5), (" 10m ", 600), ("1h", 3600), ("2d", 172_800), ("0005s", 5)] {
        assert_eq!(RetryPolicy::parse_duration(text), Ok(seconds(expected)), "{text}");
    }
    for text in
        ["", "s", "5", "0s", "-5s", "+5s", "5 s", "5S", "5ms", "1.5h", "5é", "é", "99999999999s", "5s,30s", "five"]
    {
        assert!(RetryPolicy::parse_duration(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_schedule_is_a_list_of_durations() {
    assert_eq!(RetryPolicy::parse_waits("5s, 30s,2m"), Ok([5, 30, 120].map(seconds).to_vec()));
    for text in ["", ",", "5s,", ",5s", "5s,,30s", "5s;30s", "5s 30s"] {
        assert!(RetryPolicy::parse_waits(text).is_err(), "{text:?}");
    }
    assert!(RetryPolicy::new(Vec::new(), seconds(1)).is_err());
}

#[test]
fn the_default_is_what_the_contract_names() {
    let waits = RetryPolicy::parse_waits("5s,30s,2m,10m,1h").expect("a schedule");
    let give_up = RetryPolicy::parse_duration("24h").expect("a duration");
    assert_eq!(RetryPolicy::new(waits, give_up), Ok(RetryPolicy::default()));
}

#[test]
fn an_answer_that_ends_the_event_ends_it() {
    let now = Timestamp::from_millis(1000);
    let policy = RetryPolicy::default();
    assert_eq!(policy.next_step(&delivered(now), 1, now, now, 0.0), NextStep::Sent);
    let gone = answered(now, 410, AttemptOutcome::Gone);
    assert_eq!(policy.next_step(&gone, 1, now, now, 0.0), NextStep::Dead);
}

#[test]
fn the_last_try_comes_when_the_time_is_up() {
    let policy = RetryPolicy::new(vec![seconds(10)], seconds(30)).expect("a policy");
    let (start, failed) = (Timestamp::from_millis(0), failed(Timestamp::from_millis(0), None));
    let step = |now| policy.next_step(&failed, 3, start, Timestamp::from_millis(now), 0.0);
    assert_eq!(step(20_000), NextStep::RetryAt(Timestamp::from_millis(30_000)));
    assert_eq!(step(20_001), NextStep::RetryAt(Timestamp::from_millis(30_000)), "the wait is cut, the time is not");
    assert_eq!(step(29_999), NextStep::RetryAt(Timestamp::from_millis(30_000)));
    assert_eq!(step(30_000), NextStep::Dead);
}

proptest! {
    #[test]
    fn a_wait_lies_between_its_length_and_a_fifth_more(
        waits in prop::collection::vec(1u64..10_000, 1..8),
        tries in 0u32..20,
        retry_after in prop::option::of(0u64..20_000),
        jitter in -1.0f64..2.0,
    ) {
        let policy = RetryPolicy::new(waits.iter().copied().map(seconds).collect(), seconds(1_000_000)).expect("waits");
        let now = Timestamp::from_millis(1_700_000_000_000);
        let attempt = failed(now, retry_after.map(seconds));
        let NextStep::RetryAt(at) = policy.next_step(&attempt, tries, now, now, jitter) else {
            panic!("it is not given up so soon");
        };
        let planned = waits[(tries.max(1) as usize - 1).min(waits.len() - 1)];
        let asked = retry_after.unwrap_or(0);
        let wait = at.since(now);
        prop_assert!(wait >= seconds(planned.max(asked)));
        prop_assert!(wait <= seconds(planned).mul_f64(1.2).max(seconds(asked)));
    }
}
