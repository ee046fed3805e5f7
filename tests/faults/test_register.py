# SPDX-License-Identifier: Apache-2.0
"""The register of bad inputs and faults: which test shows each entry.

F1-F15: file systems; N1-N14: arrays and cache; C1-C19: checkpoints, models, recipes; R1-R22: training and machine;
S1-S30: server and streams.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

#: Entry -> what is expected -> where it is shown, as ``file::test``.
REGISTER: dict[str, tuple[str, ...]] = {
    "F1": (
        "audio/test_listing.py::test_f1_names_that_are_not_utf8",
        "scanning/test_filesystem.py::test_f1_a_name_that_is_not_utf8",
    ),
    "F2": (
        "scanning/test_filesystem.py::test_f2_strange_names",
        "scanning/test_filesystem.py::test_f2_strange_names_are_escaped_in_csv",
    ),
    "F3": (
        "audio/test_listing.py::test_f3_twins_stand_side_by_side_and_name_each_other",
        "scanning/test_filesystem.py::test_f3_twins",
    ),
    "F4": (
        "audio/test_listing.py::test_f4_links_to_nothing_and_to_themselves_are_reported_when_they_are_read",
        "scanning/test_filesystem.py::test_f4_links_to_nothing",
    ),
    "F5": (
        "audio/test_listing.py::test_f5_link_loops_are_visited_once",
        "scanning/test_filesystem.py::test_f5_a_loop_of_folders_is_visited_once",
    ),
    "F6": (
        "audio/test_listing.py::test_f6_links_that_lead_out_are_followed_only_when_asked",
        "audio/test_listing.py::test_f6_nothing_but_links_that_lead_out",
        "scanning/test_filesystem.py::test_f6_a_link_out_of_the_folder_is_not_followed_and_said",
    ),
    "F7": (
        "audio/test_listing.py::test_f7_a_folder_that_cannot_be_listed_is_an_entry_with_its_error",
        "scanning/test_filesystem.py::test_f7_what_may_not_be_read",
        "audio/test_source.py::test_f7_permission",
    ),
    "F8": ("scanning/test_filesystem.py::test_f8_pipes_and_sockets_do_not_hang",),
    "F9": (
        "audio/test_listing.py::test_f9_a_folder_with_the_name_of_a_recording_is_an_entry",
        "scanning/test_filesystem.py::test_f9_a_folder_called_like_a_recording",
    ),
    "F10": (
        "scanning/test_filesystem.py::test_f10_a_file_that_disappears_after_the_listing",
        "scanning/test_task.py::test_f10_what_was_listed_and_is_gone_has_vanished",
        "audio/test_source.py::test_f10_vanished",
    ),
    "F11": (
        "scanning/test_filesystem.py::test_f11_a_file_that_changes_while_it_is_read",
        "audio/test_source.py::test_f11_changed",
        "audio/test_source.py::test_f11_growing_object",
    ),
    "F12": (
        "audio/test_listing.py::test_f12_a_share_that_fails_for_a_moment_is_tried_again",
        "audio/test_listing.py::test_f12_a_share_that_stays_away_is_an_io_error",
        "scanning/test_filesystem.py::test_f12_a_share_that_fails_is_tried_again_and_then_an_io_error",
        "audio/test_source.py::test_f12_three_retries_help",
        "audio/test_source.py::test_f12_then_it_is_an_io_error",
        "audio/test_source.py::test_f12_inside_the_decoder_it_is_never_called_corrupt",
        "audio/test_source.py::test_f12_at_opening",
    ),
    "F13": (
        "audio/test_listing.py::test_f13_folder_without_recordings_says_what_it_holds",
        "audio/test_listing.py::test_f13_empty_folder",
        "scanning/test_filesystem.py::test_f13_a_folder_without_recordings_stops_before_the_work",
    ),
    "F14": (
        "audio/test_listing.py::test_f14_a_folder_of_any_size_takes_little_memory",
        "scanning/test_filesystem.py::test_f14_the_listing_is_not_held",
    ),
    "F15": (
        "scanning/test_filesystem.py::test_f15_a_folder_that_cannot_be_written_stops_at_the_start",
        "scanning/test_filesystem.py::test_f15_a_disk_that_is_too_small_stops_at_the_start",
        "scanning/test_filesystem.py::test_f15_a_disk_that_fills_up_stops_cleanly_and_the_scan_goes_on_later",
    ),
    "N1": ("data/test_arrays.py::test_objects_and_pickles_are_never_opened",),
    "N2": (
        "data/test_arrays.py::test_integers_are_refused_with_both_readings",
        "data/test_arrays.py::test_integers_saved_as_floats_are_seen_by_their_peak",
    ),
    "N3": ("data/test_arrays.py::test_wrong_shapes_say_how_they_read",),
    "N4": (
        "data/test_arrays.py::test_floats_of_any_width_and_byte_order_become_native_float32",
        "data/test_arrays.py::test_fortran_order_is_converted",
    ),
    "N5": ("data/test_arrays.py::test_cut_and_padded_files",),
    "N6": ("data/test_arrays.py::test_a_header_that_claims_terabytes_allocates_nothing",),
    "N7": ("data/test_arrays.py::test_archives_are_refused_unread",),
    "N8": ("data/test_arrays.py::test_a_few_bad_samples_are_zeroed_and_flagged",),
    "N9": (
        "batches/test_waveform_cache.py::test_a_damaged_entry_is_built_again_and_counted",
        "batches/test_waveform_cache.py::test_n9_every_cut_and_flipped_bit_is_seen",
    ),
    "N10": (
        "batches/test_waveform_cache.py::test_n10_entries_of_another_code_are_not_used",
        "batches/test_waveform_cache.py::test_entries_are_resampled_and_kept_for_each_rate",
    ),
    "N11": ("batches/test_waveform_cache.py::test_a_changed_file_is_another_entry",),
    "N12": ("batches/test_waveform_cache.py::test_n12_two_processes_build_one_entry",),
    "N13": ("batches/test_waveform_cache.py::test_n13_an_entry_that_is_gone_is_built_again",),
    "N14": (
        "batches/test_waveform_cache.py::test_a_folder_that_others_may_write_into_is_refused",
        "batches/test_waveform_cache.py::test_a_folder_of_another_user_is_refused",
    ),
    "C1": (
        "training/test_checkpoint.py::test_c1_c2_every_cut_and_flipped_bit_is_seen",
        "training/test_checkpoint.py::test_c1_a_run_goes_on_from_the_one_before_and_says_so",
        "runtime/test_bundle.py::test_c1_c2_every_cut_and_ten_thousand_flipped_bits_are_seen",
    ),
    "C2": (
        "training/test_checkpoint.py::test_c1_c2_a_damaged_checkpoint_is_named_with_a_way_out",
        "runtime/test_bundle.py::test_c1_c2_cuts_and_flipped_bits_are_seen",
    ),
    "C3": (
        "training/test_checkpoint.py::test_c3_a_pickle_under_a_checkpoints_name_is_not_opened",
        "runtime/test_bundle.py::test_c3_a_pickle_is_never_opened",
    ),
    "C4": ("training/test_checkpoint.py::test_c4_declared_sizes_are_believed_only_where_the_bytes_are_there",),
    "C5": (
        "training/test_checkpoint.py::test_c5_weights_that_are_not_finite_are_refused",
        "training/test_init_weights.py::test_c5_weights_that_are_not_finite_are_refused",
    ),
    "C6": (
        "training/test_init_weights.py::test_other_classes_need_a_new_head",
        "training/test_training_run.py::test_c6_c7_a_fork_must_fit",
    ),
    "C7": (
        "training/test_init_weights.py::test_another_architecture_is_refused",
        "training/test_training_run.py::test_c6_c7_a_fork_must_fit",
    ),
    "C8": (
        "runtime/test_bundle.py::test_c8_a_later_schema_names_both_versions",
        "training/test_checkpoint.py::test_c8_c9_later_formats_name_both_versions_and_earlier_ones_are_read",
    ),
    "C9": (
        "runtime/test_bundle.py::test_c9_no_usable_version_is_no_bundle",
        "training/test_checkpoint.py::test_c8_c9_later_formats_name_both_versions_and_earlier_ones_are_read",
        "training/test_training_run.py::test_c9_what_an_earlier_version_did_not_note_is_no_difference",
    ),
    "C10": ("training/test_init_weights.py::test_another_front_end_is_refused",),
    "C11": (
        "runtime/test_bundle.py::test_a_change_after_loading_is_seen_when_the_file_is_read",
        "training/test_training_run.py::test_a_run_does_not_go_on_with_other_settings",
    ),
    "C12": (
        "runtime/test_onnx_safety.py::test_c12_external_data_is_refused_wherever_it_hides",
        "runtime/test_onnx_safety.py::test_c12_operators_from_elsewhere_are_refused",
        "runtime/test_bundle.py::test_c12_links_are_refused",
        "runtime/test_bundle.py::test_c12_a_linked_folder_of_new_files_is_not_followed",
    ),
    "C13": ("runtime/test_onnx_safety.py::test_c13_a_cut_model_is_refused",),
    "C14": ("training/test_bundling.py::test_no_model_is_written_if_the_graph_differs",),
    "C15": ("test_config.py::test_c15_an_unknown_key_is_told_with_the_nearest",),
    "C16": ("test_config.py::test_c16_a_wrong_type_is_told_with_its_path",),
    "C17": ("test_config.py::test_c17_impossible_values_are_told_all_at_once",),
    "C18": ("test_config.py::test_c18_nothing_is_executed_unfolded_or_guessed",),
    "C19": ("test_config.py::test_c19_nothing_is_expanded",),
    "R1": (
        "faults/test_kill_points.py::test_r1_an_error_at_any_write_leaves_the_old_or_the_new_and_no_rubbish",
        "training/test_checkpoint.py::test_r1_a_full_disk_is_told_and_the_checkpoint_before_stays",
        "batches/test_waveform_cache.py::test_r1_a_full_disk_is_no_fault_of_the_recording",
        "training/test_loop.py::test_r1_a_run_does_not_begin_where_it_could_not_save",
    ),
    "R2": (
        "faults/test_kill_points.py::test_r2_killed_at_any_point_there_is_the_old_or_the_new",
        "faults/test_random_kills.py::test_r2_r6_killed_six_times_it_ends_in_the_same_bits",
    ),
    "R3": (
        "cli/test_cli_train.py::test_a_signal_saves_and_resume_goes_on",
        "training/test_loop.py::test_a_stopped_run_goes_on_to_the_same_bits",
        "training/test_loop.py::test_r3_a_signal_while_it_waits_for_a_batch_is_heard_at_once",
    ),
    "R4": (
        "training/test_stop_signals.py::test_a_second_ctrl_c_stops_at_once",
        "training/test_loop.py::test_a_stopped_run_goes_on_to_the_same_bits",
    ),
    "R5": ("test_files.py::test_atomic_write_orders_its_steps",),
    "R6": (
        "faults/test_random_kills.py::test_r2_r6_killed_six_times_it_ends_in_the_same_bits",
        "faults/test_random_kills.py::test_r6_another_number_of_workers_at_every_start",
        "training/test_loop.py::test_r6_stopped_while_it_scores_an_epoch_it_scores_it_again",
    ),
    "R7": (
        "training/test_training_run.py::test_a_run_does_not_go_on_with_other_settings",
        "training/test_training_run.py::test_r7_a_file_of_the_same_size_with_other_content_is_other_data",
        "training/test_training_run.py::test_r7_a_run_does_not_go_on_with_other_code",
        "training/test_training_run.py::test_r7_a_run_is_forked_with_other_settings",
    ),
    "R8": (
        "training/test_loop.py::test_a_loss_that_is_not_finite_stops_the_run_and_names_the_files",
        "training/test_loop.py::test_gradients_that_are_not_finite_stop_the_run_before_the_weights_are_lost",
    ),
    "R9": (
        "training/test_loop.py::test_r9_a_spike_of_the_loss_is_said",
        "training/test_training_run.py::test_r9_a_network_that_does_not_listen_is_said",
    ),
    "R10": ("training/test_loop.py::test_r10_too_little_memory_halves_the_parts_and_keeps_the_batch",),
    "R11": (
        "training/test_loader.py::test_r11_a_process_that_was_killed_once_costs_nothing",
        "training/test_loader.py::test_processes_that_die_of_nothing_stop_the_run",
    ),
    "R12": ("training/test_loader.py::test_r12_a_file_that_kills_its_reader_is_skipped_at_the_second_time",),
    "R13": ("training/test_loader.py::test_r13_a_process_that_hangs_writes_its_stack_and_is_replaced",),
    "R14": (
        "training/test_training_devices.py::test_auto_without_cuda_is_the_cpu",
        "training/test_training_devices.py::test_r14_a_device_that_is_not_there_is_told",
    ),
    "R15": ("training/test_training_run.py::test_a_second_run_in_the_same_folder_is_refused",),
    "R16": (
        "test_files.py::test_stale_lock_is_taken_over",
        "test_files.py::test_r16_a_number_that_was_given_to_another_process_is_stale",
    ),
    "R17": ("faults/test_register.py::test_r17_durations_come_from_a_clock_that_does_not_jump",),
    "R18": (
        "data/test_splits.py::test_what_cannot_be_trained_on",
        "training/test_loop.py::test_r18_a_batch_of_one_clip_trains",
    ),
    "R19": (
        "teachers/test_teacher_registry.py::test_nothing_is_downloaded_unasked_and_the_place_tried_is_named",
        "teachers/test_teacher_registry.py::test_offline_the_hub_cannot_be_reached",
        "teachers/test_teacher_registry.py::test_what_is_no_teacher",
    ),
    "R20": ("batches/test_waveform_cache.py::test_r20_data_of_which_nothing_can_be_used_stops_early_with_its_causes",),
    "R21": (
        "scale/test_ray_work.py::test_what_hangs_fails_alone_and_what_kills_its_worker_twice_fails",
        "scale/test_ray_work.py::test_a_scan_with_workers_killed_twice_equals_the_local_one",
        "scale/test_ray_train.py::test_what_ended_the_workers_is_told",
        "scanning/test_scan.py::test_a_scan_killed_at_random_ends_as_the_unbroken_one",
    ),
    "R22": (
        "test_files.py::test_r22_what_killed_writers_left_is_swept",
        "test_files.py::test_r22_the_temporary_of_a_live_writer_stays",
        "training/test_training_run.py::test_r22_a_run_sweeps_what_a_killed_one_left",
    ),
    "S1": ("server/test_bad_requests.py::test_s01_a_body_over_the_limit_is_refused_before_it_is_read",),
    "S2": ("server/test_bad_requests.py::test_s02_a_chunked_body_is_counted_and_refused_as_it_comes",),
    "S3": (
        "server/test_bad_requests.py::test_s03_a_body_in_tiny_chunks_costs_little_and_is_refused",
        "server/test_bad_requests.py::test_s03_chunks_of_usual_size_pass",
    ),
    "S4": (
        "server/test_bad_requests.py::test_s04_slow_headers_end_while_others_are_served",
        "server/test_bad_requests.py::test_s04_trickling_headers_have_one_deadline_for_all_of_them",
        "server/test_bad_requests.py::test_s04_the_second_request_of_a_connection_has_the_same_deadline",
        "server/test_bad_requests.py::test_s04_a_slow_body_is_refused",
        "server/test_many_clients.py::test_s04_lorises_are_gone_within_15_s_while_others_are_served",
    ),
    "S5": ("server/test_bad_requests.py::test_s05_a_form_of_many_parts_or_large_fields_is_refused",),
    "S6": ("server/test_bad_requests.py::test_s06_a_compressed_body_is_refused",),
    "S7": ("server/test_bad_requests.py::test_s07_an_audio_bomb_stops_at_the_limit_of_decoded_seconds",),
    "S8": (
        "server/test_bad_requests.py::test_s08_what_is_no_recording_is_refused_with_a_code",
        "server/test_bad_requests.py::test_s08_a_form_without_a_file_says_what_it_had",
    ),
    "S9": (
        "server/test_bad_requests.py::test_s09_a_file_name_is_no_path_and_comes_back_escaped",
        "server/test_bad_requests.py::test_s09_a_name_of_five_thousand_characters_is_refused",
    ),
    "S10": ("server/test_bad_requests.py::test_s10_a_model_is_looked_up_in_the_table_only",),
    "S11": ("server/test_bad_requests.py::test_s11_many_ranges_are_refused",),
    "S12": (
        "server/test_bad_streams.py::test_s12_one_stream_too_many_is_told_to_come_later",
        "server/test_many_clients.py::test_s12_a_thousand_streams_are_served_and_the_next_one_is_put_off",
    ),
    "S13": (
        "server/test_bad_requests.py::test_s13_a_client_that_vanishes_mid_upload_leaves_nothing",
        "server/test_bad_streams.py::test_s13_a_client_that_vanishes_mid_stream_leaves_nothing",
        "server/test_bad_streams.py::test_s13_a_client_that_answers_no_ping_is_dropped",
    ),
    "S14": ("server/test_bad_streams.py::test_s14_a_client_that_reads_nothing_is_cut_off",),
    "S15": ("server/test_bad_streams.py::test_s15_a_client_faster_than_real_time_loses_nothing",),
    "S16": ("server/test_bad_streams.py::test_s16_a_client_that_says_nothing_is_closed",),
    "S17": (
        "server/test_bad_streams.py::test_s17_bytes_cut_anywhere_give_the_scores_of_one_piece",
        "server/test_bad_streams.py::test_s17_a_message_over_the_limit_is_closed",
        "server/test_bad_streams.py::test_s17_sixteen_bit_samples_are_those_of_floats",
    ),
    "S18": (
        "server/test_bad_streams.py::test_s18_a_wrong_first_message_is_closed_with_a_reason",
        "server/test_bad_streams.py::test_s18_text_where_samples_are_due_is_closed",
    ),
    "S19": ("server/test_bad_streams.py::test_s19_samples_that_are_no_sound_are_zeroed_and_flagged",),
    "S20": ("server/test_bad_streams.py::test_s20_a_gap_ends_what_is_open_and_marks_it",),
    "S21": ("server/test_bad_streams.py::test_s21_time_is_that_of_the_samples_and_the_drift_is_reported",),
    "S22": ("server/test_bad_streams.py::test_s22_compression_is_not_offered_and_a_compressed_frame_ends_the_stream",),
    "S23": (
        "server/test_bad_requests.py::test_s23_a_page_of_another_site_is_refused",
        "server/test_bad_requests.py::test_s23_another_name_for_this_machine_is_refused",
        "server/test_bad_requests.py::test_s23_where_a_token_is_set_it_is_needed",
        "server/test_bad_streams.py::test_s23_a_page_of_another_site_gets_no_stream",
        "server/test_bad_streams.py::test_s23_the_own_page_gets_one_and_shows_its_token_as_a_subprotocol",
    ),
    "S24": (
        "server/test_bad_requests.py::test_s24_while_models_load_requests_are_put_off",
        "server/test_bad_requests.py::test_s24_a_model_that_cannot_be_loaded_stops_the_server",
        "server/test_bad_streams.py::test_s24_a_server_that_stops_gives_what_is_certain_and_says_good_bye",
    ),
    "S25": (
        "server/test_bad_requests.py::test_s25_a_worker_that_dies_fails_one_request_and_is_replaced",
        "server/test_bad_streams.py::test_s25_a_worker_that_dies_under_a_stream_is_replaced_unseen",
    ),
    "S26": (
        "server/test_bad_requests.py::test_s26_a_full_disk_is_507_and_others_go_on",
        "server/test_bad_requests.py::test_s26_all_uploads_together_have_a_quota",
    ),
    "S27": ("server/test_bad_requests.py::test_s27_malformed_requests_are_400",),
    "S28": (
        "audio/test_microphone.py::test_s28_a_microphone_that_is_unplugged_is_waited_for",
        "audio/test_microphone.py::test_s28_a_card_that_dropped_samples_says_so",
    ),
    "S29": ("server/test_bad_requests.py::test_s29_no_reply_names_a_path_or_an_inside",),
    "S30": ("server/test_bad_requests.py::test_s30_names_cannot_write_lines_of_the_log",),
}

#: What is not shown here, and why.
ELSEWHERE: dict[str, str] = {}


_COUNTS = {"F": 15, "N": 14, "C": 19, "R": 22, "S": 30}


def test_no_entry_is_forgotten():
    entries = {f"{letter}{i}" for letter, count in _COUNTS.items() for i in range(1, count + 1)}
    assert entries == REGISTER.keys() | ELSEWHERE.keys()
    assert not REGISTER.keys() & ELSEWHERE.keys()


@cache
def _names(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_"))


@pytest.mark.parametrize("entry", REGISTER)
def test_every_entry_has_its_tests(entry):
    for place in REGISTER[entry]:
        file, _, name = place.partition("::")
        assert name in _names(file), place


def test_r17_durations_come_from_a_clock_that_does_not_jump():
    """``time.time`` jumps with the clock: it dates things, and is allowed where ages of files are judged only."""
    package = TESTS.parent / "src" / "auricle"
    users = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if "time.time()" in path.read_text()
    }
    assert users == {"files.py"}
