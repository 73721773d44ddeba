mod attempts;
mod cooldown;
mod leases;
mod storage;
mod store;

use attendance::ports::EventStore;

use super::Open;

/// What every [`EventStore`] guarantees, by itself and under [`Entries`](attendance::Entries).
pub async fn event_store(fresh: impl AsyncFn() -> Open<dyn EventStore>) {
    cooldown::a_cooldown_holds_for_its_time_and_key(fresh().await).await;
    cooldown::one_of_many_at_the_same_instant_is_accepted(fresh().await).await;
    cooldown::a_clock_that_was_set_back_silences_nobody(fresh().await).await;
    cooldown::an_accepted_event_is_stored_with_its_body(fresh().await).await;
    cooldown::what_is_refused_leaves_no_event(fresh().await).await;
    leases::a_lease_runs_out_by_itself(fresh().await).await;
    leases::one_claimer_gets_an_event(fresh().await).await;
    leases::the_earliest_are_claimed_first(fresh().await).await;
    leases::an_event_is_claimed_by_its_id_when_it_is_due(fresh().await).await;
    leases::one_of_many_claims_an_event_by_its_id(fresh().await).await;
    attempts::a_failed_try_waits_and_ends_the_lease(fresh().await).await;
    attempts::an_ended_event_is_not_reopened(fresh().await).await;
    attempts::every_kind_of_try_is_kept(fresh().await).await;
    attempts::a_replay_begins_a_new_round(fresh().await).await;
    attempts::a_try_from_before_a_replay_does_not_undo_it(fresh().await).await;
    storage::pages_hold_every_event_once(fresh().await).await;
    storage::what_is_swapped_is_what_is_found(fresh().await).await;
    storage::of_changes_from_one_state_one_is_stored(fresh().await).await;
    storage::changes_side_by_side_are_all_made(fresh().await).await;
}
