"""Losses for amortised inference: the importance-weighted bound, and the wake and sleep phases.

Sources: Burda, Grosse and Salakhutdinov, *Importance weighted autoencoders* (ICLR 2016); Bornschein and Bengio,
*Reweighted wake-sleep* (ICLR 2015), sections 2.2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.adev import Expectation
from genjax.core import sel
from genjax.core.arguments import as_args
from genjax.core.const import Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.selection import Selectable
from genjax.inference.resampling import normalized_weights
from genjax.inference.vi import elbo_factory
from genjax.signatures import Args, Constraints, PyTree

Loss = Callable[..., jax.Array]


def iwelbo(
    model: AnyGFI, family: AnyGFI, constraint: Constraints, args: Args = (), n_samples: Size = 10
) -> Expectation:
    """`E log (1/n) sum_i p(x_i, y) / q(x_i)`, x_i ~ q independent: `elbo_factory` with importance weighting."""
    return elbo_factory(model, family, constraint, args, n_samples, is_importance_weighted=True)


def sleep_loss(model: AnyGFI, family: AnyGFI, observed: Selectable, args: Args = (), n_samples: Size = 1) -> Loss:
    """`loss(*params)`: an estimate of `-E log q(x; y, params)` over (x, y) drawn from the model.

    Draws do not depend on the parameters, so that `jax.grad` of the loss is an unbiased gradient whatever the family's
    distributions are, discrete ones too. It is least where q is the posterior for every y.

    Args:
        model: the generative function.
        family: called as `family(constraint, *params)`; its choices are those of the model that are not observed.
        observed: selection of the model's addresses that will be data.
        args: the model's arguments.
        n_samples: number of draws, averaged.
    """
    args, n, observed = as_args(args), count(n_samples, "n_samples", least=1), sel(observed)

    def one(params: PyTree) -> jax.Array:
        choices = jax.lax.stop_gradient(model.simulate(*args).get_choices())
        data, latent = model.filter(choices, observed)
        return -scalar(family.assess(latent, data, *params)[0])

    return lambda *params: jnp.mean(jax.vmap(lambda: one(params), in_axes=(), axis_size=n)())


def wake_loss(model: AnyGFI, family: AnyGFI, constraint: Constraints, args: Args = (), n_samples: Size = 10) -> Loss:
    """`loss(*params)`: an estimate of `-E log q(x; y, params)` over x from the posterior given the data y.

    The posterior is approximated by n draws of the family with self-normalised importance weights, through which no
    gradient goes: `-sum_i w_i log q(x_i; y, params)`. Its bias vanishes as 1/n.

    Args:
        model, family, args: as for `sleep_loss`.
        constraint: the data y.
        n_samples: n.
    """
    args, n = as_args(args), count(n_samples, "n_samples", least=1)

    def one(params: PyTree) -> tuple[jax.Array, jax.Array]:
        fixed = jax.lax.stop_gradient(params)
        latent = jax.lax.stop_gradient(family.simulate(constraint, *fixed).get_choices())
        log_q = scalar(family.assess(latent, constraint, *params)[0])
        log_p = scalar(model.assess(model.merge(latent, constraint)[0], *args)[0])
        return log_q, log_p

    def loss(*params: PyTree) -> jax.Array:
        log_q, log_p = jax.vmap(lambda: one(params), in_axes=(), axis_size=n)()
        weights = jax.lax.stop_gradient(normalized_weights(log_p - log_q))
        return -jnp.sum(weights * log_q)

    return loss
