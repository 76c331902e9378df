"""Every timed program of every system on JAX, lowered for CUDA and for TPU on a machine that may have neither.

Programs are found by presence, at the smoke size, and lowered at two sizes of what they should be parallel over.
Nothing is compiled or run: what a lowering cannot show (speed, memory, the answer) is listed in docs/gpu.md.
"""

import functools
import importlib.metadata
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import gammas, noise
from pipelines.plan.tree import load_framework, load_module
from pipelines.testing.lowering import faults_of_device, faults_of_growth, read_lowered
from tests.frameworks.cells import TREE, smoke_cells

PLATFORMS = ("cuda", "tpu")
ON_JAX = [name for name in TREE.frameworks() if "jax" in TREE.describe(name).distributions]
GROWTH = 64
#: What a task should be parallel over, and the smaller size. So many chains draw at each step, not ahead.
PARALLEL = {"n_particles": 1000, "n_traces": 1000, "height": 32, "n_chains": 2**11}


def timed_cells():
    """The first timed cell of each (study, program, method, framework), with what it grows by."""
    found = {}
    for cell in smoke_cells():
        if "time" in cell.stages and cell.framework in ON_JAX:
            found.setdefault((cell.study, cell.function, cell.parameters.get("method", ""), cell.framework), cell)
    return found


CELLS = timed_cells()


def grown_by(cell):
    """The parameter of a cell that says how much runs side by side."""
    chains = cell.function.partition("__")[0] in ("hmc", "nuts") or "hmc" in cell.task
    return next(name for name in PARALLEL if name in cell.parameters and chains == (name == "n_chains"))


def sized(cell, name, value):
    parameters = dict(cell.parameters) | {name: value}
    if "particles" in parameters:  # a table of counts for each method, of which `effort` picks one
        table = {method: [value, *others[1:]] for method, (_, *others) in cell.parameters["particles"].items()}
        parameters |= {"particles": {m: [value, *r] for m, (_, *r) in table.items()}, "effort": 0}
    return parameters


@functools.cache
def lowered(key, parameters_name, value):
    """The program of a cell at one size, read from its StableHLO for each platform."""
    cell = CELLS[key]
    parameters = sized(cell, parameters_name, value)
    framework = load_framework(TREE.root, cell.framework)
    framework.start("cpu", cell.dtype)
    data = TREE.problem_module(cell.study).make_problem(parameters).data
    path = TREE.model_path(cell.study, TREE.describe(cell.framework))
    model = load_module(path, f"studies.{cell.study}.models.{cell.framework}")
    program = getattr(model, cell.function)(framework, data, parameters)
    traced = jax.jit(program.run).trace(program.prepare(0))
    return {name: read_lowered(traced.lower(lowering_platforms=(name,)).as_text()) for name in PLATFORMS}


def require_model(key):
    study, function, _, name = key
    for distribution in TREE.describe(name).distributions:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{distribution} is not installed")
    if not TREE.has_task(study, function, TREE.describe(name)):
        pytest.skip(f"no model of {study}/{function} for {name}")


@pytest.mark.parametrize("key", CELLS, ids="-".join)
def test_a_timed_program_is_parallel_and_stays_on_the_device(key):
    require_model(key)
    if (key[1], key[-1]) == ("hmc", "handcoded_same_draws"):  # written for one chain: nothing grows
        for platform, program in lowered(key, "n_chains", 1).items():
            assert not faults_of_device(program), f"{'-'.join(key)} on {platform}"
        return
    name = grown_by(CELLS[key])
    n = PARALLEL[name]
    growth = 8 if key[1] == "nuts" else GROWTH  # chains of NUTS are prepared, which takes seconds for many
    # A board of n by m cells grows by the square of its height.
    small, large = lowered(key, name, n), lowered(key, name, n * (8 if name == "height" else growth))
    for platform in PLATFORMS:
        faults = faults_of_device(large[platform]) + faults_of_growth(small[platform], large[platform], growth)
        assert not faults, f"{'-'.join(key)} on {platform}, {name} from {n}: {'; '.join(faults)}"


@pytest.mark.parametrize("key", [key for key in CELLS if key[-1] == "genjax"], ids="-".join)
def test_genjax_has_no_larger_array_than_the_hand_coded_program(key):
    other = (*key[:-1], "handcoded_jax")
    if other not in CELLS or not TREE.has_task(*key[:2], TREE.describe("handcoded_jax")):
        pytest.skip("there is no hand-coded program of this task")
    name = grown_by(CELLS[key])
    ours, theirs = (lowered(one, name, PARALLEL[name])["cuda"].largest for one in (key, other))
    assert ours <= theirs


# The reader finds what it is there for


def read(function, *arguments, platform="cuda"):
    platforms = (platform,) if isinstance(platform, str) else platform
    return read_lowered(jax.jit(function).trace(*arguments).lower(lowering_platforms=platforms).as_text())


def both_sizes(function_of_size, platform="cuda"):
    return [read(function_of_size(n), jax.random.key(0), platform=platform) for n in (1000, 64_000)]


def one_at_a_time(n):
    return lambda key: jax.lax.map(lambda key: jax.random.normal(key), jax.random.split(key, n))


def in_blocks(n):
    return lambda key: jax.lax.map(lambda key: jax.random.normal(key, (500,)), jax.random.split(key, n // 500))


def by_halves(n):
    """Bisection: a loop of log2(n) turns is no loop over n."""
    return lambda key: jax.lax.fori_loop(0, n.bit_length(), lambda i, count: count + i, jnp.zeros(n, jnp.int32))


def unrolled(n):
    """No loop at the small size."""
    return lambda key: jax.lax.map(jnp.sin, jnp.ones((n, 3))) if n > 5000 else jnp.sin(jnp.ones((n, 3)))


@pytest.mark.parametrize("sequential", [one_at_a_time, in_blocks, unrolled])
def test_a_loop_over_particles_or_blocks_is_found(sequential):
    assert faults_of_growth(*both_sizes(sequential), GROWTH)


def test_bisection_is_parallel():
    assert not faults_of_growth(*both_sizes(by_halves), GROWTH)


def test_large_draws_are_parallel_and_the_conditional_around_them_stays_on_the_cpu():
    def draw(n):
        return lambda key: noise.normal(key, (n,), jnp.float32)

    for platform in (*PLATFORMS, "cpu"):
        small, large = both_sizes(draw, platform)
        assert not faults_of_growth(small, large, GROWTH)
        assert platform == "cpu" or not faults_of_device(large)
        traced = jax.jit(draw(1000)).trace(jax.random.key(0))
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("optimization_barrier" in text) is (platform == "cpu")


def test_gammas_are_drawn_side_by_side():
    def draw(n):
        return lambda key: gammas.log_gamma(key, jnp.float32(0.7), (n,))

    small, large = both_sizes(draw)
    assert not faults_of_growth(small, large, GROWTH)
    assert [loop.turns for loop in small.loops] == [None]
    assert faults_of_growth(*both_sizes(draw, "cpu"), GROWTH)


def test_proposals_for_a_large_draw_of_gammas_are_one_kernel_on_a_cpu_outside_of_its_loop():
    def draw(key):
        return gammas.log_gamma(key, jnp.float32(2.0), (64_000,))

    size = noise.block_size(64_000)
    text = jax.jit(draw).trace(jax.random.key(0)).lower(lowering_platforms=("cpu",)).as_text()
    logarithms = re.findall(r"log_plus_one .* : tensor<(.*)xf32>", text)
    assert set(logarithms) == {f"{64_000 // size}x{size}", str(size // 8)}  # the later turns: an eighth of a block


def test_a_branch_of_another_platform_is_found():
    def draw(key):
        return noise.normal(key, (1000,), jnp.float32)

    key = jax.random.key(0)
    assert read(draw, key).branches_of_platforms == 1
    assert "branches of all" in faults_of_device(read(draw, key, platform=("cpu", "cuda")))[0]


def test_a_rejection_loop_of_one_particle_at_a_time_is_found():
    def of_one(key):
        return jax.lax.while_loop(lambda x: x < 0, lambda x: x + jax.random.normal(key), -1.0)

    def one_after_the_other(n):  # what `jax.lax.map` would be with a counter that is data
        def body(loop):
            return loop[0] + 1, loop[1] + of_one(jax.random.fold_in(loop[2], loop[0])), loop[2], loop[3]

        return lambda key: jax.lax.while_loop(
            lambda loop: loop[0] < loop[3], body, (0, 0.0, key, jax.random.key_data(key)[0].astype(int))
        )[1]

    found = faults_of_growth(*both_sizes(one_after_the_other), GROWTH)
    assert found and "one particle at a time" in found[0]


def test_a_call_of_the_host_is_found():
    def on_host(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda x: np.sin(x), shape, x)

    found = faults_of_device(read(on_host, jnp.ones(3), platform="cpu"))
    assert len(found) == 1 and "callback" in found[0]
