//! The service on a local AWS stack: the shared cases against the deployed functions, and what only they do.
//!
//! `cargo xtask test --only aws` deploys it and runs this; where everything is, is in the environment.

mod bulk;
mod containers;
mod delivery;
mod letters;
mod raw;
mod stack;
mod watchers;

use attendance_end_to_end::cases;

use crate::stack::Stack;

/// Runs each case against the one service, alone.
macro_rules! against_the_stack {
    ($($group:ident: $($case:ident),+;)+) => {
        $(mod $group {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let stack = Stack::alone().await;
                against_the_stack!(@run $group, $case, &stack.target, &stack.receiver);
            })+
        })+
    };
    (@run events, $case:ident, $target:expr, $receiver:expr) => { cases::events::$case($target, $receiver).await };
    (@run $group:ident, $case:ident, $target:expr, $receiver:expr) => { cases::$group::$case($target).await };
}

// Not here: what API Gateway answers itself before any function is asked (broken, endless and too large bodies, and
// uploads without a key that are answered while they come), and `?since=`, since nothing can be posted to a watcher
// while he connects; nor the order of what is told at the same instant, which only `seq` gives there; nor
// student ids with an encoded slash, which gateways decode before they route. The local stack answers preflights itself, and tells a watcher without a key 403 for 401.
against_the_stack! {
    people:
        people_are_enrolled_named_and_erased, a_student_has_several_pictures,
        a_picture_that_comes_at_once_is_stored_once, everybody_in_a_frame_is_named,
        a_picture_must_show_one_person, every_allowed_student_id_is_taken;
    refusals:
        forms_with_wrong_fields_are_refused, wrong_pictures_are_refused,
        wrong_parameters_are_refused, wrong_paths_and_methods_are_refused;
    access:
        a_key_opens_and_nothing_else_does;
    pages:
        health_and_config_tell_how_it_is, the_document_names_every_route, the_page_loads_from_here_alone,
        the_mock_receiver_answers_with_a_token;
    events:
        a_sighting_is_answered_sent_and_pushed, a_student_is_told_once_per_quiet_time,
        min_conf_tightens_what_is_dispatched, strangers_are_told_on_request, a_failed_delivery_is_sent_again,
        a_silent_receiver_costs_the_timeout, a_long_answer_is_cut;
    watching:
        a_ping_is_answered_and_nonsense_is_ignored;
}
