"""The trajectories of NUTS, built by one loop over leapfrog steps.

A trajectory doubles in a random direction until it turns back on itself, as do the parts that a recursion would have
built. The recursion is unrolled: of the leaves so far, the first leaf of each finished part that can still become the
left end of a larger one is kept, at most `max_depth` of them, and a leaf that ends parts is compared with their first
leaves. So a trajectory of many leaves needs memory for few, and there is one loop, which `vmap` runs in lock step for
many chains.

Sources: Hoffman and Gelman, *The No-U-Turn Sampler* (JMLR 2014); Betancourt, *A conceptual introduction to Hamiltonian
Monte Carlo* (2017), appendix A.4, for multinomial weights, biased progressive sampling and the criterion; Phan, Pradhan
and Jankowiak, *Composable effects for flexible and accelerated probabilistic programming in NumPyro* (2019), for the
iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.adev.primitive import draw_key
from genjax.distributions import uniform
from genjax.inference.kernels.density import SelectedDensity
from genjax.inference.kernels.leapfrog import DIVERGENCE_THRESHOLD
from genjax.inference.kernels.metric import kinetic_energy, velocity
from genjax.signatures import PyTree


class Leaf(NamedTuple):
    """A point of phase space: position, momentum and gradient, (n,) each."""

    position: Array
    momentum: Array
    gradient: Array


class Draw(NamedTuple):
    """What the next state of the chain would be."""

    position: Array
    log_density: Array
    gradient: Array
    energy: Array


class Tree(NamedTuple):
    """A set of neighbouring leaves.

    Attributes:
        draw: one of them, drawn by weight.
        log_weight: log of the sum of `exp(energy at the start - energy)`.
        momentum: the sum of the momenta.
    """

    draw: Draw
    log_weight: Array
    momentum: Array


class FirstLeaves(NamedTuple):
    """Of the unfinished parts of the half that is being built: with r their first momentum, S the sum of momenta up to
    it, and A the inverse mass, the rows `A r` and `r/2 - S`, (max_depth, n) each."""

    velocity: Array
    offset: Array


class Trajectory(NamedTuple):
    """The carry of the loop. `half` is the part that doubles the trajectory, `leaf` its last leaf, the `index`-th."""

    ends: tuple[Leaf, Leaf]
    whole: Tree
    half: Tree
    leaf: Leaf
    first: FirstLeaves
    index: Array
    depth: Array
    n_leaves: Array
    acceptance: Array
    is_divergent: Array
    is_done: Array


def build_trajectory(
    density: SelectedDensity,
    gradient: Array,
    momentum: Array,
    step_size: ArrayLike,
    inverse_mass: ArrayLike | None,
    max_depth: int,
) -> Trajectory:
    """The trajectory of one NUTS transition from the density's own position.

    Args:
        density: the target, as a function of one vector (n,).
        gradient: its gradient at its position, (n,).
        momentum: r ~ N(0, A^-1), (n,).
        step_size: eps.
        inverse_mass: A, see `metric`.
        max_depth: most doublings.

    Returns:
        The trajectory; `whole.draw` is the next state.
    """
    (position,) = density.position
    dtype = position.dtype
    eps = jnp.asarray(step_size, dtype)
    coins, choices = uniform.sample(0.0, 1.0, sample_shape=(2, max_depth))  # one draw: each takes time to compile
    goes_forward, log_choices = coins < 0.5, jnp.log(choices)
    key = draw_key()  # of the choices among leaves, of which the number is not known
    start_energy = kinetic_energy(inverse_mass, [momentum]) - density.log_density

    def speed(r: Array) -> Array:
        return velocity(inverse_mass, [r])[0]

    def next_leaf(leaf: Leaf, direction: Array) -> tuple[Leaf, Draw]:
        half_kick = 0.5 * direction * eps
        r = leaf.momentum + half_kick * leaf.gradient
        z = leaf.position + direction * eps * speed(r)
        point = density.evaluate([z])
        r = r + half_kick * point.gradient[0]
        energy = kinetic_energy(inverse_mass, [r]) - point.log_density
        return Leaf(z, r, point.gradient[0]), Draw(z, point.log_density, point.gradient[0], energy)

    def body(t: Trajectory) -> Trajectory:
        direction = jnp.where(goes_forward[t.depth], 1.0, -1.0).astype(dtype)
        is_first = t.index == 0
        end = _where(goes_forward[t.depth], t.ends[1], t.ends[0])
        leaf, draw = next_leaf(_where(is_first, end, t.leaf), direction)
        log_weight = start_energy - draw.energy
        log_weight = jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
        is_divergent = log_weight < -DIVERGENCE_THRESHOLD

        # The half so far, with this leaf: the draw moves to it by its share of the weight.
        half_weight = jnp.logaddexp(jnp.where(is_first, -jnp.inf, t.half.log_weight), log_weight)
        u = jax.random.uniform(jax.random.fold_in(key, t.n_leaves), dtype=dtype)
        is_taken = is_first | (jnp.log(u) < log_weight - half_weight)
        half_momentum = jnp.where(is_first, 0.0, t.half.momentum) + leaf.momentum
        half = Tree(_where(is_taken, draw, t.half.draw), half_weight, half_momentum)

        v = speed(leaf.momentum)
        centred = half_momentum - 0.5 * leaf.momentum
        first, ends_parts = _mark_first_leaves(t.first, t.index, v, 0.5 * leaf.momentum - half_momentum)
        at_first = first.velocity @ centred + jnp.sum(first.velocity * first.offset, axis=1)
        at_last = first.offset @ v + jnp.dot(centred, v)
        is_turning = jnp.any(ends_parts & ((at_first <= 0) | (at_last <= 0)))

        is_broken = is_turning | is_divergent
        is_complete = ~is_broken & (t.index + 1 == 2**t.depth)
        # The whole with a complete half: the draw moves to the half with the ratio of the weights, at most 1.
        moves = is_complete & (log_choices[t.depth] < half.log_weight - t.whole.log_weight)
        merged = Tree(
            _where(moves, half.draw, t.whole.draw),
            jnp.where(is_complete, jnp.logaddexp(t.whole.log_weight, half.log_weight), t.whole.log_weight),
            jnp.where(is_complete, t.whole.momentum + half.momentum, t.whole.momentum),
        )
        ends = (
            _where(is_complete & ~goes_forward[t.depth], leaf, t.ends[0]),
            _where(is_complete & goes_forward[t.depth], leaf, t.ends[1]),
        )
        depth = t.depth + is_complete
        turns = is_complete & _turns(merged.momentum, ends[0].momentum, ends[1].momentum, speed)
        return Trajectory(
            ends=ends,
            whole=merged,
            half=half,
            leaf=leaf,
            first=first,
            index=jnp.where(is_complete, 0, t.index + 1),
            depth=depth,
            n_leaves=t.n_leaves + 1,
            acceptance=t.acceptance + jnp.exp(jnp.minimum(0.0, log_weight)),
            is_divergent=is_divergent,
            is_done=is_broken | turns | (depth == max_depth),
        )

    at_start = Leaf(position, momentum, gradient)
    draw = Draw(position, density.log_density, gradient, start_energy)
    zero = jnp.zeros((), dtype)
    tree = Tree(draw, zero, momentum)
    rows = jnp.zeros((max_depth, *position.shape), dtype)
    count, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    start = Trajectory(
        (at_start, at_start), tree, tree, at_start, FirstLeaves(rows, rows), count, count, count, zero, no, no
    )
    start = jax.tree.map(jnp.asarray, start)
    return jax.lax.while_loop(lambda t: ~t.is_done, body, start)


def _mark_first_leaves(first: FirstLeaves, index: Array, v: Array, offset: Array) -> tuple[FirstLeaves, Array]:
    """The first leaves after leaf `index`, and a mask (max_depth,) of those whose parts end with this leaf.

    Leaves of even index begin parts: they go to the row that is the number of ones in `index // 2`. A leaf of odd index
    ends as many parts as it has trailing ones, whose first leaves are in the rows up to that number.
    """
    rows = jnp.arange(first.velocity.shape[0])
    last = jax.lax.population_count(index >> 1)
    is_even = index % 2 == 0
    put = (is_even & (rows == last))[:, None]
    n_trailing = jax.lax.population_count(index & ~(index + 1))
    ends = ~is_even & (rows <= last) & (rows > last - n_trailing)
    return FirstLeaves(jnp.where(put, v, first.velocity), jnp.where(put, offset, first.offset)), ends


def _turns(total: Array, left: Array, right: Array, speed: Callable[[Array], Array]) -> Array:
    """Whether a trajectory turns: its momenta, with half of those at the ends, point back at one of the ends."""
    centred = total - 0.5 * (left + right)
    return (jnp.dot(centred, speed(left)) <= 0) | (jnp.dot(centred, speed(right)) <= 0)


def _where(check: Array, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(check, a, b), new, old)
