"""How far processes of one program differ, learned from all contestants of a run.

Five processes say little about their own variance: Student's interval with four degrees of freedom is 1.4 times as long
as with many. Variances of several contestants say more together. Each is shrunk towards what they have in common:
with s^2 the variance of a contestant's log estimates over processes, d its degrees of freedom, and a scaled inverse
chi-squared prior of scale s0^2 and d0 degrees of freedom that is fitted to all of them,

    moderated variance = (d0 s0^2 + d s^2) / (d0 + d),   with d0 + d degrees of freedom.

Source: Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
experiments" (2004), sections 3 and 6.2. Departure: the d0 that a variance is given is at most a quarter of the degrees
of freedom of the other contestants, since few variances cannot show that all are equal, and all of a race share the
baseline's noise. The scale s0^2 is that of the fitted d0, not of the limited one: a prior of few degrees of freedom has
a smaller scale at the same mean logarithm, and its intervals would be too narrow (`simulate.py`: 92% to 94% coverage).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_BORROWED = 0.25
LEAST_VARIANCE = 1e-10
"""Of log times: a clock that does not resolve a difference does not show that there is none."""


@dataclass(frozen=True)
class Prior:
    """What contestants have in common: a scale (a variance of log estimates) and its worth in degrees of freedom."""

    variance: float
    freedom: float


def fitted(variances: Sequence[tuple[float, int]]) -> Prior | None:
    """The prior of several contestants, given (s^2, d) of each; None for fewer than three.

    With z = log s^2 - digamma(d / 2) + log(d / 2), the variance of z beyond trigamma(d / 2) tells how much the
    variances themselves differ: trigamma(d0 / 2), so d0 is infinite where nothing is beyond. The mean of z is
    log s0^2 - digamma(d0 / 2) + log(d0 / 2), or log s0^2 where d0 is infinite.
    """
    usable = [(max(variance, LEAST_VARIANCE), freedom) for variance, freedom in variances if freedom > 0]
    if len(usable) < 3:
        return None
    from scipy import special

    values, freedom = np.array(usable, np.float64).T
    centred = np.log(values) - special.digamma(freedom / 2) + np.log(freedom / 2)
    most = MOST_BORROWED * float(freedom.sum() - freedom.max())
    beyond = float(centred.var(ddof=1) - special.polygamma(1, freedom / 2).mean())
    if beyond <= 0:
        return Prior(float(np.exp(centred.mean())), most)
    own = 2 * _inverse_trigamma(beyond)
    scale = np.exp(centred.mean() + special.digamma(own / 2) - np.log(own / 2))
    return Prior(float(scale), min(own, most))


def moderated(variance: float, freedom: int, prior: Prior | None) -> tuple[float, float]:
    """The moderated variance and its degrees of freedom; both unchanged without a prior."""
    if prior is None:
        return variance, float(freedom)
    total = prior.freedom + freedom
    return (prior.freedom * prior.variance + freedom * variance) / total, total


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma, which is convex."""
    from scipy import special

    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step < 1e-8 * x:
            break
    return x
