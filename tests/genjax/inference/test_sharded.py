"""Programs divided among devices: the same numbers, a part of the memory, and clear errors."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from genjax import gen, normal, seed
from genjax.inference import importance_sampling, log_evidence
from genjax.inference.sharded import Sharded, sharded
from tests.compilation import OLDER_GENERATOR, quick_variables

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).parent / "programs" / "sharded_program.py"


def start(config, *words):
    # With LLVM's optimisations: without them, lanes of a vector and those left over differ in their last bits.
    variables = quick_variables(config, OLDER_GENERATOR)
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def report(pytestconfig):
    process = start(pytestconfig, "devices")
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out)


EXACT = {
    "weighted": ("intercept", "slope", "w"),
    "resampled": ("intercept", "slope", "ys"),
    "filtered": ("now", "ancestors"),
    "chains": ("now", "accepts"),
}


@pytest.mark.parametrize("n_devices", [2, 4])
@pytest.mark.parametrize("name", EXACT)
def test_every_lane_has_the_same_numbers_on_any_number_of_devices(report, name, n_devices):
    differences = report[f"{name}/{n_devices}"]["differences"]
    assert {output: differences[output] for output in EXACT[name]} == dict.fromkeys(EXACT[name], 0.0)


@pytest.mark.parametrize("n_devices", [1, 2, 4])
def test_sums_over_lanes_differ_by_rounding_at_most(report, n_devices):
    # A sum of 4096 float32 weights in another order: a few units of 1e-7, relative.
    assert report[f"evidence/{n_devices}"]["differences"]["log_evidence"] < 1e-5


@pytest.mark.parametrize(
    ("name", "most"),
    # Resampling holds, beside a device's part, those of neighbours on their way round, and all weights.
    [("weighted", 1.02), ("evidence", 1.05), ("resampled", 2.6)],
)
def test_memory_of_a_device_is_its_part(report, name, most):
    whole = report[f"{name}/1"]["bytes"]
    for n_devices in (2, 4):
        assert report[f"{name}/{n_devices}"]["bytes"] <= most * whole / n_devices


def test_outputs_with_lanes_stay_divided(report):
    for name in EXACT:
        assert report[f"{name}/4"]["parts"] == [4]


def test_two_processes_share_the_lanes(pytestconfig):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [start(pytestconfig, "process", index, port) for index in range(2)]
    try:
        ends = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any("gloo" in err.lower() and "not" in err.lower() for _, err in ends):
        pytest.skip("this jaxlib has no collectives between processes on the CPU")
    for process, (_, err) in zip(processes, ends, strict=True):
        assert process.returncode == 0, err[-2000:]
    found = [json.loads(out.strip().splitlines()[-1]) for out, _ in ends]
    assert [one["n_devices"] for one in found] == [2, 2]
    assert [(one["start"], one["length"]) for one in found] == [(0, 2048), (2048, 2048)]
    assert all(one["same"] for one in found)
    assert all(one["log_evidence"] == pytest.approx(found[0]["expected"], abs=1e-5) for one in found)


# Requests that cannot be met


@gen
def model():
    normal(normal(0.0, 1.0) @ "mu", 1.0) @ "y"


def weights(n):
    return seed(lambda: importance_sampling(model, (), n, {"y": 1.0}).log_weights)


def mesh(*names):
    return Mesh(np.array(jax.devices()[:1]).reshape((1,) * len(names)), names)


def test_lanes_that_the_devices_do_not_divide():
    four = jax.sharding.AbstractMesh((4,), ("particles",))
    with pytest.raises(ValueError, match=r"10 lanes and 4 devices .* 'particles'.*Take 8 or 12 lanes"):
        Sharded(weights(10), four, "particles", None)(jax.random.key(0))


def test_a_mesh_of_several_axes_needs_the_name_of_one():
    with pytest.raises(ValueError, match=r"axes \('particles', 'model'\) and shape \(1, 1\).*axis='particles'"):
        sharded(weights(8), mesh("particles", "model"))
    with pytest.raises(ValueError, match=r"axis='chains', and the mesh has the axes \('particles', 'model'\)"):
        sharded(weights(8), mesh("particles", "model"), axis="chains")
    assert sharded(weights(8), mesh("particles", "model"), axis="model")(jax.random.key(0)).shape == (8,)


def test_a_mesh_that_is_none():
    with pytest.raises(TypeError, match=r"type list; it must be a jax.sharding.Mesh"):
        sharded(weights(8), jax.devices())


def test_no_output_with_lanes():
    program = seed(lambda: log_evidence(model, (), 8, {"y": 1.0}))
    with pytest.raises(ValueError, match="no output has an axis.*size=n_particles"):
        sharded(program, mesh("particles"))(jax.random.key(0))
    found = sharded(program, mesh("particles"), size=8)(jax.random.key(0))
    assert jnp.allclose(found, program(jax.random.key(0)), atol=1e-6)
