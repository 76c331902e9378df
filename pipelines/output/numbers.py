r"""Numbers for a paper's text as LaTeX macros, each from the store: `\input{numbers.tex}`, then `\claimEvidence{}`."""

import re
from collections.abc import Mapping, Sequence

from pipelines.canonical import canonical
from pipelines.output.claims import Judged
from studies.base import Row

WORDS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
DIGITS = {str(digit): word for digit, word in enumerate(WORDS)}
HEAD = r"""% Written by `./run export` from stored measurements; do not edit. Each number is a macro, used as \name{}.
% Claims: value, Low and High of the 95% interval, Verdict. Rows: Milliseconds, Ratio, RatioLow, RatioHigh.
"""


def numbers(judged: Sequence[Judged], rows: Mapping[str, Sequence[Row]]) -> str:
    """The file: macros of every judged claim, then of every timed row.

    A row's macro is named by study, task, system and those parameters that vary in its task. LaTeX allows only letters
    in a name, so digits are spelled out.
    """
    lines = [HEAD]
    for one in judged:
        name = macro("claim", one.claim.name)
        lines.append(_define(f"{name}Verdict", one.verdict))
        if one.measured is not None:
            lines.append(_define(name, f"{one.measured.value:.4g}"))
            lines.append(_define(f"{name}Low", f"{one.measured.low:.4g}"))
            lines.append(_define(f"{name}High", f"{one.measured.high:.4g}"))
    for study in rows.values():
        for row in study:
            if row.median_s is None:
                continue
            siblings = [other for other in study if other.task == row.task]
            varying = [
                f"{name} {value}"
                for name, value in row.parameters.items()
                if len({canonical(other.parameters.get(name)) for other in siblings}) > 1
            ]
            seed = [f"seed {row.seed}"] if len({other.seed for other in siblings}) > 1 else []
            name = macro(
                row.study, row.task, row.framework, *varying, *seed, *([] if row.device == "cpu" else [row.device])
            )
            lines.append(_define(f"{name}Milliseconds", f"{1e3 * row.median_s:.4g}"))
            if row.ratio is not None and row.ratio_interval is not None and not row.is_baseline:
                lines.append(_define(f"{name}Ratio", f"{row.ratio:.3f}"))
                lines.append(_define(f"{name}RatioLow", f"{row.ratio_interval[0]:.3f}"))
                lines.append(_define(f"{name}RatioHigh", f"{row.ratio_interval[1]:.3f}"))
    return "\n".join(lines) + "\n"


def macro(*words: str) -> str:
    """The name of a macro from words: letters only, each word with a capital, digits spelled out."""
    parts = [part for word in words for part in re.findall(r"[A-Za-z]+|\d", str(word))]
    first, *rest = [DIGITS.get(part, part) for part in parts]
    return first[0].lower() + first[1:] + "".join(part[0].upper() + part[1:] for part in rest)


def _define(name: str, text: str) -> str:
    escaped = re.sub(r"([%&#_$])", r"\\\1", text)
    return rf"\newcommand{{\{name}}}{{{escaped}}}"
