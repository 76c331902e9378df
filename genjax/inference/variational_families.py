"""Variational families: normals over a vector, with pathwise or score-function gradients."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from genjax.adev.estimators import (
    multivariate_normal_diag_reparam,
    multivariate_normal_reinforce,
    multivariate_normal_reparam,
)
from genjax.core.fn import Fn, gen
from genjax.signatures import Constraints, PyTree


@functools.lru_cache(maxsize=64)
def mean_field_normal_family(n_dims: int, gradient_estimator: str = "reparam") -> Fn[Any]:
    """Independent normals.

    Args:
        n_dims: n, the length of the vector.
        gradient_estimator: "reparam" or "reinforce".

    Returns:
        A generative function `family(constraint, params)` with params (2n,): n means, then n log standard deviations.
        It has one choice `"x"`, (n,) ~ N(means, diag(exp(2 log_stds))), and returns it.

    Raises:
        ValueError: another gradient estimator.
    """
    _check_estimator(gradient_estimator)

    @gen
    def mean_field_normal(constraint: Constraints, params: PyTree) -> Any:
        means, stds = params[:n_dims], jnp.exp(params[n_dims:])
        if gradient_estimator == "reparam":
            return multivariate_normal_diag_reparam(means, stds) @ "x"
        return multivariate_normal_reinforce(means, jnp.diag(jnp.square(stds))) @ "x"

    return mean_field_normal


@functools.lru_cache(maxsize=64)
def full_covariance_normal_family(n_dims: int, gradient_estimator: str = "reparam") -> Fn[Any]:
    """A normal with any covariance.

    Args:
        n_dims: n, the length of the vector.
        gradient_estimator: "reparam" or "reinforce".

    Returns:
        A generative function `family(constraint, params)` with params `{"mean": (n,), "chol_cov": (n, n)}`; what is
        above the diagonal of chol_cov = L is ignored. It has one choice `"x"`, (n,) ~ N(mean, L L^T), and returns it.

    Raises:
        ValueError: another gradient estimator.
    """
    _check_estimator(gradient_estimator)
    normal = multivariate_normal_reparam if gradient_estimator == "reparam" else multivariate_normal_reinforce

    @gen
    def full_covariance_normal(constraint: Constraints, params: PyTree) -> Any:
        factor = jnp.tril(params["chol_cov"])
        covariance = jnp.matmul(factor, factor.T, precision=jax.lax.Precision.HIGHEST)
        return normal(params["mean"].reshape(n_dims), covariance) @ "x"

    return full_covariance_normal


def _check_estimator(name: str) -> None:
    if name not in ("reparam", "reinforce"):
        raise ValueError(f"Unknown gradient estimator {name!r}. Choose 'reparam' or 'reinforce'.")
