"""Wake and sleep losses on a conjugate model: their expected gradients vanish at the exact posterior, only there.

Means of independent estimates within 5 standard errors: a false alarm has probability 6e-7 each.
"""

import jax
import jax.numpy as jnp
import numpy as np

from genjax import gen, normal, normal_reparam, seed
from genjax.inference.wake_sleep import iwelbo, sleep_loss, wake_loss
from tests.genjax.inference import exact


@gen
def family(constraint, slope, log_scale):
    return normal_reparam(slope * constraint["y"], jnp.exp(log_scale)) @ "mu"


POSTERIOR = (0.8, 0.5 * float(np.log(0.2)))
DATA = {"y": 1.0}


def gradients(loss, params, n=2000):
    keys = jax.random.split(jax.random.key(0), n)
    run = jax.jit(jax.vmap(seed(jax.grad(loss, argnums=(0, 1))), in_axes=(0, None, None)))
    return np.stack(run(keys, *params), axis=1).astype(np.float64)


def z_scores(values):
    return values.mean(0) / (values.std(0) / np.sqrt(len(values)))


def test_gradients_vanish_at_the_posterior_only():
    sleep = sleep_loss(exact.conjugate_normal, family, "y")
    wake = wake_loss(exact.conjugate_normal, family, DATA, n_samples=20)
    for loss in (sleep, wake):
        assert np.all(np.abs(z_scores(gradients(loss, POSTERIOR))) < 5)
        away = z_scores(gradients(loss, (0.4, 0.0)))
        assert away[0] < -5  # the slope should grow
        assert away[1] > 5  # the scale should fall


def test_importance_weighted_bound_is_the_evidence_at_the_posterior():
    bound = iwelbo(exact.conjugate_normal, family, DATA, n_samples=5)
    evidence = normal.logpdf(1.0, 0.0, np.sqrt(1.25))
    np.testing.assert_allclose(seed(bound.estimate)(jax.random.key(1), *POSTERIOR), evidence, rtol=1e-4)
    keys = jax.random.split(jax.random.key(1), 4000)
    estimates = np.asarray(jax.vmap(seed(bound.estimate), in_axes=(0, None, None))(keys, 0.0, 1.5), np.float64)
    error = estimates.std() / np.sqrt(len(estimates))
    assert estimates.mean() < evidence - 5 * error  # a bound, and not tight
    weights = np.exp(estimates)
    assert abs(weights.mean() - np.exp(evidence)) < 5 * weights.std() / np.sqrt(len(weights))
