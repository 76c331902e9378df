"""A table of posterior means, quantiles and diagnostics, one row per number."""

from __future__ import annotations

import dataclasses

import numpy as np

from genjax.inference.chain import MCMCResult
from genjax.inference.diagnostics import diagnose

_COLUMNS = ("mean", "sd", "5%", "median", "95%", "ess_bulk", "ess_tail", "r_hat")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `summary` returns; `str` is the table.

    Attributes:
        rows: by name, such as `theta[2]`: the numbers by column.
        notes: sentences on divergences and acceptance.
    """

    rows: dict[str, dict[str, float]]
    notes: list[str]

    def __getitem__(self, name: str) -> dict[str, float]:
        return self.rows[name]

    def __str__(self) -> str:
        width = max([len(name) for name in self.rows] + [1])
        lines = [" " * width + "".join(f"{column:>10}" for column in _COLUMNS)]
        for name, row in self.rows.items():
            cells = (f"{row[c]:>10.0f}" if c.startswith("ess") else f"{row[c]:>10.3f}" for c in _COLUMNS)
            lines.append(f"{name:<{width}}" + "".join(cells))
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


def summary(result: MCMCResult, *, include_constants: bool = False) -> Summary:
    """Means, standard deviations, quantiles, effective sample sizes and R-hat of a chain's choices.

    Args:
        result: an `MCMCResult`.
        include_constants: also choices that never moved, such as data.

    Returns:
        A `Summary`: `print(summary(result))` shows a table, `summary(result)["mu"]["mean"]` is a number. R-hat is NaN
        for a single chain.

    Raises:
        ValueError: a chain of no draws.
    """
    if not result.n_steps.value:
        raise ValueError(
            "summary got a chain of no draws: all of its steps were left out, or there were none. Run it for more "
            "steps than `burn_in`."
        )
    rows: dict[str, dict[str, float]] = {}
    posterior = result.to_dict()["posterior"]
    rhat, ess_bulk, ess_tail = diagnose(posterior, [])
    for name, values in posterior.items():
        draws = np.asarray(values, np.float64).reshape(*values.shape[:2], -1)
        for i, index in enumerate(np.ndindex(values.shape[2:])):
            own = draws[:, :, i]
            if own.size == 0 or (not include_constants and np.all(own == own[0, 0])):
                continue
            label = name + (f"[{', '.join(map(str, index))}]" if index else "")
            low, median, high = np.quantile(own, [0.05, 0.5, 0.95])
            diagnosed = (float(np.asarray(part[name]).reshape(-1)[i]) for part in (ess_bulk, ess_tail, rhat))
            numbers = (own.mean(), own.std(ddof=1) if own.size > 1 else np.nan, low, median, high, *diagnosed)
            rows[label] = dict(zip(_COLUMNS, map(float, numbers), strict=True))
    notes = [f"{result.n_chains.value} chains of {result.n_steps.value} draws"]
    if result.info is not None:
        notes.append(f"{int(np.sum(result.info.is_divergent))} divergences")
        notes.append(f"mean acceptance probability {float(np.mean(result.info.acceptance)):.2f}")
    return Summary(rows, [", ".join(notes) + "."])
