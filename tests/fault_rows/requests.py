"""Which tests hold the rows 1 to 31 and 46 to 50: requests, signatures, routing, runtime, access."""

from typing import Final

_BODIES = "tests/e2e/test_bad_bodies.py::"
_ROUTES = "tests/e2e/test_bad_routes.py::"
_COSTS = "tests/e2e/test_costs_of_refusals.py::"
_BOUNDED = "tests/e2e/test_bounded_requests.py::"
_STALLED = "tests/e2e/test_stalled_requests.py::"
_SLOW = "tests/e2e/test_slow_connections.py::"
_CROWDED = "tests/e2e/test_too_many_connections.py::"
_PLACES = "tests/e2e/test_full_places.py::"
_CRASHES = "tests/e2e/test_crashing_models.py::"
_TROUBLES = "tests/e2e/test_runtime_troubles.py::"
_ACCESS = "tests/e2e/test_access_tokens.py::"
_RPC = "tests/e2e/test_rpc.py::"
_RPC_CALLERS = "tests/e2e/test_rpc_callers.py::"
_WAYS = "tests/e2e/test_ways_to_send_a_fault.py::"

_NOT_JSON = _BODIES + "test_a_body_that_is_not_strict_json_is_refused"
_UNFIT = _BODIES + "test_a_body_that_does_not_fit_the_signature_is_refused_with_every_violation"
_PATHS = _ROUTES + "test_a_path_that_leads_nowhere_says_why"
_FRAMED = _WAYS + "test_a_fault_has_one_answer_however_it_is_sent"
_DIALECTS = _WAYS + "test_each_dialect_has_the_fault_in_its_own_words"
_GRPC = _WAYS + "test_a_fault_over_grpc_is_a_status_with_the_same_words"

ROWS: Final[dict[int, tuple[str, ...]]] = {
    1: (_NOT_JSON, _FRAMED, _DIALECTS),
    2: (_NOT_JSON, _COSTS + "test_nesting_is_refused_by_looking_at_it_once"),
    3: (_NOT_JSON, _COSTS + "test_a_number_of_a_million_digits_is_not_computed"),
    4: (_NOT_JSON, _FRAMED),
    5: (
        _BODIES + "test_a_body_over_the_cap_is_refused",
        _ROUTES + "test_a_content_length_over_the_cap_is_refused_before_a_byte_of_the_body",
    ),
    6: (
        _BODIES + "test_a_chunked_body_is_refused_when_it_passes_the_cap",
        _BOUNDED + "test_chunked_bodies_past_the_cap_leave_nothing_in_memory",
        _COSTS + "test_a_hundred_bodies_past_the_cap_grow_nothing",
    ),
    7: (
        _COSTS + "test_a_million_chunks_of_a_byte_are_not_read_to_their_end",
        _SLOW + "test_a_body_in_crumbs_is_refused",
        _SLOW + "test_a_body_in_as_many_larger_chunks_is_read",
    ),
    8: (
        _BODIES + "test_a_body_over_the_cap_is_refused",
        _BODIES + "test_other_encodings_and_types_are_refused",
        _BODIES + "test_what_says_gzip_and_is_not_is_refused",
        _COSTS + "test_a_bomb_is_inflated_no_further_than_the_cap",
    ),
    9: (
        _STALLED + "test_heads_that_drip_are_not_waited_for_and_others_are_answered",
        _SLOW + "test_a_head_that_drips_is_refused",
        _CROWDED + "test_idle_connections_of_whoever_has_most_make_room_for_others",
    ),
    10: (
        _STALLED + "test_a_body_that_stops_is_not_waited_for",
        _STALLED + "test_nothing_of_an_upload_that_stopped_is_left",
        _STALLED + "test_each_body_that_stopped_is_counted_and_in_the_log",
    ),
    11: (
        _PLACES + "test_callers_that_leave_free_the_queue_and_every_place",
        _PLACES + "test_callers_that_leave_free_every_place_whatever_else_they_have_sent",
        _RPC + "test_a_caller_that_cancels_is_noted_as_gone",
    ),
    12: (_UNFIT, _NOT_JSON),
    13: (_UNFIT, _FRAMED, _DIALECTS, _GRPC),
    14: (_UNFIT, _FRAMED, _DIALECTS, _GRPC),
    15: (_UNFIT,),
    16: (_UNFIT, _BOUNDED + "test_a_huge_shape_allocates_nothing"),
    17: (_BODIES + "test_too_many_elements_are_refused",),
    18: (_BODIES + "test_what_is_no_number_is_answered_in_words_of_strict_json",),
    19: (_BODIES + "test_an_output_that_is_not_text_is_refused_and_those_that_are_go_out",),
    20: (
        _PATHS,
        _DIALECTS,
        _GRPC,
        _ROUTES + "test_a_flood_of_unknown_names_is_answered_one_by_one",
        "tests/unit/test_routing.py::test_what_is_not_there_is_remembered_for_a_second",
        "tests/unit/test_routing.py::test_many_who_ask_for_one_name_cause_one_visit",
        "tests/unit/test_absences.py::test_a_flood_of_unknown_models_does_not_grow_the_table",
    ),
    21: (_PATHS, _DIALECTS, _GRPC),
    22: (_PATHS,),
    23: (
        _ROUTES + "test_foreign_hosts_and_origins_are_refused_everywhere",
        _ACCESS + "test_any_host_and_any_origin_will_do_with_a_token",
    ),
    24: (_BODIES + "test_what_the_model_refuses_is_the_callers_to_mend", _DIALECTS, _GRPC),
    25: (
        _TROUBLES + "test_an_endless_run_is_ended_at_its_deadline_while_others_are_answered",
        _PLACES + "test_a_deadline_passes_in_a_run_and_in_the_queue_alike",
        _RPC + "test_a_run_ends_at_the_gateways_deadline",
    ),
    26: (_TROUBLES + "test_a_stuck_run_costs_its_worker_and_nobody_waits_long_for_the_next",),
    27: (
        _CRASHES + "test_what_kills_a_worker_kills_only_its_own_process_from_then_on",
        _CRASHES + "test_a_crash_in_a_child_is_told_as_a_problem_and_the_next_request_is_answered",
        _CRASHES + "test_a_killing_request_sent_again_and_again_is_reset_twice_at_most",
        _CRASHES + "test_whoever_uses_a_model_properly_is_answered_while_another_kills_it",
    ),
    28: (_CRASHES + "test_a_child_that_dies_on_every_request_is_quarantined_until_an_admin_clears_it",),
    29: (
        _CRASHES + "test_a_run_that_grows_without_end_is_stopped_for_its_memory",
        _CRASHES + "test_an_answer_of_gigabytes_is_refused",
    ),
    30: (
        _PLACES + "test_callers_that_leave_free_the_queue_and_every_place",
        _TROUBLES + "test_more_requests_than_may_wait_are_told_to_come_back",
    ),
    31: (_TROUBLES + "test_a_model_bigger_than_the_budget_is_refused_and_nobody_is_dropped_for_it",),
    46: (
        _ACCESS + "test_whoever_has_no_good_token_gets_one_message",
        _ACCESS + "test_two_tokens_are_none",
        _ACCESS + "test_it_is_decided_before_a_byte_of_the_body_is_read",
        _RPC_CALLERS + "test_tokens_mean_the_same_as_over_http",
        _RPC_CALLERS + "test_the_message_of_a_stranger_is_not_read",
    ),
    47: (
        _ACCESS + "test_a_caller_cannot_register",
        _ACCESS + "test_a_publisher_cannot_promote_and_the_attempt_is_in_the_log",
        _ACCESS + "test_a_denied_attempt_is_in_the_audit_log_and_a_flood_of_them_is_not",
    ),
    48: (
        _ACCESS + "test_known_verdicts_outlast_the_registry_and_nobody_else_gets_in",
        "tests/unit/test_token_verdicts.py::test_a_verdict_outlasts_the_registry_by_an_hour",
    ),
    49: (_ACCESS + "test_a_flood_of_bad_tokens_is_told_to_stop_and_hinders_nobody",),
    50: (_ACCESS + "test_without_tokens_only_this_machine_is_listened_to",),
}
