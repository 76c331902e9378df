"""Helpers for using GenJAX beside other libraries."""

from genjax.pjax.jax_internals import enable_tfp as enable_tfp
