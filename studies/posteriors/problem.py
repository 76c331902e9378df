"""Posteriors as they occur in practice, for samplers that adapt: data, references, and the gate."""

from typing import Any

import numpy as np

from studies.base import Problem, Verdict
from studies.posteriors.gate import check_chains
from studies.posteriors.reference import load_reference
from studies.posteriors.targets import TARGETS, starts

START_SEED = 7
COUNTS = ("n_chains", "n_samples", "n_warmup", "n_leapfrog")


def make_problem(parameters: dict[str, Any]) -> Problem:
    """The data of one posterior, the starts of its chains, and its moments.

    Args:
        parameters: `posterior`, one of `TARGETS`; `n_chains`, `n_samples`, `n_warmup`; `target_acceptance`, at which
            every system's warm-up aims; `n_leapfrog`, of HMC.

    Returns:
        Problem: the target's arrays, and `start_NAME` (n_chains, ...) float32 of every unknown. `truth["reference"]`,
        a `Reference`.

    Raises:
        ValueError: a parameter is out of its range.
    """
    name = parameters["posterior"]
    if name not in TARGETS:
        raise ValueError(f"posteriors got posterior={name!r}. Allowed: {', '.join(TARGETS)}.")
    for count in COUNTS:
        value = parameters[count]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"posteriors got {count}={value!r}. It must be a whole number above zero.")
    aim = parameters["target_acceptance"]
    if isinstance(aim, bool) or not isinstance(aim, (int, float)) or not 0 < aim < 1:
        raise ValueError(f"posteriors got target_acceptance={aim!r}. It must be a number between 0 and 1.")
    target = TARGETS[name]()
    begin = starts(target, parameters["n_chains"], START_SEED)
    data = {**target.data, **{f"start_{unknown}": values for unknown, values in begin.items()}}
    return Problem(data, {"reference": load_reference(name), "unknowns": target.unknowns})


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """The gate of every task; see `gate.py`."""
    diagnostics: dict[str, float] = {}
    return Verdict(check_chains(task, problem, parameters, outputs, diagnostics), diagnostics)
