"""BlackJAX: sampling algorithms on log densities written in JAX."""

from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp

from frameworks.adaptive_base import AdaptiveChains
from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class BlackJax(JaxFramework):
    """Generic inference on a log density."""

    name = "blackjax"
    label = "BlackJAX"
    color = "#8C564B"
    distributions = (*JaxFramework.distributions, "blackjax")

    def nuts(
        self, log_density: Callable[..., jax.Array], args: tuple[Any, ...], supports: dict[str, str],
        starts: dict[str, Any], chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        """`blackjax.nuts` after `blackjax.window_adaptation`, each chain by itself, under `vmap`.

        Args:
            log_density: `(unknowns, *args) -> ()`, up to a constant.
            args: arrays that it depends on.
            supports: of the unknowns that are not any real numbers, one of `TRANSFORMS`: they move in unconstrained
                coordinates, with the log determinant added.
            starts: where chains begin, (n_chains, ...) each.
            chains: how many, how long, and what their warm-up aims at.

        Returns:
            Program whose outputs are the unknowns, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        return self._adaptive(blackjax.nuts, {}, log_density, args, supports, starts, chains)

    def adaptive_hmc(
        self, log_density: Callable[..., jax.Array], args: tuple[Any, ...], supports: dict[str, str],
        starts: dict[str, Any], chains: AdaptiveChains, *, n_leapfrog: int,
    ) -> Program:  # fmt: skip
        """`blackjax.hmc` with `n_leapfrog` steps, adapted likewise; see `nuts`."""
        options = {"num_integration_steps": n_leapfrog}
        return self._adaptive(blackjax.hmc, options, log_density, args, supports, starts, chains)

    def _adaptive(
        self, algorithm: Any, options: dict[str, Any], log_density: Callable[..., jax.Array], args: tuple[Any, ...],
        supports: dict[str, str], starts: dict[str, Any], chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        def constrained(position: dict[str, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
            """The unknowns, and the sum of the log determinants."""
            moved = {name: TRANSFORMS[support][0](position[name]) for name, support in supports.items()}
            unknowns = {**position, **{name: value for name, (value, _) in moved.items()}}
            return unknowns, sum((term for _, term in moved.values()), jnp.zeros(()))

        def chain(key: jax.Array, position: dict[str, jax.Array], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            def density(position: dict[str, jax.Array]) -> jax.Array:
                unknowns, log_determinant = constrained(position)
                return log_density(unknowns, *args) + log_determinant

            warmup_key, sample_key = jax.random.split(key)
            warmup = blackjax.window_adaptation(
                algorithm,
                density,
                target_acceptance_rate=chains.target_acceptance,
                adaptation_info_fn=blackjax.adaptation.base.get_filter_adapt_info_fn(),  # keep nothing
                **options,
            )
            (state, found), _ = warmup.run(warmup_key, position, chains.n_warmup)
            kernel = algorithm(density, **found)

            def step(state: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
                state, info = kernel.step(key, state)
                n_gradients = jnp.asarray(info.num_integration_steps, jnp.int32)
                told = {"n_gradients": n_gradients, "diverging": info.is_divergent}
                return state, {**constrained(state.position)[0], **told}

            return jax.lax.scan(step, state, jax.random.split(sample_key, chains.n_samples))[1]

        def prepare(seed: int) -> dict[str, Any]:
            begin = {name: TRANSFORMS[supports.get(name, "real")][1](value) for name, value in starts.items()}
            given = jax.device_put((args, begin))
            return {"key": jax.random.key(seed), "args": given[0], "starts": given[1]}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], chains.n_chains)
            return jax.vmap(chain, in_axes=(0, 0, None))(keys, inputs["starts"], inputs["args"])

        return Program(prepare, run)


Transform = tuple[Callable[[jax.Array], tuple[jax.Array, jax.Array]], Callable[[jax.Array], jax.Array]]


def _positive(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.exp(z), jnp.sum(z)


def _unit(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.nn.sigmoid(z), jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z))


def _ordered(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.cumsum(jnp.concatenate([z[:1], jnp.exp(z[1:])])), jnp.sum(z[1:])


def _from_ordered(x: jax.Array) -> jax.Array:
    return jnp.concatenate([x[..., :1], jnp.log(jnp.diff(x, axis=-1))], axis=-1)


TRANSFORMS: dict[str, Transform] = {
    "real": (lambda z: (z, jnp.zeros(())), lambda x: x),
    "positive": (_positive, jnp.log),
    "unit": (_unit, jax.scipy.special.logit),
    "ordered": (_ordered, _from_ordered),
}
"""By support: from R^n to it, with the log determinant, and back. BlackJAX leaves them to its users."""
