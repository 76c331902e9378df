"""The two programs that every system has of every posterior; its model file says what the posterior is."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from frameworks.adaptive_base import AdaptiveChains

Models = Mapping[str, Callable[[dict[str, np.ndarray]], tuple[Any, ...]]]
"""By posterior: the function of its data that returns what the system's `nuts` takes in front of the starts."""


def nuts(framework: Any, models: Models, data: dict[str, np.ndarray], parameters: dict[str, Any]) -> Any:
    """Program of the No-U-Turn Sampler on one posterior."""
    return framework.nuts(*models[parameters["posterior"]](data), **settings(data, parameters))


def hmc(framework: Any, models: Models, data: dict[str, np.ndarray], parameters: dict[str, Any]) -> Any:
    """Program of Hamiltonian Monte Carlo that adapts, on one posterior."""
    described = models[parameters["posterior"]](data)
    return framework.adaptive_hmc(*described, n_leapfrog=parameters["n_leapfrog"], **settings(data, parameters))


def settings(data: dict[str, np.ndarray], parameters: dict[str, Any]) -> dict[str, Any]:
    """What both samplers have: `starts`, by name of the unknown, (n_chains, ...) each, and the settings of `chains`."""
    starts = {name.removeprefix("start_"): values for name, values in data.items() if name.startswith("start_")}
    counts = {name: parameters[name] for name in ("n_samples", "n_warmup", "n_chains")}
    return {"starts": starts, "chains": AdaptiveChains(**counts, target_acceptance=parameters["target_acceptance"])}
