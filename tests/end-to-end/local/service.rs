//! The shared cases against the local server.

use attendance_end_to_end::{Receiver, cases};

use crate::process::Server;

/// Runs each case against a server of its own.
macro_rules! against_a_server {
    ($($group:ident: $($case:ident),+;)+) => {
        $(mod $group {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let receiver = Receiver::start().await;
                let server = Server::start_for(&receiver);
                against_a_server!(@run $group, $case, &server.target(), &receiver);
            })+
        })+
    };
    (@run events, $case:ident, $target:expr, $receiver:expr) => { cases::events::$case($target, $receiver).await };
    (@run $group:ident, $case:ident, $target:expr, $receiver:expr) => { cases::$group::$case($target).await };
}

against_a_server! {
    people:
        people_are_enrolled_named_and_erased, a_student_has_several_pictures,
        a_picture_that_comes_at_once_is_stored_once, everybody_in_a_frame_is_named,
        a_picture_must_show_one_person, every_allowed_student_id_is_taken;
    refusals:
        forms_with_wrong_fields_are_refused, wrong_student_ids_are_refused, wrong_pictures_are_refused,
        broken_bodies_are_refused, an_endless_picture_is_refused_while_it_comes, a_large_upload_gets_its_answer,
        wrong_parameters_are_refused, wrong_paths_and_methods_are_refused;
    access:
        a_key_opens_and_nothing_else_does, an_upload_without_a_key_gets_its_answer, watchers_need_a_key,
        pages_of_other_origins_may_call;
    pages:
        health_and_config_tell_how_it_is, the_document_names_every_route, the_page_loads_from_here_alone,
        the_mock_receiver_answers_with_a_token;
    events:
        a_sighting_is_answered_sent_and_pushed, a_student_is_told_once_per_quiet_time,
        min_conf_tightens_what_is_dispatched, strangers_are_told_on_request, a_failed_delivery_is_sent_again,
        a_silent_receiver_costs_the_timeout, a_long_answer_is_cut;
    watching:
        watchers_hear_everything_in_order, a_watcher_who_was_away_misses_nothing,
        a_ping_is_answered_and_nonsense_is_ignored;
}
