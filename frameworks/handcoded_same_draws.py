"""Hand-coded JAX on GenJAX's own samplers: what is left between it and GenJAX is the cost of the language.

GenJAX draws with samplers of its own, which are faster on a CPU than those of `jax.random`. That is a gain, and no part
of what a language costs; so overhead is judged against this contestant, which writes GenJAX's program out by hand with
the same draws from the same keys. No other system gets this gift: NumPyro and TFP come with samplers of their own, and
are measured with them.
"""

from frameworks.handcoded_jax import HandcodedJax


class HandcodedSameDraws(HandcodedJax):
    """The inference of `HandcodedJax`; the models draw with `genjax.distributions`."""

    name = "handcoded_same_draws"
    label = "Handcoded JAX, same draws"
    color = "#F0E68C"
    sources = ("genjax/distributions/*.py",)
