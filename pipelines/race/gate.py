"""The gate: a study's own check of a cell's outputs, in float64 NumPy, in the parent process.

Nothing is timed, cached or drawn as a number unless its outputs passed.
"""

import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from pipelines.plan.cells import Cell
from pipelines.plan.tree import FrameworkDescription
from studies.base import Problem, Verdict


@dataclass(frozen=True)
class Judgement:
    """What became of a cell at the gate: status "ok", "invalid" (wrong answer) or "failed" (the check itself broke)."""

    status: str
    reason: str | None = None
    diagnostics: dict[str, float] = field(default_factory=dict)
    traceback: str | None = None


def judge(
    study: ModuleType,
    task: str,
    problem: Problem,
    parameters: Mapping[str, Any],
    outputs: Mapping[str, np.ndarray],
    demanded: Collection[str] = (),
) -> Judgement:
    """Runs the study's `check(task, problem, parameters, outputs)`.

    Args:
        study: the study's `problem.py`.
        task: the task that made the outputs.
        problem: what `make_problem(parameters)` gave.
        parameters: the cell's parameters.
        outputs: arrays as the worker returned them; float arrays reach the check as float64.
        demanded: names that must be among them; see `demanded`.
    """
    missing = [name for name in demanded if name not in outputs]
    if missing:
        return Judgement(
            "invalid",
            f"the outputs lack {' and '.join(missing)}, by which the gate of {task} judges each step. A system that "
            "cannot report it says why in `not_reported` of its framework file.",
        )
    exact = {name: _float64(array) for name, array in outputs.items()}
    try:
        # A check computes with whatever a broken framework returned; its verdict counts, not NumPy's warnings.
        with np.errstate(all="ignore"):
            reason, diagnostics = _verdict(study.check(task, problem, dict(parameters), exact))
        diagnostics = {str(name): float(value) for name, value in diagnostics.items()}
    except Exception as error:  # noqa: BLE001 the study's check is foreign code: its failure becomes the cell's row
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        text = f"the check of {task} raised {type(error).__name__}: {first}"
        return Judgement("failed", text, {}, traceback.format_exc())
    return Judgement("ok" if reason is None else "invalid", reason, diagnostics)


def demanded(cell: Cell, description: FrameworkDescription) -> list[str]:
    """What the gate of a cell needs beside the answer: its task's `reports`, less what the framework cannot tell."""
    excused = dict(description.not_reported)
    return [name for name in cell.reports if name not in excused]


def _verdict(given: Any) -> Verdict:
    """The study's verdict; a bool, say, would be taken for a reason."""
    if isinstance(given, Verdict) and isinstance(given.reason, str | None):
        return given
    raise TypeError(f"it returned {type(given).__name__}, not Verdict(reason, diagnostics); see studies/base.py")


def wrong_precision(outputs: Mapping[str, np.ndarray], dtype: str) -> str | None:
    """Why outputs are not of the precision that was asked for; a system that computes in another one must say so."""
    other = [f"{n} is {a.dtype}" for n, a in outputs.items() if a.dtype.kind == "f" and a.dtype != np.dtype(dtype)]
    return f"outputs are not {dtype}: {', '.join(other)}" if other else None


def _float64(array: np.ndarray) -> np.ndarray:
    # np.float16, float32 and the extension types of JAX (bfloat16) all widen without loss.
    is_float = np.issubdtype(array.dtype, np.floating) or array.dtype.kind == "V"
    return array.astype(np.float64) if is_float else array
