"""Hand-coded JAX on GenJAX's own samplers: what is left between it and GenJAX is the cost of the language.

GenJAX draws with samplers of its own, which are faster on a CPU than those of `jax.random`. That is a gain, and no part
of what a language costs; so overhead is judged against this contestant, which writes GenJAX's program out by hand with
the same draws from the same keys. No other system gets this gift: NumPyro and TFP come with samplers of their own, and
are measured with them.
"""

import jax

from frameworks.handcoded_jax import HandcodedJax
from genjax.distributions import noise


class HandcodedSameDraws(HandcodedJax):
    """The inference of `HandcodedJax`; the models draw with `genjax.distributions`."""

    name = "handcoded_same_draws"
    label = "Handcoded JAX, same draws"
    color = "#F0E68C"
    sources = ("genjax/distributions/*.py",)

    def noise_of_chains(
        self, key: jax.Array, start: dict[str, jax.Array], shape: tuple[int, int]
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The noise of GenJAX's chain of one kernel: drawn for all steps in one block, under the block's keys.

        Raises:
            ValueError: several chains or several arrays, whose draws GenJAX divides in other ways.
        """
        if shape[1] != 1 or len(start) != 1:
            raise ValueError(
                f"{self.name} got {shape[1]} chains of {len(start)} arrays. It has GenJAX's draws for one chain of one "
                "array only."
            )
        ((name, value),) = start.items()
        rest, momentum_key = jax.random.split(jax.random.fold_in(jax.random.split(key)[1], 0))
        momenta = noise.normal(momentum_key, (*shape, *value.shape), value.dtype)
        return {name: momenta}, noise.uniform(jax.random.split(rest)[1], shape, value.dtype)
