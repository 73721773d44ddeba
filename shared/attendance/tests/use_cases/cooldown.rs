use std::time::Duration;

use attendance::{Context, Cooldown, Event, Label, Timestamp};
use attendance_testkit::sighting;
use proptest::prelude::*;

/// The rest of five seconds' quiet time for an event this many milliseconds after the last one.
fn left(after: i64) -> Option<u64> {
    let last = Timestamp::from_millis(1_700_000_000_000);
    let at = Timestamp::from_millis(last.millis().saturating_add_signed(after));
    let cooldown = Cooldown { key: "a".into(), at, length: Duration::from_secs(5) };
    cooldown.left(last).map(|left| u64::try_from(left.as_millis()).expect("it is short"))
}

#[test]
fn it_is_quiet_for_exactly_its_time() {
    assert_eq!([0, 1, 2000, 4999].map(left), [5000, 4999, 3000, 1].map(Some));
    assert_eq!([5000, 5001, 86_400_000].map(left), [None; 3]);
}

#[test]
fn a_clock_that_was_set_back_silences_nobody() {
    assert_eq!([-1, -4999].map(left), [Some(5000); 2], "a request that was overtaken");
    assert_eq!([-5000, -3_600_000].map(left), [None; 2]);
}

#[test]
fn students_and_cameras_have_their_own() {
    let at = Timestamp::from_millis(0);
    let key = |event: &Event| Cooldown::of(event, Duration::ZERO).key;
    let stranger = |device: Option<&str>| {
        let context = Context { device_id: device.map(str::to_owned), ..Context::default() };
        key(&Event { label: Label::Unknown, context, ..sighting("x", at) })
    };
    assert_eq!(key(&sighting("door", at)), "door");
    assert_eq!([Some("door"), None].map(stranger), ["unknown:door", "unknown:"]);
}

proptest! {
    #[test]
    fn it_is_quiet_between_the_bounds_and_never_for_longer_than_its_length(
        at in 0u64..4_000_000_000_000, last in 0u64..4_000_000_000_000, near in -20_000i64..20_000, length in 0u64..30_000,
    ) {
        let cooldown =
            Cooldown { key: "a".into(), at: Timestamp::from_millis(at), length: Duration::from_millis(length) };
        let (earliest, latest) = cooldown.blocking();
        // Far away, and where it matters.
        for last in [last, at.saturating_add_signed(near)].map(Timestamp::from_millis) {
            let left = cooldown.left(last);
            // What a store that cannot call `left` asks by the bounds.
            prop_assert_eq!(left.is_none(), last <= earliest || last >= latest);
            if let Some(left) = left {
                prop_assert!(left <= cooldown.length && !left.is_zero());
                if last <= cooldown.at {
                    prop_assert_eq!(cooldown.at.after(left), last.after(cooldown.length));
                }
            }
        }
        prop_assert_eq!(Cooldown { length: Duration::ZERO, ..cooldown.clone() }.left(cooldown.at), None, "zero turns it off");
    }
}
