"""Von Mises: angles around a mean direction."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import i0e, i1e

from genjax.distributions import supports, turns
from genjax.distributions.blocks import draw_in_blocks
from genjax.distributions.family import REQUIRED, Family, Form, define
from genjax.distributions.own_derivative import own_derivative

Shape = tuple[int, ...]

_NODES, _WEIGHTS = (
    0.5 * (rule + shift) for rule, shift in zip(np.polynomial.legendre.leggauss(32), (1, 0), strict=True)
)


def _draw_von_mises(key: Array, loc: Array, concentration: Array, *, shape: Shape) -> Array:
    fixed = jax.lax.stop_gradient(concentration)
    angle = _with_derivative(jnp.broadcast_to(concentration, shape), draw_in_blocks(_draw_block, key, [fixed], shape))
    turns = jnp.round((loc + angle) / (2 * math.pi))
    wrapped = loc + angle - 2 * math.pi * jax.lax.stop_gradient(turns)
    return jnp.clip(wrapped, -math.pi, math.pi)


def _draw_block(key: Array, concentration: Array) -> Array:
    """Angles around 0, by rejection from a wrapped Cauchy.

    Source: Best and Fisher, *Efficient simulation of the von Mises distribution*, Applied Statistics 28 (1979); their
    r = (1 + rho^2) / (2 rho), written out so that nothing cancels for small and large concentrations.
    """
    shape, dtype = concentration.shape, concentration.dtype
    is_valid = (concentration >= 0) & (concentration < jnp.inf)
    kappa = jnp.clip(jnp.where(is_valid, concentration, 1), 0, 1e15)
    root = jnp.sqrt(1 + 4 * kappa * kappa)
    tau = 1 + root
    scale = (1 + root) * (jnp.sqrt(tau) + math.sqrt(2)) / (4 * jnp.sqrt(tau))  # kappa / (2 rho)
    rho = kappa / (2 * scale)
    large = jnp.where(kappa > 1, kappa, 1)
    of_large = (jnp.sqrt(2 * tau) - 1 - 1 / (2 * large + root)) / (2 * large)
    complement = jnp.where(kappa > 1, of_large, 1 - rho)  # 1 - rho

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, angle, is_done = state
        uniform, exponential = turns.uniform_and_exponential(key, turn, shape, dtype)
        half = 0.5 * math.pi * (2 * uniform - 1)
        square = jnp.square(jnp.sin(half))  # (1 - z) / 2 with z = cos(2 half)
        versine = complement * complement * 2 * square / (complement * complement + 4 * rho * (1 - square))  # 1 - f
        c = scale * complement * complement + kappa * versine
        is_accepted = jnp.log(c) + exponential + 1 - c >= 0
        # The sign is that of the uniform's angle.
        proposed = jnp.sign(half) * 2 * jnp.arcsin(jnp.sqrt(jnp.minimum(0.5 * versine, 1)))
        return turn + 1, jnp.where(is_done, angle, proposed), is_done | is_accepted

    initial = jnp.uint32(1), jnp.zeros(shape, dtype), ~is_valid
    _, angle, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), propose, initial)
    return jnp.where(is_valid, angle, jnp.nan)


@own_derivative
def _with_derivative(concentration: Array, angle: Array) -> Array:
    return angle


@_with_derivative.defjvp
def _differentiate(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The implicit derivative, -(dF(x) / d kappa) / p(x) = -int_0^x (cos t - A) p(t) dt / p(x), A the mean of cos."""
    kappa, angle = primals
    nodes, weights = (jnp.asarray(rule, angle.dtype) for rule in (_NODES, _WEIGHTS))
    t = angle[..., None] * nodes
    mean_versine = _mean_versine(kappa)
    versine, end = 2 * jnp.square(jnp.sin(t / 2)), 2 * jnp.square(jnp.sin(angle / 2))
    ratio = jnp.exp(kappa[..., None] * (end[..., None] - versine))
    slope = -angle * ((mean_versine[..., None] - versine) * ratio * weights).sum(-1)
    return angle, slope * tangents[0]


def _mean_versine(kappa: Array) -> Array:
    """`1 - I_1(k) / I_0(k)`, the mean of 1 - cos(x - loc); for large k by its asymptotic series."""
    large = jnp.where(kappa > 50, kappa, 50)
    series = (0.5 + (0.125 + (0.125 + 0.1953125 / large) / large) / large) / large
    return jnp.where(kappa > 50, series, 1 - i1e(kappa) / i0e(kappa))


@own_derivative
def _log_normaliser(kappa: Array) -> Array:
    """log(exp(-k) I_0(k)), whose derivative does not cancel for large k."""
    return jnp.log(i0e(kappa))


@_log_normaliser.defjvp
def _log_normaliser_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_normaliser(*primals), -_mean_versine(*primals) * tangents[0]


def _log_von_mises_density(value: Array, loc: Array, concentration: Array) -> Array:
    is_finite = jnp.abs(value) < jnp.inf
    half = 0.5 * (jnp.where(is_finite, value, 0) - loc)
    log_density = (
        -2 * concentration * jnp.square(jnp.sin(half)) - math.log(2 * math.pi) - _log_normaliser(concentration)
    )
    return jnp.where(is_finite, log_density, -jnp.inf)


von_mises = define(
    Family(
        "VonMises",
        {"loc": REQUIRED, "concentration": REQUIRED},
        [Form(("loc", "concentration"), _draw_von_mises, _log_von_mises_density)],
        supports.circle,
    )
)
"""`von_mises(loc, concentration)`: log p(x) = k cos(x - loc) - log(2 pi I_0(k)), an angle in radians, k >= 0.

Draws lie in [-pi, pi], with implicit derivatives; the density has the period 2 pi. Draws resolve probabilities down to
1e-30.
"""
