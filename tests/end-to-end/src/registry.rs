//! Every end-to-end case, what it needs, and what each target has. A target runs each case that it can run: what it has
//! decides, at compile time, so that nobody can leave one out.
//!
//! A new case is a function and a line in [`cases!`](crate::cases). A case that talks to a running service alone is in
//! [`crate::cases`] and is handed the service; one that needs more is in the test program of the target that has it.

/// What a case needs and a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// A service started with [`environment`](crate::environment), over HTTP and WebSocket, and the receiver of its events.
    Service,
    /// Every byte of a request reaches the service as it is sent. API Gateway answers broken, endless and oversized bodies
    /// itself, and answers no upload while it arrives.
    WholeRequests,
    /// Paths reach the service as they were sent. Gateways decode a slash before they route.
    EncodedPaths,
    /// The service answers preflights. The local stack answers them itself.
    Preflights,
    /// A refused subscriber gets a 401. The local stack answers 403.
    SubscriberStatus,
    /// Messages arrive in the order of `seq`. Functions post concurrently: only `seq` orders what they post at the same instant.
    OrderedMessages,
    /// `?since=` has an effect. API Gateway accepts no message for a subscriber that is still connecting.
    Backlog,
    /// The `attendance` command as processes, with variables and a data folder of their own.
    Process,
    /// Nothing else runs meanwhile, so that measured times mean something.
    Alone,
    /// The deployed functions' table, logs and alarms.
    Stack,
    /// The bucket whose `known_faces/` are enrolled.
    Bucket,
    /// The queues, and the processes of the functions that read them.
    Queues,
    /// The functions' programs, called with events as AWS hands them over.
    RecordedEvents,
}

/// Hands every case to the macro in the brackets: the group, which is its module; what it is handed; what it needs.
#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ([$($to:tt)+] $($with:tt)*) => {
        $($to)+! { $($with)*
            people (target) {
                [Service] {
                    people_are_enrolled_named_and_erased,
                    a_student_has_several_pictures,
                    a_picture_that_comes_at_once_is_stored_once,
                    everybody_in_a_frame_is_named,
                    a_picture_must_show_one_person,
                    every_allowed_student_id_is_taken,
                }
            }
            refusals (target) {
                [Service] {
                    forms_with_wrong_fields_are_refused,
                    wrong_pictures_are_refused,
                    wrong_parameters_are_refused,
                    wrong_paths_and_methods_are_refused,
                }
                [Service EncodedPaths] {
                    wrong_student_ids_are_refused,
                }
                [Service WholeRequests] {
                    broken_bodies_are_refused,
                    an_endless_picture_is_refused_while_it_comes,
                    a_large_upload_gets_its_answer,
                }
            }
            access (target) {
                [Service] {
                    a_key_opens_and_nothing_else_does,
                }
                [Service WholeRequests] {
                    an_upload_without_a_key_gets_its_answer,
                }
                [Service SubscriberStatus] {
                    subscribers_need_a_key,
                }
                [Service Preflights] {
                    pages_of_other_origins_may_call,
                }
            }
            pages (target) {
                [Service] {
                    health_and_config_tell_how_it_is,
                    the_document_names_every_route,
                    the_page_loads_from_here_alone,
                    the_mock_receiver_answers_with_a_token,
                }
            }
            events (target receiver) {
                [Service] {
                    a_sighting_is_answered_sent_and_pushed,
                    a_student_is_told_once_per_quiet_time,
                    min_conf_tightens_what_is_dispatched,
                    strangers_are_told_on_request,
                    a_failed_delivery_is_sent_again,
                    a_silent_receiver_costs_the_timeout,
                    a_long_answer_is_cut,
                }
            }
            messages (target) {
                [Service] {
                    a_ping_is_answered_and_nonsense_is_ignored,
                }
                [Service OrderedMessages] {
                    subscribers_get_everything_in_order,
                }
                [Service OrderedMessages Backlog] {
                    a_subscriber_that_was_away_misses_nothing,
                }
            }
            commands () {
                [Process] {
                    bulk_enroll_takes_what_it_can_and_says_why_not_the_rest,
                    bulk_enroll_fails_where_nothing_was_enrolled,
                    recognize_names_the_faces_of_files,
                    what_is_no_picture_is_a_sentence_and_an_exit_code_within_bounds,
                    compare_tells_the_same_person_from_two,
                    import_takes_over_what_the_replaced_service_stored,
                    watch_posts_files_and_prints_what_comes_back,
                    watch_follows_a_camera,
                    a_tool_whose_reader_has_gone_ends_quietly,
                    a_server_whose_reader_has_gone_goes_on,
                }
            }
            settings () {
                [Process] {
                    a_wrong_value_stops_the_start_and_says_what_is_expected,
                    a_door_without_a_key_is_for_this_machine_alone,
                    the_start_says_where_it_is_and_a_file_of_variables_is_read,
                    without_a_webhook_sightings_are_pushed_and_take_no_cooldown,
                    a_photograph_of_two_can_be_taken_for_the_larger_or_for_both,
                    pages_of_named_origins_alone_may_call,
                    an_event_that_is_never_taken_is_given_up_and_can_be_sent_again,
                    an_event_that_was_queued_survives_the_server,
                    an_event_whose_first_try_was_cut_off_is_sent_after_the_next_start,
                    a_stop_finishes_what_runs,
                    memory_stays_bounded_under_large_uploads,
                }
            }
            durability () {
                [Process] {
                    what_was_acknowledged_survives_twenty_kills,
                }
            }
            faults () {
                [Process] {
                    a_store_that_does_not_answer_is_told_and_nothing_is_half_written,
                    a_damaged_store_is_logged_and_its_inside_is_not_shown,
                    more_frames_than_the_machine_takes_are_turned_away,
                }
            }
            sharing () {
                [Process] {
                    what_a_bulk_run_acknowledged_is_named_by_the_next_request,
                    two_servers_share_one_cooldown_one_gallery_and_one_stream,
                }
            }
            subscribers () {
                [Process] {
                    a_thousand_subscribers_get_a_message,
                    a_subscriber_that_never_reads_delays_nobody_and_is_dropped,
                }
                [Service Stack] {
                    a_subscriber_that_vanished_is_cleaned_up_at_the_next_push,
                    a_subscriber_that_was_away_asks_for_what_it_missed,
                    nobody_subscribes_without_a_key,
                    what_is_told_at_the_same_instant_has_numbers_of_its_own,
                }
            }
            guide () {
                [Process] {
                    the_guides_python_takes_what_is_ours_and_nothing_else,
                }
            }
            storm () {
                [Process Alone] {
                    a_thousand_events_in_random_faults_all_arrive_and_count_once,
                }
            }
            troubles () {
                [Process Alone] {
                    a_dead_receiver_costs_the_timeout_and_soon_nothing_and_delays_nobody_else,
                    a_stop_lets_a_retry_end,
                    events_wait_for_a_server_that_has_a_webhook,
                    one_student_in_the_same_instant_through_two_processes_is_one_attendance,
                    a_replay_of_all_ends_although_all_are_given_up_again,
                }
            }
            bulk () {
                [Service Stack Bucket] {
                    an_enrolled_picture_lies_in_the_bucket_byte_for_byte,
                    a_dropped_picture_is_enrolled_until_it_is_removed,
                    a_notification_counts_once_however_often_and_in_whatever_order_it_comes,
                    a_refused_picture_leaves_a_report_and_is_told,
                    a_client_uploads_a_picture_that_is_too_large_for_an_invocation,
                    five_hundred_pictures_dropped_at_once_have_an_outcome_each,
                }
            }
            containers () {
                [Service Stack] {
                    what_one_warm_container_enrols_another_warm_one_finds,
                    two_frames_in_the_same_instant_through_two_containers_are_one_event,
                }
            }
            delivery () {
                [Service Stack Queues] {
                    three_hundred_events_in_random_faults_all_arrive_and_count_once,
                    an_event_whose_message_was_lost_is_found_by_the_clock,
                    a_message_that_is_none_ends_in_the_dead_letter_queue,
                    a_replayed_event_is_sent_at_once,
                }
            }
            letters () {
                [Service Stack Bucket Queues] {
                    nothing_but_known_faces_calls_the_function,
                    what_keeps_failing_ends_among_the_dead_letters_and_raises_the_alarm,
                }
            }
            alarms () {
                [Service Stack] {
                    each_function_has_an_alarm_on_its_errors_and_one_on_its_throttles,
                }
            }
            raw () {
                [Service Stack Bucket RecordedEvents] {
                    http_events_are_answered,
                    websocket_events_are_answered,
                    bucket_events_are_settled,
                }
            }
        }
    };
}

/// Declares a target: a constant with what it has, and a macro that keeps what it is given if the target has everything that is
/// named in the brackets before it.
macro_rules! target {
    ($dollar:tt $(#[$doc:meta])+ $constant:ident $name:ident: $($has:ident)+) => {
        $(#[$doc])+
        pub const $constant: &[Capability] = &[$(Capability::$has),+];

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            ([] $dollar($dollar kept:tt)*) => { $dollar($dollar kept)* };
            $(([$has $dollar($dollar need:ident)*] $dollar($dollar kept:tt)*) => {
                $crate::$name! { [$dollar($dollar need)*] $dollar($dollar kept)* }
            };)+
            ([$dollar($dollar lacking:ident)+] $dollar($dollar dropped:tt)*) => {};
        }
    };
}

target! { $
    /// What the local server and its tools have, as processes.
    LOCAL_SERVER local_server:
    Service WholeRequests EncodedPaths Preflights SubscriberStatus OrderedMessages Backlog Process Alone
}

target! { $
    /// What the functions on a local AWS stack have.
    STACK stack:
    Service Stack Bucket Queues RecordedEvents
}

/// A test for each case that this target can run. At its root the crate has `turn`, which a test holds while it runs, and
/// `start`, which returns a `target` and a `receiver`.
#[macro_export]
macro_rules! tests {
    ($target:ident) => {
        $crate::cases! { [$crate::each_test] $target }
    };
}

#[doc(hidden)]
#[macro_export]
#[allow(clippy::crate_in_macro_def, reason = "the crate of the target is meant")]
macro_rules! each_test {
    ($target:ident $($group:ident $handed:tt { $($needs:tt { $($case:ident),+ $(,)? })+ })+) => {
        $(mod $group {
            $($($crate::$target! { $needs
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let _turn = crate::turn(&$crate::needs!($needs)).await;
                    $crate::ask!($handed $group $case);
                }
            })+)+
        })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! needs {
    ([$($need:ident)*]) => { [$($crate::Capability::$need),*] };
}

#[doc(hidden)]
#[macro_export]
#[allow(clippy::crate_in_macro_def, reason = "the crate of the target is meant")]
macro_rules! ask {
    (() $group:ident $case:ident) => {
        crate::$group::$case().await
    };
    (($($part:ident)+) $group:ident $case:ident) => {{
        let service = crate::start().await;
        $crate::cases::$group::$case($(&service.$part),+).await
    }};
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    macro_rules! list {
        ($($group:ident $handed:tt { $($needs:tt { $($case:ident),+ $(,)? })+ })+) => {
            const CASES: &[(&str, &[Capability])] = &[$($($((stringify!($case), &$crate::needs!($needs)),)+)+)+];
        };
    }
    crate::cases! { [list] }

    #[test]
    fn every_case_runs_somewhere() {
        for (case, needs) in CASES {
            let able = |has: &[Capability]| needs.iter().all(|need| has.contains(need));
            assert!([LOCAL_SERVER, STACK].into_iter().any(able), "{case} needs {needs:?}: no target has all of it");
        }
    }

    #[test]
    fn every_case_that_is_written_is_registered() {
        for (folder, head) in
            [("src/cases", "pub async fn "), ("local", "pub(crate) async fn "), ("aws", "pub(crate) async fn ")]
        {
            let mut cases = 0;
            for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder") {
                let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
                assert!(!text.contains("#[test]") && !text.contains("#[tokio::test"), "the registry makes the tests");
                for case in text.lines().filter_map(|line| line.strip_prefix(head)?.split('(').next()) {
                    assert!(
                        CASES.iter().any(|(name, _)| *name == case),
                        "{case} is in {folder}, but not in the registry"
                    );
                    cases += 1;
                }
            }
            assert!(cases > 10, "{folder} is not what it was taken for");
        }
    }
}
