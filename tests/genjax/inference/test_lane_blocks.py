"""Many chains in blocks: the same draws, less memory, and one batch where blocks would be in the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, gen, get_choices, mh, modular_vmap, normal, seed, sel
from genjax.inference import lane_blocks
from genjax.inference.kernels import HMC
from genjax.inference.lane_blocks import FEWEST_BLOCKS, in_blocks, number_of_blocks

KEY = jax.random.key(3)
XS = np.linspace(0.0, 1.0, 32, dtype=np.float32)
LANE_BYTES = XS.nbytes
"""The largest array of one lane: residuals of the data points."""


@gen
def line():
    slope = normal(0.0, 1.0) @ "slope"
    normal.vmap(in_axes=(0, None))(slope * XS, 0.5) @ "ys"


def start(slope=0.0):
    return line.generate({"slope": slope, "ys": 1.5 * XS})[0].observe({"ys": 1.5 * XS})


def slopes(kernel, n_chains, starts=False, steps=4):
    """A seeded program of its own each time, staged under the settings of now."""

    def run():
        initial = modular_vmap(start)(jnp.linspace(0.0, 1.0, n_chains)) if starts else start()
        result = chain(kernel, collect=get_choices)(initial, steps, n_chains=n_chains)
        return result.traces["slope"], result.accepts

    return jax.jit(seed(run))


def blocks_of(monkeypatch, n_lanes):
    monkeypatch.setattr(lane_blocks, "BLOCK_BYTES", n_lanes * LANE_BYTES)
    monkeypatch.setattr(lane_blocks, "KERNEL_BYTES", n_lanes * LANE_BYTES)


HMC_KERNEL = HMC(sel("slope"), 0.1, 4)


def in_and_without_blocks(monkeypatch, kernel, n_chains, starts):
    blocks_of(monkeypatch, 10**6)
    whole = slopes(kernel, n_chains, starts)(KEY)
    blocks_of(monkeypatch, 8)
    parts = slopes(kernel, n_chains, starts)(KEY)
    assert [array.shape for array in parts] == [(n_chains, 4), (n_chains, 4)]
    return whole, parts


def test_draws_are_the_same_bits_in_blocks(monkeypatch):
    # Proposals of `mh` are draws from the prior: states of the chains are draws, unchanged.
    whole, parts = in_and_without_blocks(monkeypatch, lambda trace: mh(trace, sel("slope")), 64, False)
    assert np.array_equal(whole[0], parts[0]) and np.array_equal(whole[1], parts[1])
    assert len(np.unique(whole[0])) > 20


def test_chains_of_starts_of_their_own_that_blocks_do_not_divide(monkeypatch):
    whole, parts = in_and_without_blocks(monkeypatch, HMC_KERNEL, 61, True)
    assert np.array_equal(whole[1], parts[1])
    # XLA may sum the data points of a block in another order: a few units in the last place.
    np.testing.assert_allclose(whole[0], parts[0], atol=2e-5)


def loops(program, *platforms):
    return program.trace(KEY).lower(lowering_platforms=platforms).as_text().count("stablehlo.while")


def test_blocks_are_a_loop_on_cpu_and_one_batch_elsewhere(monkeypatch):
    # Of 4,096 chains the draws alone are more than are made ahead: one loop over steps, one over leapfrog steps.
    blocks_of(monkeypatch, 10**6)
    whole = {platform: loops(slopes(HMC_KERNEL, 4096), platform) for platform in ("cpu", "cuda", "tpu")}
    blocks_of(monkeypatch, 512)
    program = slopes(HMC_KERNEL, 4096)
    assert loops(program, "cpu") == whole["cpu"] + 1
    assert {platform: loops(program, platform) for platform in ("cuda", "tpu")} == {
        platform: whole[platform] for platform in ("cuda", "tpu")
    }


@pytest.mark.usefixtures("optimised")
def test_memory_is_that_of_a_block(monkeypatch):
    def temporary(n_lanes):
        blocks_of(monkeypatch, n_lanes)
        return slopes(HMC_KERNEL, 4096).lower(KEY).compile().memory_analysis().temp_size_in_bytes

    whole, parts = temporary(10**6), temporary(512)
    assert whole > 4096 * LANE_BYTES, "chains x data points"
    assert parts < whole / 2


def test_few_chains_and_chains_divided_among_devices_run_at_once(monkeypatch):
    blocks_of(monkeypatch, 8)
    equations = jax.make_jaxpr(lambda x: x * XS)(0.0).jaxpr.eqns
    assert number_of_blocks(equations, 8 * FEWEST_BLOCKS - 1) == 1
    assert number_of_blocks(equations, 8 * FEWEST_BLOCKS) == FEWEST_BLOCKS
    assert number_of_blocks(equations, 90) == 15, "a number that divides the chains, if one is near"
    with jax.set_mesh(jax.make_mesh((1,), ("chains",))):
        assert number_of_blocks(equations, 64) == 1


def test_lanes_that_blocks_do_not_divide():
    values = jnp.arange(11.0)
    found = jax.jit(lambda values: in_blocks(lambda x: [x + 1, x[:, None] * 2], 3, values))(values)
    assert np.array_equal(found[0], values + 1) and np.array_equal(found[1], 2 * values[:, None])


# Loops in one kernel


def leapfrog(n_points=10, inside=lambda x: x):
    """Steps along the gradient of a sum of squares over points; `inside` is applied to the residuals."""
    points = jnp.linspace(0.0, 1.0, n_points)

    def density(slope):
        return -jnp.sum(jnp.square(inside(points - slope * points)))

    return lambda slope: jax.lax.fori_loop(0, 20, lambda _, x: x + 0.01 * jax.grad(density)(x), slope)


def blocks_for(function, size):
    return number_of_blocks(jax.make_jaxpr(function)(0.5).jaxpr.eqns, size)


def test_lanes_of_a_loop_with_short_sums_run_in_blocks_of_one_kernel():
    assert [blocks_for(leapfrog(), size) for size in (1, 409, 410, 1_000)] == [1, 1, 2, 4]
    assert [blocks_for(jax.jit(leapfrog()), size) for size in (409, 410)] == [1, 2], "inside of a function, too"
    assert blocks_for(leapfrog(32), 127) == 1 < blocks_for(leapfrog(32), 128)


def either(x):
    return jax.lax.cond(x[0] > 0, lambda x: x, lambda x: 2 * x, x)


WITHOUT = {
    "a long sum": leapfrog(33),
    "a product of matrices": leapfrog(inside=lambda x: jnp.ones((10, 10)) @ x),
    "sorting": leapfrog(inside=jnp.sort),
    "a sum so far": leapfrog(inside=jnp.cumsum),
    "a branch": leapfrog(inside=either),
    "a loop inside": leapfrog(inside=lambda x: jax.lax.scan(lambda c, _: (c + 1, None), x, None, length=3)[0]),
    "no sum": lambda x: jax.lax.fori_loop(0, 20, lambda _, x: x + 0.1, x),
    "no loop": lambda x: jnp.sum(x * jnp.arange(10.0)),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_other_loops_have_blocks_for_the_cache_alone(what):
    assert blocks_for(WITHOUT[what], 2_000) == 1


@pytest.mark.parametrize(("n_points", "most"), [(2, 2047), (10, 409), (31, 132)])
def test_xla_makes_one_kernel_less_up_to_this_size(n_points, most):
    """What `KERNEL_BYTES` rests on. Where XLA draws the line elsewhere, blocks are right and only slower."""

    def kernels(size):
        lowered = jax.jit(jax.vmap(leapfrog(n_points))).lower(jnp.zeros(size))
        return lowered.compile().as_text().count(" fusion(")

    assert kernels(most) < kernels(most + 1)


def test_chains_in_blocks_of_one_kernel_are_the_same_chains(monkeypatch):
    found = slopes(HMC_KERNEL, 300)(KEY)
    monkeypatch.setattr(lane_blocks, "KERNEL_BYTES", 10**9)
    whole = slopes(HMC_KERNEL, 300)(KEY)
    assert np.array_equal(found[1], whole[1])
    np.testing.assert_allclose(found[0], whole[0], atol=2e-5)
