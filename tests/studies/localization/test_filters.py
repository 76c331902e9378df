"""The particle filters: sensor and derivative in JAX, Kalman's answer, the published outcome, degenerate filters."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from studies.localization import problem as study
from studies.localization.models import genjax as model
from studies.localization.world import cast_rays
from tests.studies.localization.kalman import kalman

pytestmark = pytest.mark.usefixtures("unoptimised")
COMPILED = {}


def run(parameters, seed=0, **data):
    """(problem, outputs as the gate gets them). Equal parameters compile once."""
    problem = study.make_problem(parameters)
    problem.data.update(data)
    program = model.comparison(None, problem.data, parameters)
    compiled = COMPILED.setdefault(json.dumps(parameters), jax.jit(program.run))
    outputs = compiled(program.prepare(seed))
    return problem, {name: _double(np.asarray(value)) for name, value in outputs.items()}


def _double(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def poses_and_world(parameters, n):
    world = study.make_problem(parameters()).truth["model"].world
    random = np.random.default_rng(5)
    x, y, angle = random.uniform(0.1, 11.9, n), random.uniform(0.1, 9.9, n), random.uniform(-np.pi, np.pi, n)
    constants = {"width": world.width, "height": world.height, "walls": world.walls, "max_range": world.max_range}
    return world, jax.tree.map(jnp.float32, constants), [value.astype(np.float32) for value in (x, y, angle)]


def test_sensor_agrees_with_double_precision(parameters):
    world, constants, pose = poses_and_world(parameters, 20_000)
    found = jax.jit(model.measured_distance)(constants, *pose)
    expected = cast_rays(world, *pose)
    differs = np.abs(found - expected) > 1e-4
    # A ray that grazes the end of a wall may go either way: of 20,000 rays and 18 ends, with 1e-6 of room, none to two.
    assert differs.sum() <= 4


def test_derivative_of_the_sensor_is_its_finite_difference(parameters):
    world, constants, pose = poses_and_world(parameters, 500)
    gradient = jax.jit(jax.vmap(jax.grad(model.measured_distance, argnums=(1, 2, 3)), in_axes=(None, 0, 0, 0)))(
        constants, *pose
    )
    h = 1e-6
    exact = [np.asarray(value, np.float64) for value in pose]
    for i, found in enumerate(gradient):
        above, below = ([value + sign * h * (j == i) for j, value in enumerate(exact)] for sign in (1, -1))
        slope = (cast_rays(world, *above) - cast_rays(world, *below)) / (2 * h)
        is_close = np.abs(found - slope) < 1e-3 * np.maximum(1, np.abs(slope))
        assert is_close.sum() >= 495  # a ray within 1e-6 of a corner has no derivative


def test_a_ray_beyond_the_range_has_no_slope(parameters):
    _, constants, _ = poses_and_world(parameters, 1)
    slope = jax.jit(jax.grad(model.measured_distance, argnums=1))(
        {**constants, "max_range": jnp.float32(1)}, 1.5, 1.5, 0.0
    )
    assert slope == 0


KALMAN = {"bootstrap": 400, "smc_mh": 400, "smc_hmc": 400, "grid_proposal": 300, "locally_optimal": 40}


@pytest.mark.parametrize("method", KALMAN)
def test_evidence_and_mean_are_kalmans_where_the_sensor_is_linear(linear, method):
    """Four standard errors of 64 runs: a false-alarm rate of 6e-5 for each of the three numbers."""
    parameters = linear(method, KALMAN[method], n_runs=64)
    problem, outputs = run(parameters, seed=1)
    mean, evidence = kalman(problem)
    ratio = np.exp(outputs["log_marginal"][:, -1] - evidence[-1])
    assert abs(ratio.mean() - 1) < 4 * ratio.std(ddof=1) / 8 + 0.02  # the sensor is linear to 0.002 m
    error = outputs["mean"][:, -1, :2] - mean[-1]
    # Self-normalised means have a bias of order 1 / N, here below 0.005 m.
    assert (np.abs(error.mean(axis=0)) < 4 * error.std(axis=0, ddof=1) / 8 + 0.005).all()
    reason, diagnostics = study.check("comparison", problem, parameters, outputs)
    assert reason is None
    assert diagnostics["weights_checked"] > 30


def test_published_outcome(parameters):
    """The bootstrap filter with 200 particles loses the robot, a grid proposal with 5 does not (20 of 20 keys each)."""
    for method, lost in (("bootstrap", 1.0), ("grid_proposal", 0.0)):
        chosen = parameters(method=method)
        problem, outputs = run(chosen)
        reason, diagnostics = study.check("comparison", problem, chosen, outputs)
        assert reason is None
        assert diagnostics["lost_fraction"] == lost


def test_one_particle_is_enough_to_run(linear):
    parameters = linear("bootstrap", 1, n_runs=3)
    problem, outputs = run(parameters)
    assert study.check("comparison", problem, parameters, outputs).reason is None
    assert (outputs["effective_sample_size"] == 1).all()
    # A single particle is never resampled: once dead, its weight stays 0, and still nothing is NaN.
    lost = problem.data["observations"].copy()
    lost[2] = np.inf
    problem, outputs = run(parameters, observations=lost)
    assert not any(np.isnan(outputs[name]).any() for name in outputs if name != "acceptance_rate")
    assert "every particle has weight 0" in study.check("comparison", problem, parameters, outputs).reason


def test_runs_differ_by_key_and_not_by_call(linear):
    parameters = linear("bootstrap", 20, n_runs=2)
    first, again, other = (run(parameters, seed)[1] for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert len({*first["log_marginal"][:, -1], *other["log_marginal"][:, -1]}) == 4


def test_degenerate_filter_is_flagged_and_has_no_nan(linear):
    parameters = linear("bootstrap", 20, n_runs=2)
    observations = study.make_problem(parameters).data["observations"].copy()
    observations[2] = np.inf
    problem, outputs = run(parameters, observations=observations)
    assert not any(np.isnan(outputs[name]).any() for name in outputs if name != "acceptance_rate")
    assert (outputs["effective_sample_size"][:, 2] == 0).all()
    assert (outputs["log_marginal"][:, 2:] == -np.inf).all()
    verdict = study.check("comparison", problem, parameters, outputs)
    assert "every particle has weight 0 at step 2 of run 0 (2 of 2 runs)" in verdict.reason
    assert verdict.diagnostics["degenerate_runs"] == 2


def test_locally_optimal_proposal_is_a_density(linear):
    """It integrates to one, and its draws are distributed like it (four standard errors of the mean)."""
    from genjax import seed

    problem = study.make_problem(linear("locally_optimal", 5))
    constants = {name: model._nested(problem.data, name) for name in ("world", "motion", "sensor", "grid")}
    step = model.make_step(constants["world"], constants["motion"], constants["sensor"], 4)
    proposal = model.make_locally_optimal_proposal(step, constants["grid"], 7)
    observed = {"measurements": {"distance": problem.data["observations"][1]}}
    old = {"x": jnp.float32(10.2), "y": jnp.float32(9.1), "heading": jnp.float32(0)}
    args = (10.2, 9.1, 0.0, 0.25, 0.01)
    keys = jax.random.split(jax.random.key(0), 4000)
    traces = jax.vmap(lambda key: seed(proposal.simulate)(key, observed, old, *args))(keys)
    poses = np.stack([np.asarray(traces.get_choices()[name], np.float64) for name in model.POSE], axis=-1)
    truth, parent = problem.truth, np.array([10.2, 9.1, 0.0])
    on_grid = truth["grid"].log_density(truth["model"], parent, problem.data["observations"][1].astype(float))
    exact = [truth["grid"].log_locally_optimal_proposal(truth["model"], p, parent, on_grid) for p in poses[:200]]
    np.testing.assert_allclose(-np.asarray(traces.raw_score())[:200], exact, atol=0.02)
    uniforms = np.array([truth["grid"].locally_optimal_uniforms(truth["model"], p, parent, on_grid) for p in poses])
    assert stats.kstest(uniforms.ravel(), "uniform").pvalue > 1e-6
    assert np.abs(np.corrcoef(uniforms.T) - np.eye(3)).max() < 5 / np.sqrt(len(poses))
    axes = [np.linspace(poses[:, i].min() - 0.5, poses[:, i].max() + 0.5, 40) for i in range(2)]
    heading = np.linspace(-0.06, 0.06, 24)
    grid = np.stack(np.meshgrid(*axes, heading, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    assess = jax.jit(
        jax.vmap(lambda p: proposal.assess(dict(zip(model.POSE, p, strict=True)), observed, old, *args)[0])
    )
    density = np.exp(np.asarray(assess(grid), np.float64))
    cell = np.prod([points[1] - points[0] for points in (*axes, heading)])
    assert density.sum() * cell == pytest.approx(1, abs=5e-3)
    mean = (density[:, None] * grid).sum(axis=0) * cell
    assert (np.abs(poses.mean(axis=0) - mean) < 4 * poses.std(axis=0) / np.sqrt(len(poses)) + 1e-3).all()


def test_log_weights_add_up_to_the_evidence_of_every_step(linear):
    _, outputs = run(linear("bootstrap", 20, n_runs=2))
    put_aside, evidence = outputs["log_marginal_estimate"], outputs["log_marginal"][-1]
    weights = special.logsumexp(outputs["log_weights"], axis=1) - np.log(20)
    np.testing.assert_allclose(put_aside + weights, evidence, rtol=1e-5)
    np.testing.assert_allclose(special.logsumexp(outputs["diagnostic_weights"], axis=1), 0, atol=1e-5)
