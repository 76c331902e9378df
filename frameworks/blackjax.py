"""BlackJAX: sampling algorithms on log densities written in JAX."""

from collections.abc import Callable, Sequence
from typing import Any

import blackjax
import jax
import jax.numpy as jnp

from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class BlackJax(JaxFramework):
    """Generic inference on a log density."""

    name = "blackjax"
    label = "BlackJAX"
    color = "#8C564B"
    distributions = (*JaxFramework.distributions, "blackjax")

    def nuts(
        self, log_density: Callable[..., jax.Array], args: tuple[Any, ...], positive: Sequence[str],
        starts: dict[str, Any], *, n_samples: int, n_warmup: int, n_chains: int,
    ) -> Program:  # fmt: skip
        """`blackjax.nuts` after `blackjax.window_adaptation`, each chain by itself, under `vmap`.

        Args:
            log_density: `(unknowns, *args) -> ()`, up to a constant.
            args: arrays that it depends on.
            positive: the unknowns that are positive: they move as logarithms, with the log determinant added.
            starts: where chains begin, (n_chains, ...) each.
            n_samples: states kept of each chain, after `n_warmup` in which step size and mass matrix adapt.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the unknowns, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        counts = {"n_samples": n_samples, "n_warmup": n_warmup, "n_chains": n_chains}
        told = lambda info: info.num_integration_steps
        return self._adaptive(blackjax.nuts, {}, told, log_density, args, positive, starts, **counts)

    def adaptive_hmc(
        self, log_density: Callable[..., jax.Array], args: tuple[Any, ...], positive: Sequence[str],
        starts: dict[str, Any], *, n_leapfrog: int, n_samples: int, n_warmup: int, n_chains: int,
    ) -> Program:  # fmt: skip
        """`blackjax.hmc` with `n_leapfrog` steps, adapted likewise; see `nuts`."""
        counts = {"n_samples": n_samples, "n_warmup": n_warmup, "n_chains": n_chains}
        options, told = {"num_integration_steps": n_leapfrog}, lambda info: info.num_integration_steps
        return self._adaptive(blackjax.hmc, options, told, log_density, args, positive, starts, **counts)

    def _adaptive(
        self, algorithm: Any, options: dict[str, Any], told: Callable[[Any], Any],
        log_density: Callable[..., jax.Array], args: tuple[Any, ...], positive: Sequence[str], starts: dict[str, Any],
        *, n_samples: int, n_warmup: int, n_chains: int,
    ) -> Program:  # fmt: skip
        def constrained(position: dict[str, jax.Array]) -> dict[str, jax.Array]:
            return {name: jnp.exp(value) if name in positive else value for name, value in position.items()}

        def chain(key: jax.Array, position: dict[str, jax.Array], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            def density(position: dict[str, jax.Array]) -> jax.Array:
                return log_density(constrained(position), *args) + sum(jnp.sum(position[name]) for name in positive)

            warmup_key, sample_key = jax.random.split(key)
            keep_none = blackjax.adaptation.base.get_filter_adapt_info_fn()
            warmup = blackjax.window_adaptation(algorithm, density, adaptation_info_fn=keep_none, **options)
            (state, found), _ = warmup.run(warmup_key, position, n_warmup)
            kernel = algorithm(density, **found)

            def step(state: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
                state, info = kernel.step(key, state)
                facts = {"n_gradients": jnp.asarray(told(info), jnp.int32), "diverging": info.is_divergent}
                return state, {**constrained(state.position), **facts}

            return jax.lax.scan(step, state, jax.random.split(sample_key, n_samples))[1]

        def prepare(seed: int) -> dict[str, Any]:
            begin = {name: jnp.log(value) if name in positive else value for name, value in starts.items()}
            given = jax.device_put((args, begin))
            return {"key": jax.random.key(seed), "args": given[0], "starts": given[1]}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], n_chains)
            return jax.vmap(chain, in_axes=(0, 0, None))(keys, inputs["starts"], inputs["args"])

        return Program(prepare, run)
