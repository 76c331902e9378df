"""Every small input that is known to fail in systems of this kind has a test with its right value, listed here."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

RIGHT_VALUES = {
    "how many of 5e7 exponentials exceed 20": (
        "distributions/test_tails.py",
        "test_large_exponentials_are_as_rare_as_they_should_be",
    ),
    "mean of weibull(0.1, 1)": (
        "distributions/test_tails.py",
        "test_the_mean_of_a_heavy_tail",
    ),
    "successes of flip(1e-10)": (
        "distributions/test_tails.py",
        "test_small_probabilities",
    ),
    "categorical of 2,000 logits at -17": (
        "distributions/test_tails.py",
        "test_a_gap_of_seventeen_between_logits_is_crossed",
    ),
    "Metropolis steps of ratio exp(-500,000)": (
        "distributions/test_tails.py",
        "test_an_acceptance_that_is_practically_impossible_does_not_happen",
    ),
    "poisson(1e6) at 1e6": (
        "distributions/test_accuracy.py",
        "test_large_parameters",
    ),
    "gamma(1e7, 1e7) at 1": (
        "distributions/test_accuracy.py",
        "test_large_parameters",
    ),
    "binomial(1e7, 0.5) at 5e6": (
        "distributions/test_accuracy.py",
        "test_large_parameters",
    ),
    "beta(1e6, 1e6) at 0.5": (
        "distributions/test_accuracy.py",
        "test_large_parameters",
    ),
    "binomial(2**40, 0.5) at 2**39": (
        "distributions/test_accuracy.py",
        "test_large_parameters",
    ),
    "density of draws of gamma(0.001, 10)": (
        "distributions/test_extreme_draws.py",
        "test_a_draw_has_a_finite_density",
    ),
    "negative binomial of mean 7e11": (
        "distributions/test_extreme_draws.py",
        "test_negative_binomial_beyond_integers",
    ),
    "slope of a branch that is not taken": (
        "core/test_made.py",
        "test_gradient_of_the_branch_that_is_not_taken_is_zero",
    ),
    "HMC over a Cond": (
        "core/test_made.py",
        "test_hmc_over_a_cond_has_the_exact_mean",
    ),
    "three values for a scalar choice": (
        "core/test_fit.py",
        "test_error_says_address_and_both_shapes",
    ),
    "an index beyond the last step": (
        "core/test_fit.py",
        "test_indices_out_of_range_or_given_twice",
    ),
    "a misspelled address in a kernel": (
        "core/test_selection_checks.py",
        "test_error_names_the_nearest_address",
    ),
    "a model made in a model, moved": (
        "core/test_made.py",
        "test_kernels_move_models_that_are_made_inside",
    ),
    "an address with a slash": (
        "core/test_made.py",
        "test_an_address_with_a_slash_is_one_address",
    ),
    "pickles and copies": (
        "core/test_made.py",
        "test_copies_and_pickles_equal_the_original",
    ),
    "an argument named key": (
        "core/test_made.py",
        "test_arguments_may_have_any_name_under_seed",
    ),
    "R-hat at an offset of 1e8": (
        "extras/test_edges.py",
        "test_rhat_and_ess_of_chains_with_an_offset",
    ),
    "a donated particle collection": (
        "core/test_made.py",
        "test_a_particle_collection_can_be_donated",
    ),
    "a slope where a third of the data is missing": (
        "core/test_observed.py",
        "test_missing_values_are_integrated_out",
    ),
    "the default of variational inference": (
        "inference/test_vi.py",
        "test_the_default_finds_the_posterior_of_a_regression",
    ),
    "what a gradient of cauchy costs": (
        "distributions/test_heavy_tails.py",
        "test_a_gradient_of_cauchy_costs_what_that_of_scipy_does",
    ),
    "loops whose condition draws, in lanes": (
        "pjax/test_lanes_that_finish.py",
        "test_condition_that_draws_has_the_same_law_in_any_number_of_lanes",
    ),
    "poisson of rate -1, NaN, infinity, 3e9": (
        "distributions/test_extreme_draws.py",
        "test_counts_of_parameters_that_are_not_valid",
    ),
    "variance of poisson(1e8)": (
        "distributions/test_extreme_draws.py",
        "test_poisson_of_any_rate",
    ),
    "mean of gamma(1e10, 1)": (
        "distributions/test_extreme_draws.py",
        "test_gamma_and_beta_of_any_concentration",
    ),
    "NaN for a flip": (
        "extras/test_edges.py",
        "test_nan_is_not_a_truth_value",
    ),
    "symbol 7 of 3": (
        "extras/test_edges.py",
        "test_what_is_not_a_symbol_is_impossible",
    ),
    "impossible transitions": (
        "extras/test_edges.py",
        "test_gradient_where_transitions_are_impossible",
    ),
}


@pytest.mark.parametrize(("path", "name"), sorted(set(RIGHT_VALUES.values())))
def test_the_test_is_there_and_is_not_skipped(path, name):
    body = ast.parse((TESTS / path).read_text(encoding="utf-8")).body
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    marks = " ".join(map(ast.unparse, found[0].decorator_list))
    assert "skip" not in marks and "xfail" not in marks
    assert any(
        isinstance(node, ast.Assert) or "assert" in ast.unparse(node) or "raises" in ast.unparse(node)
        for node in found[0].body
    )
