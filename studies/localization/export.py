"""The study's data as CSV and JSON files, from stored rows alone.

Names and columns are those of the published artifact, with what it never wrote beside them: the errors of every run,
and the exact filter. Times are of whole runs in seconds.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy import special

from studies.base import Problem, Row, Rows
from studies.localization import scores
from studies.localization.density import POSE
from studies.localization.gate import SCORED_RUNS
from studies.localization.problem import n_particles_of


def files(rows: Rows, problem: Callable[[dict[str, Any]], Problem]) -> dict[str, str]:
    """The text of every file by its relative path.

    Args:
        rows: all rows of the study on one device; those that are not ok are left out.
        problem: `problem(row.parameters)` gives the row's problem.
    """
    compared = [row for row in rows.where(task="comparison") if row.status == "ok"]
    judged = [row for row in rows if row.task in ("accuracy", "control") and row.status == "ok"]
    found: dict[str, str] = {}
    if compared:
        found |= _comparison(compared, problem(compared[0].parameters))
    if judged:
        found["accuracy.csv"] = _accuracy(judged, problem)
    exact = next((row for row in judged if row.task == "accuracy" and len(row.arrays["mean"]) >= SCORED_RUNS), None)
    if exact is not None:
        found["exact_filter.csv"] = _exact_filter(problem(exact.parameters))
    return found


def _comparison(compared: list[Row], problem: Problem) -> dict[str, str]:
    poses, observations = problem.truth["poses"], problem.data["observations"]
    found = {
        "experiment_metadata.json": json.dumps(_metadata(compared), indent=1) + "\n",
        "ground_truth_poses.csv": _csv(["timestep", "x", "y", "theta"], ([t, *pose] for t, pose in enumerate(poses))),
        "ground_truth_observations.csv": _csv(
            ["timestep", *(f"ray_{k}" for k in range(observations.shape[1]))],
            ([t, *ranges] for t, ranges in enumerate(observations)),
        ),
        "benchmark_summary.csv": _csv(
            ["method", "mean_time_sec", "std_time_sec", "n_particles", "n_timesteps"],
            (
                [row.parameters["method"], row.samples_s.mean(), row.samples_s.std(ddof=1),
                 n_particles_of(row.parameters), len(poses)]
                for row in compared if len(row.samples_s) > 1
            ),
        ),
    }  # fmt: skip
    for row in compared:
        found |= {f"{row.parameters['method']}/{name}": text for name, text in _of_method(row).items()}
    return found


def _metadata(compared: list[Row]) -> dict[str, Any]:
    where = compared[0].record.get("provenance", {})
    return {
        "parameters": compared[0].parameters,
        "device": compared[0].device,
        "commit": where.get("commit"),
        "methods": {
            row.parameters["method"]: {"n_particles": n_particles_of(row.parameters), "seed": row.seed,
                                       "key": row.record.get("key")}
            for row in compared
        },
    }  # fmt: skip


def _of_method(row: Row) -> dict[str, str]:
    arrays = row.arrays
    weights = special.softmax(arrays["log_weights"].astype(np.float64), axis=1)
    n_particles = weights.shape[1]
    found = {
        "timing.csv": _csv(["round", "time_sec"], enumerate(row.samples_s)),
        "diagnostic_weights.csv": _csv(
            ["timestep", *(f"particle_{i}" for i in range(n_particles))],
            ([t, *log_weights] for t, log_weights in enumerate(arrays["diagnostic_weights"])),
        ),
    }
    for t in range(len(weights)):
        columns = zip(range(n_particles), *(arrays[name][t] for name in POSE), weights[t], strict=True)
        found[f"particles/timestep_{t:03d}.csv"] = _csv(["particle_id", "x", "y", "theta", "weight"], columns)
    return found


def _accuracy(rows: list[Row], problem: Callable[[dict[str, Any]], Problem]) -> str:
    lines: list[Sequence[str | float]] = []
    for row in rows:
        poses, arrays = problem(row.parameters).truth["poses"], row.arrays
        position, heading = (of(arrays["mean"], poses) for of in (scores.position_rmse, scores.heading_rmse))
        percent = 100 * arrays["effective_sample_size"].mean(axis=1) / n_particles_of(row.parameters)
        named = [row.parameters["data_set"], row.parameters["method"], n_particles_of(row.parameters)]
        evidence = arrays["log_marginal"][:, -1]
        for run in range(len(position)):
            is_lost = int(position[run] > scores.LOST)
            lines.append([*named, run, position[run], heading[run], is_lost, percent[run], evidence[run]])
    header = ["data_set", "method", "n_particles", "run", "position_rmse_m", "heading_rmse_rad", "lost",
              "mean_ess_percent", "log_marginal"]  # fmt: skip
    return _csv(header, lines)


def _exact_filter(problem: Problem) -> str:
    exact = problem.truth["reference"]()
    header = [
        "timestep",
        *(f"mean_{name}" for name in POSE),
        *(f"sd_{name}" for name in POSE),
        "log_marginal",
        "n_cells",
    ]
    columns = zip(exact.mean, exact.sd, exact.log_marginal, exact.n_cells, strict=True)
    return _csv(header, ([t, *mean, *sd, log, n] for t, (mean, sd, log, n) in enumerate(columns)))


def _csv(header: list[str], lines: Iterable[Sequence[str | float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([value.item() if isinstance(value, np.generic) else value for value in line] for line in lines)
    return text.getvalue()
