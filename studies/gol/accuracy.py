"""Accuracy that a right sampler reaches on the wizards, as measured; the gate refuses what lies outside.

Each band is the mean of the seeds named, widened by six of their standard deviations and 0.002 (the sampler's
stationary behaviour is not known exactly). Made by `python -m studies.gol.accuracy`, which reads stored rows.
"""

from typing import Any

BANDS: dict[tuple[int, int], tuple[float, float]] = {}


def band(parameters: dict[str, Any]) -> tuple[float, float] | None:
    return None
