"""Every kernel is calibrated on a conjugate model, and the same test notices when it is wrong.

A kernel passes if the ranks of three or four functions are uniform, each at the level 1e-5: a false alarm has
probability 4e-5 at most per kernel, and seeds are fixed. Each wrong kernel is the right one with one thing changed.
"""

import dataclasses
import importlib
import types

import jax
import jax.numpy as jnp
import pytest

from genjax import distribution, gamma, gen, normal, sel
from genjax.inference import kernels
from genjax.inference.kernels import (
    HMC,
    MALA,
    MH,
    NUTS,
    Elliptical,
    Gibbs,
    Involutive,
    JitteredHMC,
    Kernel,
    ManyTries,
    ParallelTempering,
    ParticleGibbs,
    RandomWalk,
    Slice,
    combinators,
    compose,
    cycle,
    mix,
    repeat,
)
from tests.genjax.inference import calibration
from tests.genjax.inference.calibration import LABELS, LEVEL, NORMAL_GAMMA, WALK
from tests.tiers import slow_except

BOTH = sel("mean", "precision")


@gen
def skewed(choices):
    """A proposal that depends on the state and is not symmetric."""
    normal(0.5 * choices["mean"] + 0.7, 0.6) @ "mean"
    gamma(3.0, 2.5 / choices["precision"]) @ "precision"


@gen
def factor(choices):
    return gamma(4.0, 3.0) @ "factor"


def stretch(choices, auxiliary):
    """Precision times a factor, the mean's distance from 1 divided by its root; the way back has the inverse."""
    f = auxiliary["factor"]
    moved = {"precision": choices["precision"] * f, "mean": 1 + (choices["mean"] - 1) / jnp.sqrt(f)}
    return moved, {"factor": 1 / f}


KERNELS = {
    "mh": (NORMAL_GAMMA, MH(BOTH)),
    "mala": (NORMAL_GAMMA, MALA(BOTH, 0.6)),
    "hmc": (NORMAL_GAMMA, HMC(BOTH, 0.3, 4)),
    "hmc of varying length": (NORMAL_GAMMA, JitteredHMC(BOTH, 0.3, 1.5)),
    "nuts": (NORMAL_GAMMA, NUTS(BOTH, 0.5, max_depth=4)),
    "many tries": (NORMAL_GAMMA, ManyTries(BOTH, 2)),
    "proposal": (NORMAL_GAMMA, Involutive(skewed)),
    "involution": (NORMAL_GAMMA, compose(Involutive(factor, stretch), MH("mean"))),
    "random walk": (NORMAL_GAMMA, RandomWalk(BOTH, 0.6)),
    "slice": (NORMAL_GAMMA, Slice(BOTH, 1.0)),
    "elliptical": (NORMAL_GAMMA, compose(Elliptical("mean", 1.0), MH("precision"))),
    "parallel tempering": (NORMAL_GAMMA, ParallelTempering(HMC(BOTH, 0.3, 3), [1.0, 0.2])),
    "gibbs": (LABELS, Gibbs(sel("group", ("items", "label")))),
    "particle gibbs": (WALK, ParticleGibbs("path", 8)),
    "compose": (NORMAL_GAMMA, compose(HMC("mean", 0.3, 3), RandomWalk("precision", 0.8))),
    "cycle": (NORMAL_GAMMA, cycle(HMC("mean", 0.3, 3), RandomWalk("precision", 0.8))),
    "mix": (NORMAL_GAMMA, mix(HMC(BOTH, 0.3, 4), RandomWalk(BOTH, 0.05), probabilities=[3.0, 1.0])),
    "repeat": (NORMAL_GAMMA, repeat(MH(BOTH), 4)),
}
THINNING = {"mh": 8, "proposal": 12, "involution": 8, "random walk": 8, "particle gibbs": 8, "compose": 6, "cycle": 12}
"""Steps between draws that are ranked, where neighbours are more alike than with other kernels."""


def ranks_of(name, kernel):
    return calibration.rank_counts(KERNELS[name][0], calibration.draws_of(kernel, thinning=THINNING.get(name, 4)))


# test_protocol.py checks two steps of every kernel but parallel tempering. The default tier runs long chains of that
# one, of those that take more than a trace from step to step or whose wrong forms it notices below, and of each model.
LONG_CHAINS = [
    "parallel tempering", "hmc of varying length", "cycle", "nuts", "elliptical", "particle gibbs", "gibbs",
]  # fmt: skip


@pytest.mark.parametrize("name", slow_except(LONG_CHAINS, KERNELS))
def test_ranks_of_the_truth_are_uniform(name):
    assert calibration.least_p_value(ranks_of(name, KERNELS[name][1])) > LEVEL


def replaced(name, **changes):
    """A change of names in the module of a kernel, each by a function of what was there; the kernel itself stays."""

    def mutate(patch, kernel):
        module = importlib.import_module(f"genjax.inference.kernels.{name}")
        for attribute, change in changes.items():
            patch.setattr(module, attribute, change(getattr(module, attribute)))
        return kernel

    return mutate


def always(original):
    return lambda log_alpha: jnp.ones_like(log_alpha, bool)


def longer(original):
    return lambda *args: [1.4 * array for array in original(*args)]


def drifting(original):
    return lambda position: [noise + 0.5 for noise in original(position)]


def drawn_from(logits_of):
    """`categorical` that draws from other logits."""
    return lambda original: types.SimpleNamespace(sample=lambda logits: original.sample(logits_of(logits)))


def without_cosine(original):
    return types.SimpleNamespace(**{**vars(original), "cos": original.ones_like})


def half_way(original):
    return lambda *args: 0.5 * original(*args)


def length_of_the_place(patch, kernel):
    """Trajectories are the shorter the larger the mean is: adaptation that goes on while draws are kept."""

    def step(self, state):
        length = self.trajectory_length / (1 + jnp.square(state.trace["mean"]))
        inner, info = dataclasses.replace(self, trajectory_length=length).hmc(state.index).step(state.inner)
        return dataclasses.replace(state, inner=inner, index=state.index + 1), info

    patch.setattr(JitteredHMC, "step", step)
    return kernel


def taken_for_symmetric(patch, kernel):
    """The same proposal, the density of whose mean is left out."""
    flat = distribution(normal.sample, lambda x, loc, scale: 0.0 * x, "flat")

    @gen
    def proposal(choices):
        flat(0.5 * choices["mean"] + 0.7, 0.6) @ "mean"
        gamma(3.0, 2.5 / choices["precision"]) @ "precision"

    return Involutive(proposal)


def without_determinant(original):
    return lambda *args: (*original(*args)[:2], jnp.zeros(()))


def first_goes_on_from_itself(patch, kernel):
    """The second kernel's moves are seen, and the first does not take them up."""

    def step(self, state):
        first, _ = self.kernels[0].step(state.first)
        second, info = self.kernels[1].step(self.kernels[1].init(first.trace))
        return dataclasses.replace(state, trace=second.trace, first=first), info

    patch.setattr(combinators.Compose, "step", step)
    return kernel


def turn_that_stays(patch, kernel):
    right = combinators.Cycle.step

    def step(self, state):
        moved, info = right(self, state)
        return dataclasses.replace(moved, turn=state.turn), info

    patch.setattr(combinators.Cycle, "step", step)
    return kernel


def choice_by_the_trace(patch, kernel):
    """Long moves where the mean is above that of its prior, short ones below."""

    def step(self, state):
        trace, info = combinators._switch((state.trace["mean"] < 1) * 1, self.kernels, state.trace)
        return dataclasses.replace(state, trace=trace), info

    patch.setattr(combinators.Mix, "step", step)
    return kernel


def best_of_all(patch, kernel):
    """The most probable of the states that the steps went through, instead of the last."""

    def step(self, state):
        def one(carry, _):
            state, best, least = carry
            state, info = self.kernel.step(state)
            best = jax.tree.map(lambda old, new: jnp.where(info.energy < least, new, old), best, state)
            return (state, best, jnp.minimum(least, info.energy)), info

        (_, best, _), infos = jax.lax.scan(one, (state, state, jnp.inf), None, length=self.n.value)
        return best, jax.tree.map(lambda values: values[-1], infos)

    patch.setattr(combinators.Repeat, "step", step)
    return kernel


WRONG = {
    "mh: everything is accepted": replaced("mh", accepts=always),
    "mala: everything is accepted": replaced("mala", accepts=always),
    "hmc: momenta are too large": replaced("hmc", draw_momentum=longer),
    "hmc of varying length: the length depends on the place": length_of_the_place,
    "nuts: momenta have no part in the weights": replaced("trajectory", kinetic_energy=lambda _: lambda *args: 0.0),
    "many tries: the present choices are left out": replaced(
        "many_tries", categorical=drawn_from(lambda logits: logits.at[0].set(-jnp.inf))
    ),
    "proposal: the density of the mean is left out": taken_for_symmetric,
    "involution: the determinant is left out": replaced("involutive", _mapped=without_determinant),
    "random walk: steps have a drift": replaced("random_walk", standard_normal_like=drifting),
    "slice: half of the way to the point drawn": replaced("slice", _shrink=half_way),
    "elliptical: the other draw is added to a state that stays": replaced("elliptical", jnp=without_cosine),
    "parallel tempering: swaps the wrong way": replaced(
        "parallel_tempering", accepts=lambda original: lambda log_alpha: original(-log_alpha)
    ),
    "gibbs: probabilities are squared": replaced("gibbs", categorical=drawn_from(lambda logits: 2 * logits)),
    "particle gibbs: the end's number instead of its ancestors": replaced(
        "particle_gibbs", ancestral_lineage=lambda _: lambda ancestors, number: jnp.full(len(ancestors), number)
    ),
    "compose: the first kernel goes on from where it was": first_goes_on_from_itself,
    "cycle: it is always the first one's turn": turn_that_stays,
    "mix: the choice depends on the trace": choice_by_the_trace,
    "repeat: the most probable of its states": best_of_all,
}


NOTICED_ALWAYS = [
    "nuts: momenta have no part in the weights", "elliptical: the other draw is added to a state that stays",
]  # fmt: skip


@pytest.mark.parametrize("name", slow_except(NOTICED_ALWAYS, WRONG))
def test_a_wrong_kernel_is_noticed(name, monkeypatch):
    right = name.split(":")[0]
    wrong = WRONG[name](monkeypatch, KERNELS[right][1])
    assert calibration.least_p_value(ranks_of(right, wrong)) < LEVEL


def types_of(kernel):
    """The type of a kernel, and of those that it is made of."""
    parts = [value for value in vars(kernel).values() if isinstance(value, Kernel)] + list(
        vars(kernel).get("kernels", ())
    )
    return {type(kernel)}.union(*map(types_of, parts))


def test_every_kernel_is_calibrated_and_has_a_wrong_one():
    """But for `Function`, which is what its user wrote."""
    known = {
        value
        for module in (kernels, combinators)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Kernel)
    }
    tried = set().union(*(types_of(kernel) for _, kernel in KERNELS.values()))
    assert tried == known - {Kernel, kernels.Function}
    assert {name.split(":")[0] for name in WRONG} == KERNELS.keys()
