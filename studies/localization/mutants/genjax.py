"""Wrong on purpose: each is the filter with one change, and the gate must call it invalid."""

import functools

import jax.numpy as jnp

from frameworks.base import Program, mutant
from genjax import save, sel
from genjax.inference import rejuvenation_smc
from studies.localization.models import genjax as model

# ---------------------------------------------------------------- another model


@mutant(task="comparison", effect="motion sd {strength:+.0%}", parameters={"method": "bootstrap"}, cheap=True,
        strengths=(-0.5, -0.2, -0.1, 0.05))  # fmt: skip
def motion_sd(framework, data, parameters):
    """The motion of another width: weights do not see it."""
    return with_motion(data, parameters)


@mutant(task="speed", effect="motion sd {strength:+.0%} with 20 particles", strengths=(-0.5, -0.3),
        parameters={"method": "bootstrap", "effort": 1})  # fmt: skip
def motion_sd_of_few(framework, data, parameters):
    """The motion of another width where there are few draws of it."""
    return with_motion(data, parameters)


@mutant(task="comparison", effect="motion sd {strength:+.0%}", parameters={"method": "smc_mh"}, strengths=(-0.5, 0.1))
def motion_sd_with_moves(framework, data, parameters):
    """The motion of another width, also in the moves."""
    return with_motion(data, parameters)


@mutant(task="comparison", effect="motion sd {strength:+.0%}", parameters={"method": "smc_hmc"}, size="smoke",
        strengths=(-0.5, 0.1))  # fmt: skip
def motion_sd_with_trajectories(framework, data, parameters):
    """The motion of another width, also in the density of the moves."""
    return with_motion(data, parameters)


@mutant(task="comparison", effect="walls moved by {strength:g} mm", parameters={"method": "bootstrap"}, size="smoke",
        strengths=(2, 1, 0.5))  # fmt: skip
def walls(framework, data, parameters):
    """Another world."""
    moved = data["world.walls"] + parameters["strength"] / 1000
    return model.comparison(framework, {**data, "world.walls": moved}, parameters)


@mutant(task="comparison", effect="the sensor's noise sd {strength:+.1%}", parameters={"method": "bootstrap"},
        size="smoke", strengths=(0.1, 0.01, 0.001))  # fmt: skip
def noise_sd(framework, data, parameters):
    """Another sensor."""
    noise = data["sensor.noise_sd"] * (1 + parameters["strength"])
    return model.comparison(framework, {**data, "sensor.noise_sd": noise}, parameters)


def with_motion(data, parameters):
    """The method's filter with (1 + strength) times the standard deviations of the motion."""
    names = ("motion.position_sd", "motion.heading_sd")
    changed = {name: data[name] * (1 + parameters["strength"]) for name in names}
    return model.comparison(None, {**data, **changed}, parameters)


# ---------------------------------------------------------------- another filter


@mutant(task="comparison", effect="no resampling", parameters={"method": "bootstrap"}, size="smoke", cheap=True)
def no_resampling(framework, data, parameters):
    """Weights add up."""
    return model._program(data, parameters, smc=functools.partial(rejuvenation_smc, ess_threshold=0.0))


# ---------------------------------------------------------------- other moves


@mutant(task="comparison", effect="1 move of 25", parameters={"method": "smc_mh"})
def one_move(framework, data, parameters):
    """The only move stands for all."""
    return repeated_move(model.comparison(framework, data, {**parameters, "n_moves": 1}), parameters["n_moves"])


@mutant(task="comparison", effect="1 trajectory of 5", parameters={"method": "smc_hmc"}, size="smoke")
def one_trajectory(framework, data, parameters):
    """The only move stands for all."""
    return repeated_move(model.comparison(framework, data, {**parameters, "n_moves": 1}), parameters["n_moves"])


@mutant(task="comparison", effect="Metropolis-Hastings accepts everything", parameters={"method": "smc_mh"}, cheap=True)
def accepts_everything(framework, data, parameters):
    """Every redrawn coordinate is kept; the acceptance rate is what happened."""

    def move(trace):
        for name in model.POSE:
            args, kwargs = trace.get_args()
            trace, _, _ = trace.get_gen_fn().regenerate(trace, sel(name), *args, **kwargs)
        save(accept=jnp.array(1.0))
        return trace

    return with_kernel(data, parameters, move)


@mutant(task="comparison", effect="{strength:g} of 10 leapfrog steps left out", parameters={"method": "smc_hmc"},
        size="smoke", strengths=(1, 5, 9))  # fmt: skip
def leapfrog_steps(framework, data, parameters):
    """Shorter trajectories."""
    n_leapfrog = parameters["hmc"]["n_leapfrog"] - int(parameters["strength"])
    changed = {**parameters["hmc"], "n_leapfrog": n_leapfrog}
    return model.comparison(framework, data, {**parameters, "hmc": changed})


@mutant(task="comparison", effect="leapfrog steps {strength:+.0%} long", parameters={"method": "smc_hmc"}, size="smoke",
        strengths=(0.2, 0.5, 1.0))  # fmt: skip
def step_size(framework, data, parameters):
    """Longer steps."""
    changed = {**parameters["hmc"], "step_size": parameters["hmc"]["step_size"] * (1 + parameters["strength"])}
    return model.comparison(framework, data, {**parameters, "hmc": changed})


def repeated_move(program, n_moves):
    """The program of one move, which returns its end as often as moves were asked for."""

    def run(inputs):
        outputs = program.run(inputs)
        return {**outputs, "moved": jnp.repeat(outputs["moved"], n_moves, axis=1)}

    return Program(program.prepare, run)


def with_kernel(data, parameters, move):
    """The bootstrap filter with another move behind each resampling."""
    return model._program(data, parameters, None, model.repeated(move, parameters["n_moves"]))
