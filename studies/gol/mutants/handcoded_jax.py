"""Wrong on purpose: each is the hand-coded sampler with one change, and the gate must call it invalid."""

import functools

import jax
import jax.numpy as jnp

from frameworks.base import Program, mutant
from studies.gol.models import handcoded_jax as model

# ---------------------------------------------------------------- another conditional


@mutant(
    task="sweeps", effect="softness {strength:+.0%}", parameters={"height": 128, "n_sweeps": 20},
    strengths=(0.2, 0.1, 0.05),
)  # fmt: skip
def softness(framework, data, parameters):
    """The chain of another softness."""
    return model.sweeps(framework, data, parameters, scaled_softness(parameters["strength"]))


@mutant(
    task="sweeps", effect="softness {strength:+.0%} at 32 by 32", parameters={"height": 32, "n_sweeps": 20},
    strengths=(-0.2, -0.1),
)  # fmt: skip
def softness_of_small_boards(framework, data, parameters):
    """The chain of another softness."""
    return model.sweeps(framework, data, parameters, scaled_softness(parameters["strength"]))


@mutant(task="sweeps", effect="softness {strength:+.0%}", size="smoke", parameters={"n_sweeps": 8}, cheap=True,
        strengths=(0.5, 0.3, 0.2))  # fmt: skip
def softness_at_smoke(framework, data, parameters):
    """The chain of another softness, where there are few cells."""
    return model.sweeps(framework, data, parameters, scaled_softness(parameters["strength"]))


@mutant(task="reconstruction", effect="softness {strength:+.0%}", strengths=(0.2, 0.05))
def softness_of_the_picture(framework, data, parameters):
    """The chain of another softness, which says that it was the right one."""
    return model.reconstruction(framework, data, parameters, scaled_softness(parameters["strength"]))


def scaled_softness(strength):
    """A sweep at (1 + strength) times the softness."""
    return lambda key, classes, targets, softness: model._sweep(key, classes, targets, (1 + strength) * softness)


# ---------------------------------------------------------------- work left out


@mutant(task="sweeps", effect="one sweep instead of 20", parameters={"height": 512, "n_sweeps": 20})
def one_sweep(framework, data, parameters):
    """The only sweep stands for all."""
    return repeated_sweep(framework, data, parameters)


@mutant(task="sweeps", effect="one sweep instead of 8", size="smoke", parameters={"n_sweeps": 8}, cheap=True)
def one_sweep_at_smoke(framework, data, parameters):
    """The only sweep stands for all."""
    return repeated_sweep(framework, data, parameters)


@mutant(task="sweeps", effect="every second sweep left out", size="smoke", parameters={"n_sweeps": 8}, cheap=True)
def half_of_the_sweeps(framework, data, parameters):
    """A coin decides whether a sweep does anything."""

    def sweep(key, classes, targets, softness):
        is_left_out = jax.random.bernoulli(jax.random.fold_in(key, 1))
        return jnp.where(is_left_out, classes, model._sweep(key, classes, targets, softness))

    return model.sweeps(framework, data, parameters, sweep)


@mutant(task="sweeps", effect="all but the corner swept in the last sweep alone", parameters={"height": 128})
def corner_alone(framework, data, parameters):
    """What the gate sees of every sweep is right, the rest of the board waits for the last one."""
    side = 1 + model.CORNER

    def sweep_corner(key, classes, targets, softness):
        new = model._sweep(key, classes, targets, softness)
        return classes.at[:, :, :side, :side].set(new[:, :, :side, :side])

    most = model.sweeps(framework, data, {**parameters, "n_sweeps": parameters["n_sweeps"] - 1}, sweep_corner)
    last = model.sweeps(framework, data, {**parameters, "n_sweeps": 1})

    def run(inputs):
        before = most.run(inputs)
        after = last.run({**inputs, "key": jax.random.fold_in(inputs["key"], 1), "initial": before["final"]})
        return {**after, "corner": jnp.concatenate([before["corner"], after["corner"]])}

    return Program(most.prepare, run)


@mutant(task="sweeps", effect="one class of nine never drawn", parameters={"height": 32, "n_sweeps": 5}, cheap=True)
def class_left_out(framework, data, parameters):
    """The cells in the middle of every block of nine keep their state."""
    return model.sweeps(framework, data, parameters, functools.partial(own_sweep, left_out=(4,)))


@mutant(task="sweeps", effect="one class of nine never drawn", size="smoke", parameters={"n_sweeps": 2}, cheap=True)
def class_left_out_at_smoke(framework, data, parameters):
    """The cells in the middle of every block of nine keep their state."""
    return model.sweeps(framework, data, parameters, functools.partial(own_sweep, left_out=(4,)))


@mutant(task="reconstruction", effect="one class of nine never drawn", size="smoke")
def class_left_out_of_the_picture(framework, data, parameters):
    """The cells in the middle of every block of nine keep their state."""
    return model.reconstruction(framework, data, parameters, functools.partial(own_sweep, left_out=(4,)))


# ---------------------------------------------------------------- another world


@mutant(task="sweeps", effect="living cells beyond the edge", parameters={"height": 32, "n_sweeps": 5})
def living_edge(framework, data, parameters):
    """Cells beyond the edge live."""
    return model.sweeps(framework, data, parameters, functools.partial(own_sweep, lives_beyond=True))


@mutant(task="sweeps", effect="living cells beyond the edge", size="smoke", parameters={"n_sweeps": 2}, cheap=True)
def living_edge_at_smoke(framework, data, parameters):
    """Cells beyond the edge live."""
    return model.sweeps(framework, data, parameters, functools.partial(own_sweep, lives_beyond=True))


@mutant(task="reconstruction", effect="living cells beyond the edge", size="smoke")
def living_edge_of_the_picture(framework, data, parameters):
    """Cells beyond the edge live."""
    return model.reconstruction(framework, data, parameters, functools.partial(own_sweep, lives_beyond=True))


# ---------------------------------------------------------------- how they are made


def own_sweep(key, classes, targets, softness, left_out=(), lives_beyond=False):
    """The model's sweep, without the classes of `left_out`, or with living cells beyond the edge."""
    log_odds_of_one = jnp.log1p(-softness) - jnp.log(softness)
    is_beyond = targets == 0

    def draw(classes, step):
        key, index = step
        row, column = index // 3, index % 3
        seen = classes | is_beyond if lives_beyond else classes
        gained = model._gained_agreements(seen, targets, row, column)
        drawn = jax.random.bernoulli(key, jax.nn.sigmoid(gained.astype(jnp.float32) * log_odds_of_one))
        drawn &= model._shifted(targets, row, column) != 0
        is_left_out = jnp.isin(index, jnp.array(left_out, jnp.uint32))
        drawn = jnp.where(is_left_out, model._shifted(classes, row, column), drawn)
        start = (row, column, jnp.uint32(1), jnp.uint32(1))
        return jax.lax.dynamic_update_slice(classes, drawn[None, None], start), None

    return jax.lax.scan(draw, classes, (jax.random.split(key, 9), jnp.arange(9, dtype=jnp.uint32)))[0]


def repeated_sweep(framework, data, parameters):
    """Program of one sweep, which returns its corner as often as sweeps were asked for."""
    program = model.sweeps(framework, data, {**parameters, "n_sweeps": 1})

    def run(inputs):
        outputs = program.run(inputs)
        return {**outputs, "corner": jnp.repeat(outputs["corner"], parameters["n_sweeps"], axis=0)}

    return Program(program.prepare, run)
