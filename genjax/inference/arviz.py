"""Results as ArviZ objects, for those who have ArviZ."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import numpy as np

from genjax.core import Trace, get_choices
from genjax.core.choices import choice_path
from genjax.core.observed import observed_paths
from genjax.inference.chain import MCMCResult
from genjax.inference.predictive import log_likelihood
from genjax.signatures import Choices


def to_arviz(result: MCMCResult, *, predictions: Choices | None = None, with_log_likelihood: bool = True) -> Any:
    """An `arviz.InferenceData` (ArviZ before 1.0) or `xarray.DataTree` (from 1.0) of a chain's result.

    Groups: `posterior`, what was inferred; `sample_stats`, with ArviZ's names (`acceptance_rate`, `diverging`,
    `energy`, `tree_depth`, `n_steps`, `lp`); `observed_data` and `log_likelihood`, if traces were collected and data
    were marked as observed; `posterior_predictive`, if given.

    Args:
        result: an `MCMCResult`.
        predictions: what `predictive` returned for its traces.
        with_log_likelihood: whether to compute the likelihood of each observation.

    Raises:
        ModuleNotFoundError: ArviZ is not installed.
    """
    try:
        arviz = importlib.import_module("arviz")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_arviz() needs ArviZ, which is not installed: `pip install arviz`. `result.to_dict()` and "
            "`summary(result)` work without it."
        ) from error
    groups = groups_of(result, predictions, with_log_likelihood)
    if int(arviz.__version__.split(".")[0]) >= 1:
        return arviz.from_dict(groups)
    return arviz.from_dict(**groups)


def groups_of(
    result: MCMCResult, predictions: Choices | None = None, with_log_likelihood: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """The groups of `to_arviz` as plain arrays (chains, draws, ...)."""
    groups = {name: dict(group) for name, group in result.to_dict().items()}
    single = result.n_chains.value == 1
    arranged = lambda values: np.asarray(values)[None] if single else np.asarray(values)
    if result.info is not None:
        info = result.info
        named = {"acceptance_rate": info.acceptance, "diverging": info.is_divergent, "energy": info.energy}
        named |= {"tree_depth": info.tree_depth, "n_steps": info.n_gradients}
        groups["sample_stats"] |= {name: arranged(values) for name, values in named.items()}
    if isinstance(result.traces, Trace):
        observed = {"/".join(path) for path in observed_paths(result.traces)}
        is_data = lambda name: any(name == path or name.startswith(path + "/") for path in observed)
        data = {name: values[0, 0] for name, values in groups["posterior"].items() if is_data(name)}
        groups["posterior"] = {name: v for name, v in groups["posterior"].items() if name not in data}
        if data:
            groups["observed_data"] = data
            if with_log_likelihood:
                found = log_likelihood(result.traces.get_gen_fn(), result.traces)
                groups["log_likelihood"] = {name: arranged(values) for name, values in found.items()}
    if predictions is not None:
        pairs = jax.tree_util.tree_leaves_with_path(get_choices(predictions))
        named = {choice_path(path): arranged(values) for path, values in pairs}
        groups["posterior_predictive"] = {name: v for name, v in named.items() if name not in groups["posterior"]}
    return {name: {label: np.asarray(v) for label, v in group.items()} for name, group in groups.items()}
