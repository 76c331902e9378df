"""Helpers for using GenJAX beside other libraries."""

from genjax.pjax.compat import enable_tfp as enable_tfp
