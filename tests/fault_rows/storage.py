"""Which tests hold the rows 32 to 45 and 51 to 63: uploads, promotion, storage; and some of the invariants."""

from typing import Final

_BAD = "tests/e2e/test_bad_registrations.py::"
_CACHE = "tests/unit/test_disk_cache.py::"
_CONTRACT = "tests/contracts/test_registry_contract.py::"
_LOST = "tests/e2e/test_lost_files.py::"
_PLACES = "tests/e2e/test_places_in_trouble.py::"
_POSTGRES = "tests/e2e/test_postgres_gateway.py::"
_POSTGRES_FAILURES = "tests/contracts/test_postgres_failures.py::"
_POSTGRES_REVISIONS = "tests/migrations/test_revisions_on_postgres.py::"
_PROCESSES = "tests/e2e/test_processes.py::"
_PROMOTIONS = "tests/e2e/test_promotions.py::"
_RACES = "tests/contracts/test_registry_races.py::"
_REFUSED = "tests/e2e/test_refused_uploads.py::"
_REVISIONS = "tests/migrations/test_revisions.py::"
_ROUTING = "tests/unit/test_routing.py::"
_S3 = "tests/e2e/test_s3_gateway.py::"
_S3_TROUBLE = "tests/unit/test_s3_trouble.py::"
_SAME = "tests/e2e/test_store_and_registry_agree.py::"
_UPLOADS = "tests/e2e/test_uploads.py::"

ROWS: Final[dict[int, tuple[str, ...]]] = {
    # Upload
    32: (
        _REFUSED + "test_it_is_refused_and_leaves_nothing_behind",
        "tests/hostile/test_hostile_uploads.py::test_it_is_refused_with_its_reason",
    ),
    33: (
        _REFUSED + "test_what_killed_an_inspector_is_not_given_to_another",
        "tests/hostile/test_hostile_uploads.py::test_endless_folding_ends_with_its_share_of_processor_time",
        "tests/unit/test_registration.py::test_what_cost_a_child_is_refused_again_without_one",
    ),
    34: (_UPLOADS + "test_a_digest_that_differs_is_refused",),
    35: (_UPLOADS + "test_a_connection_cut_shortly_before_the_end_leaves_nothing",),
    36: (
        _UPLOADS + "test_a_file_over_the_cap_is_refused",
        _UPLOADS + "test_a_body_without_end_is_refused_as_soon_as_it_passes_the_cap",
        _BAD + "test_a_file_that_says_it_is_larger_than_any_is_refused_unread",
    ),
    37: (
        _UPLOADS + "test_the_same_bytes_again_are_the_same_version",
        _UPLOADS + "test_twenty_uploads_of_the_same_bytes_at_once_are_one_version",
    ),
    38: (
        _UPLOADS + "test_twenty_uploads_at_once_get_twenty_numbers_and_stay_intact",
        _RACES + "test_twenty_uploads_under_one_name_get_twenty_numbers_and_events_in_order",
    ),
    39: (
        _REFUSED + "test_it_is_refused_and_leaves_nothing_behind",
        "tests/hostile/test_hostile_uploads.py::test_another_format_never_reaches_a_child",
    ),
    40: (
        _REFUSED + "test_it_is_refused_and_leaves_nothing_behind",
        "tests/e2e/test_two_file_models.py::test_a_graph_that_asks_for_a_file_that_is_not_listed_is_refused",
    ),
    41: (_REFUSED + "test_a_hostile_name_stays_on_one_line_of_the_answer_and_of_the_log",),
    42: (
        _UPLOADS + "test_a_full_disk_refuses_the_upload_and_predicts_go_on",
        "tests/unit/test_spool.py::test_a_full_disk_while_receiving_is_said_and_leaves_nothing",
    ),
    43: (
        _S3 + "test_a_bucket_that_is_out_of_reach_is_said_and_can_be_tried_again",
        _SAME + "test_a_store_that_is_out_of_reach_is_said_and_can_be_tried_again",
        _S3_TROUBLE + "test_a_server_that_falls_silent_is_waited_for_no_longer_than_is_set",
    ),
    44: (
        _POSTGRES + "test_a_database_that_fails_after_the_bytes_are_stored_leaves_bytes_that_a_retry_takes_up",
        _SAME + "test_a_database_that_fails_after_the_bytes_are_stored_leaves_bytes_that_a_retry_takes_up",
        _S3 + "test_a_database_that_fails_after_the_put_leaves_an_object_that_a_retry_takes_up",
    ),
    45: (
        _S3 + "test_a_source_that_is_not_allowed_is_refused_before_any_request_leaves",
        _S3 + "test_a_gateway_imports_from_nowhere_unless_it_is_told_to",
        "tests/unit/test_s3_sources.py::test_every_other_source_is_refused_before_a_request_leaves",
    ),
    # Promotion
    51: (
        _PROMOTIONS + "test_of_many_promotions_from_one_state_exactly_one_wins",
        _RACES + "test_of_twenty_promotions_that_expect_the_same_state_exactly_one_wins",
    ),
    52: (
        _PROMOTIONS + "test_what_cannot_serve_is_not_promoted",
        _PROMOTIONS + "test_nothing_of_a_model_that_is_not_there_is_moved",
    ),
    53: (
        _PROMOTIONS + "test_each_move_is_live_at_once_and_rollbacks_go_one_further_back_each_time",
        _PROMOTIONS + "test_what_is_live_is_not_retired",
    ),
    54: (
        "tests/contracts/test_sql_failures.py::test_a_process_killed_between_statements_leaves_the_old_state",
        _POSTGRES_FAILURES + "test_a_process_killed_between_statements_leaves_the_old_state_and_no_lock",
        "tests/e2e/test_deaths.py::test_who_dies_while_writing_has_written_nothing_and_can_try_again",
        _PROMOTIONS + "test_a_gateway_killed_in_a_storm_of_moves_comes_back_consistent",
    ),
    55: (
        _PROMOTIONS + "test_a_version_that_does_not_load_moves_nothing_and_the_old_one_serves",
        "tests/e2e/test_golden_examples.py::test_a_version_that_fails_its_examples_is_not_promoted_and_not_loaded",
        "tests/e2e/test_two_gateways.py::test_a_worker_that_cannot_follow_says_so_and_goes_on_as_before",
    ),
    # Store, database, cache
    56: (
        _LOST + "test_a_lost_file_fails_the_cold_model_until_it_is_back",
        _LOST + "test_a_verified_copy_answers_while_the_store_is_gone",
        _S3 + "test_an_object_lost_or_damaged_in_the_bucket_fails_the_cold_model_until_it_is_back",
    ),
    57: (
        _LOST + "test_a_damaged_copy_is_fetched_again_from_the_store",
        _CACHE + "test_a_damaged_folder_is_removed_and_fetched_again_once",
    ),
    58: (
        _PLACES + "test_a_cache_that_cannot_be_used_is_said_at_the_start_and_by_cold_loads",
        _PLACES + "test_a_cache_on_a_full_disk_refuses_cold_loads_and_spares_what_is_loaded",
        _CACHE + "test_a_root_that_is_a_link_is_not_followed",
        _CACHE + "test_a_root_that_cannot_be_written_is_unavailable",
    ),
    59: (
        _POSTGRES + "test_a_server_that_comes_later_is_waited_for",
        _PROCESSES + "test_a_gateway_lives_without_its_database_and_is_ready_when_it_is_there",
    ),
    60: (_POSTGRES + "test_a_restart_under_load_costs_no_predict_and_at_most_one_error_a_write",),
    61: (
        _PLACES + "test_while_somebody_else_writes_every_writer_is_told_and_every_reader_answered",
        "tests/contracts/test_sql_failures.py::test_another_writer_makes_the_registry_busy_for_writers_only",
    ),
    62: (
        _POSTGRES + "test_an_older_database_is_named_until_it_is_upgraded",
        _POSTGRES + "test_a_newer_database_is_named_and_a_gateway_that_was_there_before_goes_on",
        _PROCESSES + "test_another_schema_is_named_by_the_gateway_and_by_the_commands",
    ),
    63: (
        "tests/e2e/test_clock_jumps.py::test_order_and_durations_do_not_follow_a_clock_that_jumps",
        "tests/unit/test_rollback.py::test_a_clock_that_went_back_does_not_mislead_a_rollback",
        "tests/unit/test_registration.py::test_a_clock_that_goes_back_changes_nothing_about_the_order",
        "tests/house/test_house_rules.py::test_the_wall_clock_is_read_in_few_places_and_never_for_durations",
    ),
}

INVARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "I1": (
        _REVISIONS + "test_the_database_itself_refuses_to_rewrite_what_was",
        _POSTGRES_REVISIONS + "test_the_database_itself_refuses_to_rewrite_what_was",
        _BAD + "test_what_is_fixed_about_a_version_cannot_be_changed",
        _CONTRACT + "test_numbers_are_never_used_again",
    ),
    "I2": (
        _CACHE + "test_a_damaged_object_is_read_twice_and_never_shown",
        _CACHE + "test_another_process_takes_what_is_there_after_verifying_it",
        _LOST + "test_a_lost_file_fails_the_cold_model_until_it_is_back",
    ),
    "I3": (
        "tests/unit/test_folder_store.py::test_a_key_follows_from_the_digest_and_back",
        "tests/unit/test_s3_store.py::test_bytes_never_stand_under_a_digest_that_is_not_theirs",
        _S3 + "test_an_offer_takes_no_other_bytes",
    ),
    "I4": (
        "tests/e2e/test_deaths.py::test_who_dies_while_writing_has_written_nothing_and_can_try_again",
        "tests/unit/test_folder_store.py::test_a_put_that_is_killed_midway_leaves_a_fragment_and_no_object",
        _SAME + "test_bytes_without_a_version_are_discarded_once_they_are_old",
        _POSTGRES + "test_a_database_that_fails_after_the_bytes_are_stored_leaves_bytes_that_a_retry_takes_up",
    ),
    "I5": (
        _PROMOTIONS + "test_of_many_promotions_from_one_state_exactly_one_wins",
        _CONTRACT + "test_an_exception_takes_everything_back",
        _POSTGRES_REVISIONS + "test_rows_that_are_written_once_can_neither_go_nor_be_swept_away",
    ),
    "I6": (
        "tests/e2e/test_good_requests.py::test_an_answer_names_version_and_digest_whichever_route_led_there",
        _PROMOTIONS + "test_a_storm_of_moves_is_always_answered_by_the_newest",
    ),
    "A1": (
        _POSTGRES + "test_while_the_server_is_away_what_is_known_answers_and_says_so",
        _S3 + "test_while_the_bucket_is_silent_cached_models_load_and_others_are_told_at_once",
        _ROUTING + "test_what_is_known_goes_on_answering_while_the_registry_is_silent",
    ),
    "A3": (
        _ROUTING + "test_a_moved_alias_is_switched_when_the_new_version_is_warm",
        _ROUTING + "test_a_version_that_cannot_be_loaded_leaves_the_old_one_and_one_without_room_does_not",
        "tests/e2e/test_two_gateways.py::test_a_worker_that_cannot_follow_says_so_and_goes_on_as_before",
    ),
    "A4": (
        "tests/unit/test_session_cache.py::test_a_model_larger_than_the_budget_is_refused_at_once_and_drops_nobody",
        "tests/unit/test_session_cache.py::test_evicting_waits_for_the_last_lease",
        "tests/unit/test_session_cache.py::test_memory_counts_until_the_session_has_been_dropped",
    ),
    "A5": (
        "tests/unit/test_session_cache_failures.py::test_a_failed_load_is_remembered_with_a_growing_back_off",
        "tests/unit/test_session_cache_failures.py::test_a_load_that_succeeds_forgets_the_failures",
    ),
    "A7": (
        "tests/house/test_waits.py::test_every_wait_in_the_code_has_a_limit_or_a_reason",
        "tests/house/test_waits.py::test_the_limits_are_what_the_table_says",
        "tests/unit/test_lines.py::test_who_stands_in_line_for_too_long_is_told_so_and_the_work_is_never_done",
        "tests/e2e/test_stalled_requests.py::test_a_body_that_stops_is_not_waited_for",
        "tests/e2e/test_slow_connections.py::test_a_head_that_drips_is_refused",
        "tests/e2e/test_slow_connections.py::test_who_takes_nothing_of_the_answer_is_dropped",
        _S3_TROUBLE + "test_a_download_that_does_not_get_on_is_given_up",
        _POSTGRES_FAILURES + "test_a_server_that_stands_still_is_unavailable_until_it_goes_on",
        "tests/unit/test_inspection_sandbox.py::test_who_finds_every_turn_taken_waits_for_a_bounded_time",
    ),
}
