"""Made-up rows, claims and configurations, so that pages are tested without measuring."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipelines.output.claim_metrics import Measured
from pipelines.output.claims import CANNOT_TELL, NEEDS_CUDA, NOT_REPRODUCED, REPRODUCED, Claim, Judged
from studies.base import Row

NASTY = "<script>alert('x')</script> & \"quotes\" </script> 漢字 עברית \x1b[31m"


def a_row(number: int = 0, **changes: Any) -> Row:
    """A right, timed row; `changes` replace its fields."""
    generator = np.random.default_rng(number)
    seconds = 1e-3 * (1 + number % 7) * generator.lognormal(0, 0.02, 15)
    fields: dict[str, Any] = {
        "study": "toy",
        "task": f"task_{number % 3}",
        "framework": f"system_{number % 5}",
        "label": f"System {number % 5}",
        "color": "#0173B2",
        "parameters": {"n_particles": 10 ** (number % 4)},
        "seed": 1,
        "device": "cpu",
        "status": "ok",
        "median_s": float(np.median(seconds)),
        "interval_s": (float(seconds.min()), float(seconds.max())),
        "ratio": 1.0 + 0.01 * number,
        "ratio_interval": (0.9 + 0.01 * number, 1.1 + 0.01 * number),
        "samples_s": seconds,
        "n_processes": 5,
        "is_baseline": number % 5 == 0,
        "diagnostics": {"effective_sample_size": 100.0, "log_evidence": float("nan")},
        "record": {
            "key": f"{number:024x}",
            "phases": {"compile": 0.5, "first_call": 0.01},
            "memory": {"peak_host_bytes": 200 * 2**20},
            "timing": {"load_average": 0.5, "cores": 1},
            "provenance": {
                "cpu": "A processor",
                "host": "a-host",
                "usable_cores": 2,
                "memory_bytes": 2**34,
                "packages": {"jax": "0.10.2"},
                "commit": {"id": "0123456789abcdef", "dirty": False},
                "started": "2026-01-01T00:00:00+00:00",
                "size": "paper",
            },
        },
    }
    return Row(**{**fields, **changes})


def a_failure(number: int, status: str, reason: str) -> Row:
    """A row without a number."""
    nothing = {"median_s": None, "interval_s": None, "ratio": None, "ratio_interval": None, "samples_s": np.empty(0)}
    return a_row(number, status=status, reason=reason, diagnostics={}, record={}, **nothing)


def a_claim(name: str, verdict: str, measured: Measured | None, **changes: Any) -> Judged:
    """A judged claim."""
    fields: dict[str, Any] = {
        "name": name,
        "text": f"The claim {name} holds",
        "figure": "16(a)",
        "published": "1.004 times",
        "study": "toy",
        "task": "task_0",
        "rows": {},
        "metric": {"name": "ratio"},
        "accept": {"at_most": 1.05},
        "tolerance": "5%",
        "device": "any",
        "run": "paper-figures",
    }
    return Judged(Claim(**{**fields, **changes}), verdict, "accepted: at most 1.05", measured, ("cpu",), ("0" * 24,))


CLAIMS = [
    a_claim("one", REPRODUCED, Measured(1.0, 0.98, 1.02)),
    a_claim("two", NOT_REPRODUCED, Measured(1.2, 1.1, 1.3)),
    a_claim("three", CANNOT_TELL, Measured(1.05, 0.9, 1.2)),
    a_claim("four", NEEDS_CUDA, None),
]


def a_configuration(figs: Path, study: str = "toy") -> Any:
    """What the page needs of a configuration."""
    return SimpleNamespace(study=study, figs=figs, results=figs.parent / "results")
