"""Which test proves the service's behaviour under which fault.

The faults are numbered as the tests name them. Each is one sentence, the tests that commit it, and what of it cannot
be committed on a machine that runs tests. A test is named by its file, below tests/, and its function.
"""

from __future__ import annotations

from typing import NamedTuple


class Scenario(NamedTuple):
    """One fault."""

    fault: str
    tests: tuple[str, ...]
    not_here: str = ""  # what cannot be tried here, and why


ONE, WHOLE, STORES, NETWORK = (
    f"faults/test_{name}.py::" for name in ("one_symbol", "whole_system", "stores", "network")
)
DIES = f"{ONE}test_one_symbol_dies_under_load_and_nothing_is_lost_and_nobody_else_notices"
FEED = "actors/test_feed_consumer.py::"
ROUTER = "actors/test_router.py::"
BACKFILL = "actors/backfill/test_worker.py::"
REPLICAS = "faults/test_replicas.py::"

SCENARIOS: dict[int, Scenario] = {
    1: Scenario("one symbol's process is killed", (DIES,)),
    2: Scenario(
        "one symbol's process is killed again and again",
        (f"{ONE}test_twenty_kills_park_a_symbol_whose_backlog_waits_until_it_is_resumed",),
    ),
    3: Scenario("a segmentation fault in one symbol's process", (DIES,)),
    4: Scenario("one symbol's process turns in circles", (DIES,)),
    5: Scenario(
        "one symbol's process takes more memory than it may",
        (
            "faults/test_memory.py::test_a_symbol_that_hoards_memory_is_replaced_and_nothing_is_lost",
            "actors/test_supervisor.py::test_memory_beyond_the_hard_limit_ends_that_process_alone",
        ),
        "Kubernetes ends a whole container that is out of memory, and there is no cluster here; that the container's"
        " limit is not reached first is a matter of the chart's numbers",
    ),
    6: Scenario("one symbol's process is stopped", (DIES,)),
    7: Scenario(
        "one event whose processing raises",
        (
            "actors/ingest/test_ingestion.py::"
            "test_an_event_whose_processing_raises_is_tried_three_times_and_then_quarantined_alone",
            "actors/ingest/test_ingestion.py::"
            "test_after_a_failed_write_the_same_batch_is_written_as_if_nothing_had_happened",
        ),
    ),
    8: Scenario(
        "messages that are no events",
        (
            "faults/test_garbage.py::test_ten_thousand_bad_messages_are_quarantined_every_one_and_no_good_one_is",
            f"{ROUTER}test_random_bytes_among_good_events_are_quarantined_every_one",
        ),
    ),
    9: Scenario(
        "the supervisor is killed",
        (f"{WHOLE}test_a_killed_supervisor_ends_the_process_and_the_next_start_goes_on",),
    ),
    10: Scenario(
        "everything is killed at once",
        (
            f"{WHOLE}test_the_whole_tree_is_killed_under_load_and_started_again_without_cleaning",
            f"{WHOLE}test_killing_main_alone_takes_every_process_along",
        ),
    ),
    11: Scenario(
        "SIGTERM under load",
        (
            f"{WHOLE}test_sigterm_under_load_ends_in_order_and_the_next_start_gets_nothing_twice",
            f"{WHOLE}test_a_second_sigterm_forces_the_end",
        ),
    ),
    12: Scenario(
        "the broker is restarted again and again",
        (f"{WHOLE}test_the_broker_is_restarted_twenty_times_under_load",),
    ),
    13: Scenario(
        "the broker is away for long",
        (
            f"{WHOLE}test_without_nats_the_service_waits_says_so_once_and_recovers_by_itself",
            "soak/test_broker_away.py::test_five_minutes_without_a_broker_cost_no_restart_and_no_memory",
        ),
    ),
    14: Scenario(
        "an operator deletes consumers or streams",
        (
            "faults/test_operators.py::test_a_consumer_that_is_deleted_under_load_is_made_again_and_costs_no_event",
            f"{FEED}test_a_deleted_consumer_is_made_again_after_what_was_routed",
            f"{FEED}test_a_deleted_feed_is_made_again_and_the_time_it_was_away_is_suspected",
            f"{FEED}test_a_deleted_market_is_made_again",
        ),
    ),
    15: Scenario(
        "a stream is full",
        (
            f"{FEED}test_what_feed_discards_while_the_router_is_held_up_is_suspected_with_its_range",
            f"{ROUTER}test_a_full_subject_is_its_own_symbols_suspected_gap_and_nobody_elses",
        ),
    ),
    16: Scenario(
        "a bad network",
        (
            f"{NETWORK}test_a_slow_line_to_nats_that_is_cut_again_and_again_costs_time_and_nothing_else",
            f"{NETWORK}test_half_open_connections_to_nats_are_found_and_replaced",
            f"{NETWORK}test_a_bad_line_to_mongodb_costs_time_and_nothing_else",
        ),
        "MongoDB itself: the server behind the line speaks its protocol and is another program",
    ),
    17: Scenario(
        "an acknowledgement is lost after the write",
        (
            f"{ROUTER}test_an_event_whose_acknowledgement_was_lost_is_counted_as_redelivered",
            "storage/test_mongo_ingestion.py::test_deliveries_that_come_again_change_nothing_and_are_counted",
        ),
    ),
    18: Scenario(
        "a store is away, held or full",
        (
            f"{STORES}test_mongodb_is_killed_mid_batch_and_started_again",
            f"{STORES}test_a_sqlite_file_that_somebody_else_holds_stops_its_symbol_alone_until_it_is_free",
            "faults/test_disk.py::"
            "test_while_the_disk_takes_no_write_nothing_is_acknowledged_and_afterwards_nothing_is_missing",
            "storage/test_sqlite_files.py::test_a_full_file_is_full_and_takes_the_write_when_there_is_room",
        ),
        "a disk that is full under everybody: only whoever may mount one can make a small disk to fill",
    ),
    19: Scenario(
        "one of a hundred rows is refused",
        (
            "storage/test_mongo_ingestion.py::"
            "test_of_a_hundred_rows_with_three_copies_and_one_that_is_refused_96_are_stored",
        ),
    ),
    20: Scenario(
        "the catalog's server ends idle connections, and restarts",
        (
            "storage/test_catalog_mysql.py::test_a_connection_that_idled_too_long_is_replaced",
            "storage/test_catalog_mysql.py::test_after_a_restart_of_the_server_the_next_write_succeeds",
            f"{STORES}test_without_its_catalog_the_service_goes_on_and_tells_it_later_what_happened",
        ),
    ),
    21: Scenario(
        "a depth update is missing",
        (
            "faults/test_gaps.py::"
            "test_a_break_in_the_chain_of_depth_updates_is_a_gap_with_both_ids_that_nobody_can_fill",
        ),
    ),
    22: Scenario(
        "one symbol is silent, or all are",
        (
            "actors/audit/test_watching.py::"
            "test_one_symbol_that_falls_quiet_is_one_incident_which_ends_when_it_is_heard_again",
            "actors/audit/test_watching.py::test_a_feed_that_is_down_is_one_incident_and_not_one_for_each_symbol",
        ),
    ),
    23: Scenario(
        "the exchange itself has nothing",
        (f"{BACKFILL}test_a_gap_that_the_exchange_has_nothing_for_ends_as_exchange_empty",),
    ),
    24: Scenario(
        "the exchange closes its door",
        (
            f"{BACKFILL}test_bans_hold_across_restarts_and_the_job_goes_on",
            "actors/backfill/test_binance.py::test_a_429_and_then_a_418_are_both_waited_out_over_restarts",
        ),
    ),
    25: Scenario(
        "backfill is killed at every page",
        (
            "actors/backfill/test_interruptions.py::"
            "test_a_worker_that_dies_at_any_call_leaves_the_next_one_all_it_needs",
            "faults/test_backfill.py::test_first_history_is_the_exchanges_own_however_often_its_process_is_killed",
        ),
    ),
    26: Scenario(
        "backfill and the feed write the same range",
        (f"{BACKFILL}test_live_writes_on_the_same_range_leave_one_row_a_key_and_what_differs_is_told",),
    ),
    27: Scenario(
        "the host's clock is set",
        ("actors/audit/test_watching.py::test_a_clock_that_is_set_raises_one_incident_and_neither_alarm_nor_gap",),
        "the clock of a machine that others use too: the test sets the clock that the audit is given",
    ),
    28: Scenario(
        "replicas come, go, die and are paused",
        (
            f"{REPLICAS}test_one_two_four_and_two_replicas_under_load_one_of_them_killed",
            f"{REPLICAS}test_what_a_paused_replica_still_writes_is_refused_or_changes_nothing",
        ),
    ),
    29: Scenario(
        "symbols are added and retired",
        ("faults/test_symbols.py::test_a_symbol_is_added_and_one_retired_under_load_and_the_list_outlives_restarts",),
    ),
    30: Scenario(
        "the host lacks something, or the operator mistyped",
        (
            "faults/test_disk.py::test_a_damaged_file_stops_its_symbol_alone_with_a_sentence_and_is_left_as_it_is",
            "system/test_cli_doctor.py::test_few_open_files_are_named_with_the_command_that_allows_more",
            "system/test_settings_sources.py::"
            "test_each_unknown_name_in_flags_or_file_is_a_problem_that_names_a_known_one",
            "test_run.py::test_a_port_in_use_ends_with_2_and_one_sentence_that_names_the_setting",
        ),
        "a thousand symbols: each has a process of its own, and there is not the memory for as many; what the service"
        " says of too few files and processes is tested for that number",
    ),
}
