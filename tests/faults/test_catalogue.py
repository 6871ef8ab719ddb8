"""The fault catalogue itself: which test stands for which row, and that the table of entry points is complete.

Here because a row without a test, or a function outside the table, is a promise that nobody keeps.
It tests that every row of A to E and of H has a test or a reason, that the tests exist, and that undisturbed runs are
right.
"""

import ast
import inspect
import pathlib
import re

import numpy as np
import pytest

import steepest as sd

from .contract import ENTRIES, KINDS, OPTIONS, X, arrays_of, bits, calls_of, cases, entries, name_of, right

# What stands for a row: the name of a test, or why there is none yet.
ROWS = {
    "A1": "test_A1_exception_of_every_kth_call_comes_back_as_the_same_object",
    "A2": "test_A2_keyboard_interrupt_and_its_like_propagate",
    "A3": "test_A3_stop_iteration_and_exceptions_that_libraries_use_are_plain_errors",
    "A4": "test_A4_what_is_no_number_is_refused_by_name_and_evaluation",
    "A5": "test_A5_a_complex_result_is_refused_and_its_imaginary_part_never_dropped",
    "A6": "test_A6_one_number_in_any_wrapping_is_that_number",
    "A7": "test_A7_a_wrong_number_of_numbers_is_refused_with_its_shape",
    "A8": "test_A8_text_is_never_parsed",
    "A9": "test_A9_steps_suit_the_lowest_precision_seen",
    "A10": "test_A10_an_integer_too_big_for_a_double_is_an_overflow_error",
    "A11": "test_A11_a_function_that_is_nowhere_finite_is_flagged_by_index",
    "A12": "test_A12_one_value_that_is_not_finite_is_never_a_plausible_number",
    "A13": "test_A13_an_overflow_in_the_difference_is_never_a_plausible_number",
    "A14": "test_A14_what_f_returns_is_converted_exactly_once",
    "A15": "test_A15_a_vector_that_changes_its_length_is_refused_with_both_shapes",
    "A16": "test_A16_f_may_return_its_own_buffer_in_every_call",
    "A17": "test_A17_a_vector_function_may_return_x_itself",
    "A18": "test_A18_a_given_gradient_may_have_any_type_and_layout",
    "A19": "test_A19_async_functions_and_generators_are_refused_with_a_hint",
    "A20": "test_A20_a_warning_of_f_made_an_error_propagates",
    "A21": "test_A21_a_function_that_is_not_deterministic_is_told_and_its_noise_is_granted",
    "A22": "test_A22_nested_solves_without_end_are_a_recursion_error_not_an_exhausted_stack",
    "B1": "test_B1_f_that_writes_into_x_gets_the_same_derivative",
    "B2": "test_B2_what_f_keeps_of_x_never_changes",
    "B3": "test_B3_x_cannot_be_resized_under_our_feet",
    "B4": "test_B4_changes_of_the_array_object_reach_nobody",
    "B5": "test_B5_the_base_of_x_stays_alive_and_cannot_be_resized",
    "B6": "test_B6_a_prepared_object_may_be_called_from_inside_its_own_f",
    "B7": "test_B7_solves_may_nest_ten_deep",
    "B8": "test_B8_f_may_drop_the_last_references_to_everything",
    "B9": "test_B9_initialising_an_object_in_use_is_a_busy_error",
    "B10": "test_B10_x_is_read_at_entry_only",
    "B11": "test_B11_a_run_keeps_the_callable_it_started_with",
    "B12": "test_B12_a_solve_may_start_in_a_finaliser_during_another",
    "B13": "test_B13_calls_of_one_object_may_interleave_and_end_in_any_order",
    "B14": "test_B14_a_mode_of_the_processor_left_by_f_changes_no_bit_or_is_refused",
    "B15": "test_B15_f_may_fork_and_both_processes_get_the_derivative",
    "B16": "test_B16_tracing_and_profiling_change_nothing",
    "C1": "test_C1_a_memory_map_opened_read_only_is_accepted",
    "C2": "test_C1_to_C4_any_layout_of_x_gives_the_bits_of_a_contiguous_one",
    "C3": "test_C1_to_C4_any_layout_of_x_gives_the_bits_of_a_contiguous_one",
    "C4": "test_C1_to_C4_any_layout_of_x_gives_the_bits_of_a_contiguous_one",
    "C5": "test_C5_overlapping_entries_of_x_are_entries_of_their_own",
    "C6": "test_C6_integers_and_booleans_become_float64",
    "C7": "test_C7_f_sees_x_in_its_own_type_and_the_result_keeps_it",
    "C8": "test_C8_complex_x_is_differentiated_as_a_holomorphic_function",
    "C9": "test_C9_an_object_that_is_no_number_is_named_by_its_index",
    "C10": "test_C10_masked_entries_are_refused",
    "C11": "test_C11_a_subclass_is_taken_for_its_numbers",
    "C12": "test_C12_a_number_is_differentiated_as_a_number",
    "C13": "test_C13_no_entries_no_evaluations",
    "C14": "test_C14_the_gradient_has_the_shape_of_x",
    "C15": "test_C15_a_value_of_x_that_is_not_finite_is_named_by_its_index",
    "C16": "test_C16_what_is_no_array_of_numbers_is_a_type_error_that_names_x",
    "C17": "test_C17_x_is_converted_once",
    "C18": "test_C18_a_map_truncated_in_mid_run_is_not_read_again",
    "C19": "test_C19_axes_and_spacings_that_do_not_fit_are_refused_before_anything_is_computed",
    "C20": "test_C20_nan_in_samples_spreads_to_its_stencil_and_no_further",
    "C21": "test_C21_bad_options_are_refused_by_name_before_f_is_called",
    "D1": "test_D1_out_may_be_x_itself",
    "D2": "test_D2_out_may_overlap_x",
    "D3": "test_D3_out_that_overlaps_itself_is_refused",
    "D4": "test_D4_an_out_that_cannot_take_the_result_is_refused_before_f_is_called",
    "D5": "test_D5_what_f_writes_into_out_is_overwritten_at_the_end",
    "D6": "test_D6_out_keeps_its_bytes_when_a_run_fails",
    "E1": "test_E1_a_step_of_zero_is_a_value_error_that_names_it",
    "E2": "test_E2_a_step_that_is_negative_or_not_finite_is_a_value_error",
    "E3": "test_E3_a_step_that_does_not_move_x_is_enlarged_and_reported",
    "E4": "test_E4_the_step_used_is_the_step_taken",
    "E5": "test_E5_points_never_overflow",
    "E6": "test_E6_a_line_has_its_slope_at_every_size_of_x",
    "E7": "test_E7_f_is_never_evaluated_outside_the_bounds",
    "E8": "test_E8_a_step_is_shrunk_to_fit_a_box_narrower_than_itself",
    "E9": "test_E9_a_fixed_entry_has_derivative_zero_and_is_not_moved",
    "E10": "test_E10_impossible_bounds_are_refused_before_f_is_called",
    "E11": "test_E11_bounds_make_a_function_safe_that_raises_outside_its_domain",
    "E12": "test_E12_a_kink_or_jump_is_reported_unreliable",
    "E13": "test_E13_the_bar_of_pure_noise_covers_zero_or_says_unresolved",
    "E14": "test_E14_every_walk_ends_with_a_status_and_a_point_that_is_finite",
    "E15": "test_E15_a_learning_rate_that_is_not_positive_and_finite_is_refused",
    "E16": "test_E16_kernel_and_reference_agree_on_every_bit_and_on_the_sign_of_zero",
    # and of the other parts of the catalogue what applies
    "F1": "test_F1_every_allocation_of_python_may_fail_on_the_quick_road",
    "F2": "test_F2_every_data_buffer_of_numpy_may_fail",
    "F3": "reason: all memory of the kernels comes from Python's allocator, which row F1 makes fail",
    "F4": "test_F4_sizes_are_multiplied_with_care",
    "F5": "test_F5_a_huge_x_is_a_memory_error_and_no_loop_starts",
    "F7": "test_F7_nothing_grows_over_many_calls_half_of_them_raising",
    "G1": "test_G1_ctrl_c_is_answered_within_50_ms_of_one_long_call",
    "G2": "test_G2_ctrl_c_while_f_runs_comes_out_of_every_entry_point",
    "G3": "test_G3_ctrl_c_stops_the_threads_of_a_run",
    "G4": "test_G4_no_signal_handler_is_installed",
    "G5": "test_G5_one_f_in_eight_threads_gives_the_bits_of_one",
    "G6": "test_G6_one_prepared_object_in_eight_threads_gives_the_bits_of_one",
    "G9": "test_G9_a_forked_child_makes_threads_of_its_own",
    "G10": "test_G10_a_child_forked_while_our_locks_are_held_has_locks_of_its_own",
    "G11": "test_G11_of_several_failures_the_first_by_index_is_raised",
    "G12": "test_G12_the_interpreter_may_exit_while_daemon_threads_are_in_a_compiled_function",
    "G14": "test_G14_any_number_of_threads_gives_the_bits_of_one",
    "H1": "test_H1_a_wrong_signature_is_refused_everywhere_and_both_are_named",
    "H2": "test_H2_an_address_and_what_has_no_name_are_refused_everywhere",
    "H3": "test_H3_a_ctypes_function_without_declared_types_is_refused_everywhere",
    "H4": "test_H4_a_c_function_made_of_a_python_function_is_refused_everywhere",
    "H5": "test_H5_a_status_above_zero_is_a_value_that_is_not_there",
    "H6": "test_H6_an_exception_set_by_a_c_function_comes_back_as_the_same_object",
    "H7": "test_H7_an_njit_function_that_raises_is_an_exception_and_never_a_number",
    "H8": "test_H8_a_prepared_object_keeps_user_data_as_long_as_it_lives",
    "H9": "test_H9_a_c_function_that_writes_into_x_gets_the_same_derivative",
    "H10": "test_H10_what_may_not_be_thrown_through_us_is_documented",
    "H11": "test_H11_a_compiled_function_runs_in_one_thread_unless_more_are_asked_for",
    "I1": "test_I1_a_copy_gives_the_same_bits_and_shares_no_workspace",
    "I2": "test_I2_a_forged_constructor_call_is_checked_like_any_other",
    "I3": "test_I3_an_object_made_without_init_raises_and_never_crashes",
    "I4": "test_I4_an_optimizer_survives_subclasses_that_override_its_methods",
    "I5": "test_I5_no_flipped_bit_makes_another_state",
    "I6": "test_I6_pickles_are_refused_and_never_opened",
    "I7": "test_I7_declared_sizes_take_no_memory",
    "I8": "test_I8_a_process_killed_while_writing_leaves_a_whole_file",
    "I9": "test_I9_a_state_of_another_version_or_rule_names_both",
    "I10": "test_I10_what_is_no_ordinary_file_is_an_os_error_and_stays_as_it_is",
    "J1": "test_J1_flushing_denormals_changes_no_bit",
    "J3": "test_J3_the_mode_of_the_caller_is_kept",
}
CATALOGUE = {"A": 22, "B": 16, "C": 21, "D": 6, "E": 16, "H": 11}
# Public names that are no entry point: they take no function to be differentiated or walked down. `grid` has a table of
# its own, in test_grid.py.
NO_ENTRY = {"BusyError", "CheckpointError", "CompilationWarning", "Derivative", "Descent", "DescentStatus",
            "DifferenceWarning", "FunctionError", "GradientCheck", "GradientError", "Status", "backend", "compiled",
            "formula", "grid", "linesearch", "network", "optim", "plot", "schedules", "scipy_method", "set_num_threads",
            "show_config", "sparsity",
            "stochastic_descent"}      # whose f takes a batch: tested in test_stochastic.py


def functions_here():
    """The names of all test functions of this directory, with their bodies."""
    found = {}
    for path in pathlib.Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert node.name not in found, f"{node.name} stands twice"
                found[node.name] = node
    return found


def test_every_row_has_a_test_or_a_reason():
    rows = {f"{letter}{number}" for letter, count in CATALOGUE.items() for number in range(1, count + 1)}
    assert rows <= set(ROWS)
    names = functions_here()
    for row, test in ROWS.items():
        if not test.startswith("reason: "):
            assert test in names, row
            letter, number = row[0], int(row[1:])
            stated = re.match(r"test_([A-J])(\d+)(?:_to_([A-J])(\d+))?_", test)
            assert stated[1] == letter and int(stated[2]) <= number <= int(stated[4] or stated[2]), row


def test_every_test_names_a_row_of_the_catalogue():
    own = {name for name, value in globals().items() if inspect.isfunction(value)}
    for name in set(functions_here()) - own:
        assert re.match(r"test_([A-J]|T)\d+_", name), name


def test_reasons_are_still_good():
    """A reason says that something is not there; once it is, the row wants a test."""
    for row, test in ROWS.items():
        missing = re.findall(r"no sd\.(\w+) yet", test)
        assert not any(hasattr(sd, name) for name in missing), row


def test_no_test_is_empty():
    for name, node in functions_here().items():
        checks = [part for part in ast.walk(node) if isinstance(part, ast.Assert | ast.Raise) or (
            isinstance(part, ast.Call) and re.search(r"raises|refuse|assert_|in_a_process", ast.unparse(part.func)))]
        assert checks, f"{name} asserts nothing"


def test_every_public_function_is_in_the_table():
    listed = {entry.name.split(" ")[0].split(".")[0] for entry in ENTRIES}
    public = {name for name in sd.__all__ if not name.startswith("_")} - NO_ENTRY
    assert public == listed


def test_the_table_tells_the_options_of_every_entry_point():
    for entry in ENTRIES:
        owner = getattr(sd, entry.name.split(" ")[0].split(".")[0])
        parameters = set(inspect.signature(owner).parameters)
        for name in {"bounds", "out", "full_output", "f0", "args", "method"} & parameters:
            vectorised_or_walk = name in ("bounds", "method") and not entry.one_point
            vectorised_or_walk |= (entry.name, name) == ("noise_level", "full_output")     # which is no Derivative
            assert name in entry.takes or vectorised_or_walk, (entry.name, name)


@pytest.mark.parametrize(("entry", "options"), cases(), ids=name_of)
def test_undisturbed_runs_are_right_and_repeatable(backend, entry, options):
    result = entry.call(entry.f, X.copy(), **options)
    assert arrays_of(result) and bits(result) == right(entry, **options)
    if entry.kind.answer is None or not entry.one_point:
        assert result.success
        return
    found = entry.pick(result)
    found = found.value if isinstance(found, sd.Derivative) else found
    tight = options.get("method") == "forward" or "bounds" in options
    np.testing.assert_allclose(found, entry.answer(entry.kind.answer(X)), rtol=1e-4 if tight else 1e-5, atol=1e-5)


def test_the_kernels_agree_with_the_reference_and_call_f_as_often_on_the_whole_table():
    for entry, options in cases():
        found = []
        for name in ("kernels", "reference"):
            with sd.backend(name):
                found.append((right(entry, **options), calls_of(entry, **options)))
        assert found[0] == found[1], (entry.name, options)


def test_every_kind_and_every_option_is_used():
    assert {entry.kind_name for entry in ENTRIES} == set(KINDS)
    assert all(any(entry.takes >= set(options) for entry in entries()) for options in OPTIONS)
