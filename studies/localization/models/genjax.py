"""The robot's localization as a GenJAX model, and five particle filters for it.

The model of one step is a generative function that feeds itself: its arguments are where the pose is expected and how
far it may be from there, its return value is the same for the next step. World and sensor are closed over, so that no
particle carries a copy of them. `rejuvenation_smc` filters with it; the methods differ in proposal and kernel alone.
"""

import functools

import jax
import jax.numpy as jnp

from frameworks.base import Program
from genjax import categorical, const, distribution, gen, mh, normal, save, seed, sel, state
from genjax.inference import rejuvenation_smc
from genjax.inference.kernels import HMC
from genjax.inference.kernels.kernel import note_state
from genjax.inference.resampling import effective_sample_size, normalized_weights

PARALLEL = 1e-10
POSE = ("x", "y", "heading")


# ---------------------------------------------------------------- sensor


def _first_hit(world, x, y, angle):
    """The first boundary or wall on a ray, as numbers without a division each.

    The distance to wall i is t_i / c_i with the cross product c_i of ray and wall. Distances are compared as fractions:
    a chain of multiplications and selections is one loop for XLA, whose arrays are particles by rays, whereas each of
    a chain of divisions becomes an array in memory.

    Returns:
        (numerator, denominator, dot): distance = numerator / denominator, with denominator = |c| of the wall that was
        hit, and dot / denominator is the cotangent of the angle from the ray to it.
    """
    dx, dy = jnp.cos(angle), jnp.sin(angle)
    numerator, denominator, dot = jnp.where(dx > 0, world["width"] - x, x), jnp.abs(dx), jnp.sign(dx) * dy
    vertical, steepness = jnp.where(dy > 0, world["height"] - y, y), jnp.abs(dy)
    is_nearer = vertical * denominator < numerator * steepness
    numerator = jnp.where(is_nearer, vertical, numerator)
    denominator = jnp.where(is_nearer, steepness, denominator)
    dot = jnp.where(is_nearer, -jnp.sign(dy) * dx, dot)
    for x1, y1, x2, y2 in world["walls"]:
        ex, ey = x2 - x1, y2 - y1
        cross = dx * ey - dy * ex
        sign = jnp.where(cross < 0, -1.0, 1.0)
        along_ray = sign * ((x1 - x) * ey - (y1 - y) * ex)
        along_wall = sign * ((x1 - x) * dy - (y1 - y) * dx)
        size = jnp.abs(cross)
        is_hit = (along_ray >= 0) & (along_wall >= 0) & (along_wall <= size) & (size >= PARALLEL)
        is_nearer = is_hit & (along_ray * denominator < numerator * size)
        numerator = jnp.where(is_nearer, along_ray, numerator)
        denominator = jnp.where(is_nearer, size, denominator)
        dot = jnp.where(is_nearer, sign * (dx * ex + dy * ey), dot)
    return numerator, denominator, dot


@jax.custom_jvp
def measured_distance(world, x, y, angle):
    """Distance from (x, y) to the first boundary or wall in the direction `angle`, at most the sensor's range.

    Args:
        world: `width`, `height`, `max_range`, and `walls` as rows `x1, y1, x2, y2`.
        x, y, angle: broadcastable.
    """
    numerator, denominator, _ = _first_hit(world, x, y, angle)
    return jnp.minimum(numerator / denominator, world["max_range"])


@measured_distance.defjvp
def _derivative(primals, tangents):
    # With c the cotangent of the angle from ray to wall: dt/dx = -(dx + c dy), dt/dy = c dx - dy, dt/dangle = c t.
    # JAX's own derivative keeps every step of the search for the nearest wall.
    world, x, y, angle = primals
    _, x_dot, y_dot, angle_dot = tangents
    numerator, denominator, dot = _first_hit(world, x, y, angle)
    distance, cotangent = numerator / denominator, dot / denominator
    is_seen = distance < world["max_range"]
    dx, dy = jnp.cos(angle), jnp.sin(angle)
    by_x = jnp.where(is_seen, -(dx + cotangent * dy), 0.0)
    by_y = jnp.where(is_seen, cotangent * dx - dy, 0.0)
    by_angle = jnp.where(is_seen, cotangent * distance, 0.0)
    tangent = by_x * x_dot + by_y * y_dot + by_angle * angle_dot
    return jnp.minimum(distance, world["max_range"]), tangent


# ---------------------------------------------------------------- model


@gen
def ray(distance, noise_sd):
    """One ray of the sensor."""
    return normal(distance, noise_sd) @ "distance"


def make_step(world, motion, sensor, n_rays, records=False):
    """The model of one step, given arrays of the world, the motion and the sensor; may save `proposed`, its pose."""
    angles = jnp.arange(n_rays) * (2 * jnp.pi / n_rays)

    @gen
    def step(x_mean, y_mean, heading_mean, position_sd, heading_sd):
        x = normal(x_mean, position_sd) @ "x"
        y = normal(y_mean, position_sd) @ "y"
        heading = normal(heading_mean, heading_sd) @ "heading"
        if records:
            save(proposed=jnp.stack([x, y, heading]))
        x, y = (
            jnp.clip(value, sensor["margin"], size - sensor["margin"])
            for value, size in ((x, world["width"]), (y, world["height"]))
        )
        distances = measured_distance(world, x, y, heading + angles)
        ray.vmap(in_axes=(0, None))(distances, sensor["noise_sd"]) @ "measurements"
        return x, y, heading, motion["position_sd"], motion["heading_sd"]

    return step


# ---------------------------------------------------------------- proposals


def _cells(step, observed, old, args, grid, n_cells):
    """The axes of a grid around a particle's last pose, and log p(pose, observation) of the next step at its points."""
    low, high = grid["low"], grid["high"]
    axes = [
        jnp.linspace(jnp.maximum(low[i], old[name] - grid["radius"]), jnp.minimum(high[i], old[name] + grid["radius"]),
                     n_cells)
        for i, name in enumerate(("x", "y"))
    ]  # fmt: skip
    axes.append(old["heading"] + jnp.linspace(-1.0, 1.0, n_cells) * grid["heading_radius"])

    def log_density(x, y, heading):
        return step.assess({"x": x, "y": y, "heading": heading, **observed}, *args)[0]

    for axis in range(3):  # the last one mapped is the first of the array
        log_density = jax.vmap(log_density, in_axes=tuple(0 if i == 2 - axis else None for i in range(3)))
    return axes, log_density(*axes)


def make_argmax_proposal(step, grid, n_cells):
    """A Gaussian at the point of the grid where the model's density is highest, as published."""

    @gen
    def proposal(observed, old, *args):
        axes, log_density = _cells(step, observed, old, args, grid, n_cells)
        # One axis after the other: maxima are vectorised loops, the arg-max of the whole array is not.
        centre = []
        for points in axes:
            best = jnp.argmax(jnp.max(log_density, axis=tuple(range(1, log_density.ndim))))
            centre.append(points[best])
            log_density = log_density[best]
        save(centre=jnp.stack(centre))
        for name, mean, sd in zip(POSE, centre, (1.0, 1.0, 0.5), strict=True):
            normal(mean, sd * grid["proposal_sd"]) @ name

    return proposal


def _sample_mixture(log_weights, means, sd):
    return normal.sample(means[categorical.sample(log_weights)], sd)


def _log_mixture_density(value, log_weights, means, sd):
    joint = log_weights + normal.logpdf(value, means, sd)
    return jax.nn.logsumexp(joint, axis=-1) - jax.nn.logsumexp(log_weights, axis=-1)


mixture = distribution(_sample_mixture, _log_mixture_density, name="NormalMixture")


def make_locally_optimal_proposal(step, grid, n_cells):
    """The locally optimal proposal p(pose | last pose, observation) on the grid, smoothed by a Gaussian kernel.

    A mixture of n_cells^3 Gaussians with the normalised grid as weights, drawn and scored exactly, by the chain rule:
    x from the mixture's marginal, y given x, heading given both; each of these is a mixture of n_cells Gaussians.
    """

    @gen
    def proposal(observed, old, *args):
        axes, log_density = _cells(step, observed, old, args, grid, n_cells)
        weights = jnp.exp(log_density - jnp.max(log_density))
        for name, points in zip(POSE, axes, strict=True):
            sd = grid["kernel_width"] * (points[1] - points[0])
            own = weights.sum(axis=tuple(range(1, weights.ndim)))
            value = mixture(jnp.log(own), points, sd) @ name
            # Given the value, a cell counts by how near it is to it.
            near = normal.logpdf(value, points, sd)
            weights = jnp.tensordot(jnp.exp(near - jnp.max(jnp.where(own > 0, near, -jnp.inf))), weights, axes=1)

    return proposal


# ---------------------------------------------------------------- kernels


def mh_move(trace):
    """Redraw each coordinate in turn from the motion model. Saves `accept`, the fraction accepted."""
    accepted = []
    for name in POSE:
        trace, saved = state(mh)(trace, sel(name))
        accepted.append(saved["accept"])
    save(accept=jnp.mean(jnp.stack(accepted)))
    return trace


def make_hmc_move(step_size, n_leapfrog):
    """One trajectory of the pose. Saves `accept` and `energy`, the kernel's -log density plus kinetic energy."""
    kernel = HMC(sel("x") | sel("y") | sel("heading"), step_size, n_leapfrog)

    def move(trace):
        at, info = kernel.step(kernel.init(trace))
        save(accept=info.accept, energy=info.energy)
        note_state(kernel, at)
        return at.trace

    return move


def repeated(move, n_moves):
    """n_moves moves, a kernel; saves `moved` (n_moves, 3), where each of them led, `accept`, and `energy` if known."""

    def once(trace, _):
        # The model saves its pose, too, whenever a move runs it: only what is named here goes out.
        trace, saved = state(move)(trace)
        choices = trace.get_choices()
        reported = {name: saved[name] for name in ("accept", "energy") if name in saved}
        save(moved=jnp.stack([choices[name] for name in POSE]), **reported)
        return trace, None

    return lambda trace: jax.lax.scan(once, trace, length=n_moves)[0]


# ---------------------------------------------------------------- tasks


def _program(data, parameters, make_proposal=None, kernel=None, smc=rejuvenation_smc):
    """`n_runs` particle filters `smc` with different keys, one after the other.

    Outputs, with T steps and N particles: of every run `mean` (n_runs, T, 3), the weighted mean of the poses,
    `effective_sample_size` (n_runs, T) before resampling, `log_marginal` (n_runs, T) = log of the estimate of
    p(y_0..y_t), `acceptance_rate` (n_runs,), NaN without a kernel. Of the last run everything, (T, N) each: `x`, `y`,
    `heading` and `log_weights` at the end of the step, `diagnostic_weights` (log, normalised, before resampling),
    `ancestors`, `proposed` (T, N, 3), the poses before resampling, `moved` (T, n_moves, N, 3), where each move of a
    kernel led, `energy` (T, n_moves, N) of each trajectory, `centre` (T, N, 3) of the arg-max proposal,
    `log_marginal_estimate` (T,).
    """
    n_particles, n_runs = int(data["n_particles"]), int(data["n_runs"])
    n_steps, n_rays = data["observations"].shape
    n_cells = parameters["grid"]["n_cells"]
    constants = {name: _nested(data, name) for name in ("world", "motion", "sensor", "grid")}

    def one(key, inputs):
        make = functools.partial(make_step, inputs["world"], inputs["motion"], inputs["sensor"], n_rays)
        step = make(records=True)
        proposal = make_proposal and make_proposal(make(), inputs["grid"], n_cells)
        initial = inputs["initial"]

        def particle_filter():
            return smc(
                step, proposal, kernel and const(kernel), {"measurements": {"distance": inputs["observations"]}},
                tuple(initial), const(n_particles), const(True),
            )  # fmt: skip

        return seed(state(particle_filter))(key)

    def summaries(particles, saved):
        choices = particles.traces.get_choices()
        poses = jnp.stack([choices[name] for name in POSE], axis=-1)
        weights = normalized_weights(particles.log_weights)[..., None]
        first = poses[:, :1]  # sums of 50,000 numbers are off by 1e-3 in float32: of differences, that is nothing
        total = jnp.maximum(jnp.sum(weights, axis=1), jnp.finfo(weights.dtype).tiny)  # 0 where no particle lives
        every = {
            "mean": first[:, 0] + jnp.sum(weights * (poses - first), axis=1) / total,
            "effective_sample_size": effective_sample_size(particles.diagnostic_weights),
            "log_marginal": particles.log_marginal_likelihood(),
            "acceptance_rate": jnp.mean(saved["accept"]) if "accept" in saved else jnp.array(jnp.nan),
        }
        last = {
            **{name: choices[name] for name in POSE},
            **{name: saved[name] for name in ("proposed", "moved", "energy", "centre") if name in saved},
            "log_weights": particles.log_weights,
            "diagnostic_weights": particles.diagnostic_weights,
            "ancestors": particles.ancestor_indices,
            "log_marginal_estimate": particles.log_marginal_estimate,
        }
        return every, last

    def prepare(seed):
        inputs = {**constants, "observations": data["observations"], "initial": data["initial"]}
        return {"keys": jax.random.split(jax.random.key(seed), n_runs), "inputs": jax.device_put(inputs)}

    def run(prepared):
        keys, inputs = prepared["keys"], prepared["inputs"]
        filtered = functools.partial(one, inputs=inputs)
        if n_runs == 1:
            every, last = summaries(*filtered(keys[0]))
            return {**jax.tree.map(lambda leaf: leaf[None], every), **last}

        def body(previous, key):
            every, last = summaries(*filtered(key))
            return last, every

        shapes = jax.eval_shape(lambda key: summaries(*filtered(key))[1], keys[0])
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        last, every = jax.lax.scan(body, empty, keys)
        return {**every, **last}

    return Program(prepare, run, {"n_steps": n_steps, "n_particles": n_particles, "n_runs": n_runs})


def _nested(data, prefix):
    """Entries `prefix.name` of the data as a dictionary of `name`."""
    found = {key.partition(".")[2]: value for key, value in data.items() if key.startswith(f"{prefix}.")}
    return found


def comparison(framework, data, parameters):
    """The filter that `method` names."""
    move = None
    if parameters["method"] == "smc_mh":
        move = mh_move
    if parameters["method"] == "smc_hmc":
        move = make_hmc_move(parameters["hmc"]["step_size"], parameters["hmc"]["n_leapfrog"])
    proposals = {"grid_proposal": make_argmax_proposal, "locally_optimal": make_locally_optimal_proposal}
    kernel = move and repeated(move, parameters["n_moves"])
    return _program(data, parameters, proposals.get(parameters["method"]), kernel)


def speed(framework, data, parameters):
    """The same for other numbers of particles."""
    return comparison(framework, data, parameters)


def accuracy(framework, data, parameters):
    """The same, many runs."""
    return comparison(framework, data, parameters)


def control(framework, data, parameters):
    """The same on data that fit the model."""
    return comparison(framework, data, parameters)
