"""The standard normal of a uniform: `jax.random`'s, and exact where the uniform is near 0 or 1.

A float32 uniform on (-1, 1) ends 2^-24 before 1, at 5.4 standard deviations. Where the distance from the end is known
to more digits, the quantile of that distance takes the normal's place. It costs other coefficients, not a second
logarithm, so nothing branches: it is computed for every element.

Source: Giles, "Approximating the erfinv function", GPU Computing Gems (2011), whose single-precision polynomials XLA
and this file use up to a distance of 2^-18; beyond, a polynomial in the same variable, fitted to SciPy's `ndtri_exp`.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["LOG_SCALE", "SCALE", "SMALLEST_DISTANCE", "normal_of"]

#: No distance may be smaller.
SMALLEST_DISTANCE = 2.0**-106

#: Coefficients of erfinv(x) / x by power of t, highest first: for w = -log(1 - x^2) below 5, where t is w - 5/2; above,
#: where t is sqrt(w) - 3; and there for distances from 2^-18 to 2^-106, with a relative error below 3e-7.
_COEFFICIENTS = (
    (2.81022636e-08, -0.000200214257, 8.5506546e-08),
    (3.43273939e-07, 0.000100950558, -2.37431196e-06),
    (-3.5233877e-06, 0.00134934322, 2.89732146e-05),
    (-4.39150654e-06, -0.00367342844, -0.000206868617),
    (0.00021858087, 0.00573950773, 0.000973612339),
    (-0.00125372503, -0.0076224613, -0.0031869502),
    (-0.00417768164, 0.00943887047, 0.00665581252),
    (0.246640727, 1.00167406, 1.0027271),
    (1.50140941, 2.83297682, 2.83279411),
)
#: 1 - x^2 = 4 distance (1 - distance), whose last factor is 1 in the tail. A distance times this is so large that the
#: logarithm of 1 more is its logarithm.
SCALE = 2.0**127
LOG_SCALE = math.log(SCALE)


def normal_of(x: Array, scaled_distance: Array, is_tail: Array) -> Array:
    """sqrt(2) erfinv(x), or the quantile of the distance on the side of x.

    Args:
        x: float32 in (-1, 1).
        scaled_distance: float32 of the same shape: `SCALE` (1 - |x|) / 2, with all digits, at least `SCALE *
            SMALLEST_DISTANCE`. Read where `is_tail`.
        is_tail: whether the distance is below 2^-18.
    """
    # One logarithm: of 1 - x^2, or of the scaled distance.
    log = jnp.log1p(jnp.where(is_tail, scaled_distance, x * -x))
    w = jnp.where(is_tail, np.float32(math.log(SCALE / 4)), np.float32(0)) - log
    is_central = w < 5
    t = jnp.where(is_central, w - np.float32(2.5), jnp.sqrt(w) - np.float32(3))

    def coefficient(centre: float, outside: float, tail: float) -> Array:
        return jnp.where(is_central, np.float32(centre), jnp.where(is_tail, np.float32(tail), np.float32(outside)))

    ratio = coefficient(*_COEFFICIENTS[0])
    for one in _COEFFICIENTS[1:]:
        ratio = coefficient(*one) + ratio * t
    return np.float32(math.sqrt(2)) * (ratio * jnp.where(is_tail, jnp.round(x), x))
