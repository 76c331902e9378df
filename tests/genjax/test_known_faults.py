"""Every fault of the published version that gave wrong answers or crashed has a test that would see it again."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# What went wrong -> the tests that hold it, as "file: names" below tests/genjax.
PROTECTED_BY = {
    "a mapped site ignored the lane axis and the ranks of its parameters": (
        "adev/test_gradients.py::test_a_vector_of_parameters_in_mapped_lanes",
        "pjax/test_vectorize.py::test_parameters_of_another_rank",
        "pjax/test_vectorize.py::test_lane_axis_anywhere",
        "pjax/test_vectorize.py::test_inner_map_of_size_only",
        "pjax/test_vectorize.py::test_repeat_of_a_latent_in_a_vmap",
        "pjax/test_vectorize.py::test_sample_shape_under_vmap",
        "pjax/test_vectorize.py::test_keyword_parameters_keep_their_names",
    ),
    "generate crashed on a vectorised callee without constraints": (
        "core/test_vmap.py::test_unconstrained_vmapped_callee_in_generate",
    ),
    "a vector at one site made the weight a vector": ("core/test_fn.py::test_vector_sites_give_scalar_weights",),
    "Scan.regenerate always raised": ("core/test_scan.py::test_scan_regenerate",),
    "seed missed sites inside loops, inner jit and custom derivatives": ("pjax/test_seed.py::test_every_control_flow",),
    "vmap() with its own default axes worked for simulate alone": ("core/test_vmap.py::test_default_and_list_axes",),
    "parallel enumeration always raised": (
        "adev/test_gradients.py::test_parallel_enumerations_in_a_model_of_several_choices",
    ),
    "Cond.update was wrong when the check changed": ("core/test_cond.py::test_update_of_cond_when_the_check_flips",),
    "a Cond trace returned arguments that no method took": ("core/test_cond.py::test_arguments_of_a_cond_trace",),
    "geometric_reinforce mixed logits and probabilities": (
        "adev/test_gradients.py::test_geometric_reinforce_takes_probabilities",
    ),
    "estimators inside a scan were differentiated as ordinary code": (
        "adev/test_gradients.py::test_enumeration_in_a_scan_has_its_gradient",
    ),
    "samplers written by users shared noise between lanes": (
        "pjax/test_vectorize.py::test_user_samplers_get_a_key_per_lane",
    ),
    "keyword arguments were refused": (
        "pjax/test_vectorize.py::test_keyword_arguments",
        "adev/test_expectation.py::test_keyword_arguments_of_estimators",
    ),
    "MALA moved all coordinates of a site in lockstep": (
        "inference/test_mala.py::test_coordinates_of_one_site_move_independently",
    ),
    "change to the same model changed the evidence": (
        "inference/test_smc.py::test_change_to_the_same_model_changes_nothing",
    ),
    "ParticleCollection.estimate was wrong for matrices and trees": (
        "inference/test_smc.py::test_estimate_of_any_shape_and_structure",
    ),
    "state dropped what was saved inside control flow": (
        "test_state.py::test_pytree_values_keep_their_structure",
        "test_state.py::test_namespace_around_scan",
        "test_state.py::test_switch_gives_the_branch_taken",
        "test_state.py::test_inner_jit_and_remat",
    ),
    "a vectorised trace could not update itself": ("core/test_vmap.py::test_trace_of_a_vmap_updates_itself",),
    "handlers outlived exceptions and were shared by threads": (
        "core/test_handlers.py::test_handlers_do_not_outlive_exceptions",
        "core/test_handlers.py::test_models_run_in_threads",
    ),
    "a call without an address did nothing, silently": ("core/test_fn.py::test_call_without_address",),
    "misspelled constraints could not be found": ("core/test_choices.py::test_strict_constraints",),
    "filter and regenerate disagreed about complements": (
        "core/test_selection.py::test_filter_agrees_with_regenerate_on_complements",
    ),
    "verify never saw what was constrained": ("core/test_trace.py::test_verify_after_constraining",),
    "gen lost names and docstrings": ("core/test_fn.py::test_metadata_and_repr",),
    "variational parameters could not be trees": (
        "inference/test_vi.py::test_convergence_on_a_conjugate_normal_with_tree_parameters",
    ),
    "raincloud plots crashed with their default colours": (
        "viz/test_raincloud.py::test_default_colours",
        "viz/test_raincloud.py::test_top_level_names_are_the_functions",
    ),
    "a batch of Cond traces had a score per lane of sums": (
        "core/test_cond.py::test_cond_directly_under_vmap_and_scan",
    ),
    "conditional SMC was wrong": (
        "inference/test_csmc.py::test_particle_zero_is_the_retained_one",
        "inference/test_csmc.py::test_extend_csmc",
    ),
    "Scan and Cond could not be called outside a model": (
        "core/test_cond.py::test_calls_outside_of_models_and_checks",
    ),
    "import needed matplotlib, and star import failed": (
        "test_public_names.py::test_import_is_light_until_a_plot_is_asked_for",
        "test_public_names.py::test_star_import",
    ),
}


def test_every_known_fault_is_listed_once():
    assert len(PROTECTED_BY) == 30


@pytest.mark.parametrize("fault", PROTECTED_BY)
def test_the_tests_that_protect_from_it_exist(fault):
    assert PROTECTED_BY[fault]
    for name in PROTECTED_BY[fault]:
        file, test = name.split("::")
        source = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), name
