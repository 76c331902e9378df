"""Helpers for using GenJAX beside other libraries."""

from __future__ import annotations


def enable_tfp() -> None:
    """Let the released TensorFlow Probability 0.25 import on JAX 0.7 and later; do nothing where it is not needed.

    That release reads a table that JAX moved. Call this before importing TFP; `tfp_distribution` calls it for you.
    Nightly builds of TFP do not need it.
    """
    import warnings

    import jax
    import jax.interpreters.xla as xla

    if not hasattr(xla, "pytype_aval_mappings"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the table's new home is deprecated as well
            xla.pytype_aval_mappings = jax.core.pytype_aval_mappings  # type: ignore[attr-defined]
