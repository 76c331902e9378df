"""Runs that were stopped and continued give the same bits; running moments are those of the draws."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import gen, get_choices, mh, normal, seed, sel
from genjax.inference import extend, init
from genjax.inference.long_runs import Moments, resumable

ROOT = Path(__file__).resolve().parents[3]
KEY = jax.random.key(5)
N, SEGMENT = 37, 10


@gen
def model():
    normal(normal(0.0, 1.0) @ "mu", 0.5) @ "y"


def started():
    trace, _ = model.generate({"mu": 0.0, "y": 1.5})
    return trace, Moments.empty(get_choices(trace)["mu"])


def step(state, i):
    trace, moments = state
    trace = mh(trace, sel("mu"))
    return trace, moments.add(get_choices(trace)["mu"])


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return resumable(step, path=tmp_path_factory.mktemp("whole") / "chain.npz", segment=SEGMENT)(KEY, started(), N)


def test_a_killed_run_continues_with_the_same_bits(tmp_path, uninterrupted):
    """A process is killed in mid-segment after its second checkpoint."""
    program = f"""
import os, sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
import genjax.inference.long_runs as long_runs
from test_long_runs import KEY, N, SEGMENT, started, step
written, write = [], long_runs._write
def write_twice(*arguments):
    write(*arguments)
    written.append(1)
    if len(written) == 2:
        os.kill(os.getpid(), 9)
long_runs._write = write_twice
long_runs.resumable(step, path={str(tmp_path / "chain.npz")!r}, segment=SEGMENT)(KEY, started(), N)
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == -9, ended.stderr[-2000:]
    with np.load(tmp_path / "chain.npz") as stored:
        assert stored["done"] == 2 * SEGMENT
    assert same(resumable(step, path=tmp_path / "chain.npz", segment=SEGMENT)(KEY, started(), N), uninterrupted)


def test_a_run_can_be_made_longer(tmp_path, uninterrupted):
    run = resumable(step, path=tmp_path / "chain.npz", segment=SEGMENT)
    run(KEY, started(), 13)
    assert same(run(KEY, started(), N), uninterrupted)
    with pytest.raises(ValueError, match="holds 37 steps, and 5 were asked for"):
        run(KEY, started(), 5)


def test_a_filter_continues_with_the_same_bits(tmp_path):
    ys = jnp.linspace(0.0, 2.0, 7)

    @gen
    def walk(before):
        now = normal(before, 0.5) @ "now"
        normal(now, 0.3) @ "seen"

    def observe(particles, i):
        before = get_choices(particles.traces)["now"]
        return extend(particles, walk, (before,), {"seen": ys[i]})

    # From the second step on every particle has arguments of its own.
    start = seed(lambda: observe(init(walk, (0.0,), 50, {"seen": 0.0}), 0))(KEY)
    first = resumable(observe, path=tmp_path / "whole.npz", segment=3)(KEY, start, 7)
    cut = resumable(observe, path=tmp_path / "cut.npz", segment=3)
    cut(KEY, start, 4)
    assert same(cut(KEY, start, 7), first)


@pytest.mark.parametrize("what", ["step", "key", "start", "constant"])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, what):
    def shifted(by):
        return lambda state, i: (state[0], state[1].add(jnp.float32(by)))

    path = tmp_path / "chain.npz"
    resumable(shifted(1.0), path=path, segment=SEGMENT)(KEY, started(), 3)
    before = path.read_bytes()
    other = {"step": step, "constant": shifted(2.0)}.get(what, shifted(1.0))
    key = jax.random.key(6) if what == "key" else KEY
    trace, moments = started()
    start = (trace, moments.add(1.0)) if what == "start" else (trace, moments)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        resumable(other, path=path, segment=SEGMENT)(key, start, 5)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "chain.npz"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="not a checkpoint that can be read"):
        resumable(step, path=path)(KEY, started(), 3)


def test_running_moments_are_those_of_the_draws():
    values = np.random.default_rng(0).normal(1000.0, 0.1, (500, 3))
    moments, _ = jax.lax.scan(
        lambda moments, x: (moments.add(x), None), Moments.empty(jnp.zeros(3)), jnp.asarray(values, jnp.float32)
    )
    exact = np.asarray(values, np.float32).astype(np.float64)
    # In float32 a value near 1000 is known to 6e-5, so the variance of 0.01 to about 1e-3 of itself.
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moments.variance(), exact.var(0, ddof=1), rtol=2e-2)
    assert np.isnan(Moments.empty(0.0).add(1.0).variance())
