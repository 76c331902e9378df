"""Inverting the Game of Life: the targets and their parameters; `gate.py` judges the answers."""

from pathlib import Path
from typing import Any

import numpy as np

from studies.base import Problem
from studies.gol import pictures, posterior, rule
from studies.gol.gate import check as check

SMALLEST_BOARD = 3


def make_problem(parameters: dict[str, Any]) -> Problem:
    """The observed board, the board from which timed sweeps begin, and the sweeps whose boards are kept.

    Args:
        parameters: `target` ("wizards", a pattern of `rule.PATTERNS`, "known_predecessor", or a path to a picture),
            `height`, `width`, `target_seed`, `softness`, `softness_prior` (None or two numbers), `n_sweeps`,
            `n_frames`, `n_chains`. A `width` of None is that of a square.

    Raises:
        ValueError: A parameter is out of range, or the target cannot be made.
    """
    height = _whole_number(parameters, "height", SMALLEST_BOARD)
    width = height if parameters["width"] is None else _whole_number(parameters, "width", SMALLEST_BOARD)
    n_sweeps, n_frames = _whole_number(parameters, "n_sweeps", 1), _whole_number(parameters, "n_frames", 1)
    _whole_number(parameters, "n_chains", 1)
    softness = _softness(parameters["softness"])
    _softness_prior(parameters["softness_prior"])
    random = np.random.default_rng(_whole_number(parameters, "target_seed", 0))
    target, predecessor = make_target(parameters["target"], height, width, softness, random)
    frame_sweeps = kept_sweeps(n_sweeps, n_frames)
    slots = np.full(n_sweeps + 1, len(frame_sweeps), np.int32)
    slots[frame_sweeps] = np.arange(len(frame_sweeps), dtype=np.int32)
    truth: dict[str, Any] = {"frame_sweeps": frame_sweeps}
    if predecessor is not None:
        truth["predecessor"] = predecessor
        truth["predecessor_errors"] = posterior.n_errors(predecessor, target)
    data = {
        "target": target,
        "initial": random.random((height, width)) < 0.5,
        "frame_sweeps": frame_sweeps,
        "frame_slots": slots,
    }
    return Problem(data, truth)


def kept_sweeps(n_sweeps: int, n_frames: int) -> np.ndarray:
    """The sweeps whose boards are kept: 0, every third of the way, and about `n_frames` that lie ever wider apart."""
    thirds = np.linspace(0, n_sweeps, 4)
    # The first sweeps change most.
    widening = np.geomspace(1, n_sweeps + 1, n_frames) - 1 if n_frames > 1 else np.empty(0)
    return np.unique(np.round(np.concatenate([thirds, widening])).astype(np.int32))


def make_target(
    name: str, height: int, width: int, softness: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """The observed board, and its predecessor where that is known; (height, width) bool each.

    "known_predecessor" is drawn from the model itself, so that the predecessor is an exact draw from the posterior.
    """
    if name == "wizards":
        return pictures.wizards(height, width), None
    if name in rule.PATTERNS:
        predecessor = rule.pattern(name, height, width)
        return rule.next_board(predecessor), predecessor
    if name == "known_predecessor":
        predecessor = random.random((height, width)) < 0.5
        return rule.next_board(predecessor) ^ (random.random((height, width)) < softness), predecessor
    if Path(str(name)).suffix:
        return pictures.from_file(str(name), height, width), None
    known = ", ".join(["wizards", *rule.PATTERNS, "known_predecessor"])
    raise ValueError(f"gol got target={name!r}. Allowed: {known}, or a path to a picture, as in target=picture.png.")


def _whole_number(parameters: dict[str, Any], name: str, smallest: int) -> int:
    value = parameters[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"gol got {name}={value!r}. It must be a whole number of at least {smallest}.")
    return value


def _softness(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ValueError(
            f"gol got softness={value!r}. It must lie strictly between 0 and 1: at 0 and 1 most boards have "
            "probability zero, and a sampler that changes one cell at a time cannot move between the others. 0.5 is "
            "allowed, and makes the target say nothing about the board."
        )
    return float(value)


def _softness_prior(value: Any) -> None:
    if value is not None and (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(isinstance(number, int | float) and number > 0 for number in value)
    ):
        raise ValueError(f"gol got softness_prior={value!r}. It must be null or the two positive numbers of a Beta.")
