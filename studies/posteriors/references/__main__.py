"""`python -m studies.posteriors.references [NAME...]`: make the references of `references/<posterior>.json` again.

Each is computed by a route of its own (quadrature, or importance sampling at the mode, both in NumPy), and accepted if
long float64 chains of NumPyro agree with it in every mean and standard deviation. Their record is stored with it.
"""

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from pipelines.plan.tree import Tree, load_framework, load_module
from studies.base import Problem
from studies.posteriors.gate import check_chains
from studies.posteriors.reference import FOLDER, Moments, Reference, data_digest
from studies.posteriors.references import densities, importance, quadrature, volatility
from studies.posteriors.references.densities import Density
from studies.posteriors.targets import TARGETS, starts

LENGTHS = {"n_chains": 4, "n_samples": 5_000, "n_warmup": 1_000, "n_leapfrog": 16, "target_acceptance": 0.8}
LONGER: dict[str, dict[str, Any]] = {
    "eight_schools_centred": {"n_samples": 20_000, "target_acceptance": 0.99},
    "stochastic_volatility": {"n_samples": 12_000},
}
"""What differs in chains of a posterior that is hard to explore."""

SEED = 20260101
Made = tuple[str, dict[str, dict[str, Any]], dict[str, float]]


def by_quadrature(over: str, moments: dict[str, dict[str, Any]]) -> Made:
    """What a function of `quadrature.py` found."""
    return f"quadrature over {over}", moments, {}


def by_importance(density: Density) -> Made:
    """Importance sampling of a density of `densities.py`."""
    found = importance.moments_by_importance(*density, 1_000_000, SEED)
    return "importance sampling from a Student distribution at the mode", *found


def lengths_of(posterior: str) -> dict[str, Any]:
    """The settings of the chains that a reference is compared with."""
    return LENGTHS | LONGER.get(posterior, {})


MAKERS: dict[str, Callable[[dict[str, np.ndarray]], Made]] = {
    "eight_schools_noncentred": lambda data: by_quadrature("log tau", quadrature.eight_schools(data, False)),
    "eight_schools_centred": lambda data: by_quadrature("log tau", quadrature.eight_schools(data, True)),
    "logistic": lambda data: by_importance(densities.logistic(data)),
    "poisson": lambda data: by_quadrature("mu, log sigma and z", quadrature.poisson(data)),
    "ordinal": lambda data: by_importance(densities.ordinal(data)),
    "mixture": lambda data: by_importance(densities.mixture(data)),
    "gaussian_process": lambda data: by_quadrature(
        "the logarithms of length scale, amplitude and noise", quadrature.gaussian_process(data)
    ),
    "stochastic_volatility": lambda data: by_quadrature(
        "the parameters, and sums over a lattice of log variances", volatility.stochastic_volatility(data)
    ),
}


def chains_of(framework_name: str, posterior: str) -> dict[str, np.ndarray]:
    """Long float64 chains of one system, by its own model."""
    tree, target, lengths = Tree(), TARGETS[posterior](), lengths_of(posterior)
    framework = load_framework(tree.root, framework_name)
    framework.start("cpu", "float64")
    path = tree.model_path("posteriors", tree.describe(framework_name))
    model = load_module(path, f"studies.posteriors.models.{framework_name}")
    begin = {f"start_{name}": values for name, values in starts(target, lengths["n_chains"], SEED).items()}
    data = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in (target.data | begin).items()}
    program = model.nuts(framework, data, {"posterior": posterior, **lengths})
    inputs = program.prepare(SEED)
    return framework.to_numpy(framework.build(program, inputs).run(inputs))


def agreement(posterior: str, reference: Reference, system: str) -> dict[str, Any]:
    """What the chains of a system say of a reference.

    Raises:
        SystemExit: they do not agree.
    """
    problem = Problem({}, {"reference": reference, "unknowns": TARGETS[posterior]().unknowns})
    found: dict[str, float] = {}
    reason = check_chains("nuts", problem, lengths_of(posterior), chains_of(system, posterior), found)
    if reason is not None:
        raise SystemExit(f"{posterior}: {system} does not agree with the reference: {reason}")
    kept = ("r_hat", "effective_sample_size", "divergences", "mean_in_standard_errors", "sd_in_standard_errors")
    lengths = lengths_of(posterior)
    draws = lengths["n_chains"] * lengths["n_samples"]
    return {"system": system, "n_draws": draws, **{name: round(float(found[name]), 5) for name in kept}}


def make(posterior: str) -> None:
    """Computes, compares and writes one reference."""
    route, moments, record = MAKERS[posterior](TARGETS[posterior]().data)
    exact = {name: Moments(**{f: np.asarray(v) for f, v in fields.items()}) for name, fields in moments.items()}
    against = agreement(posterior, Reference(route, exact, {}), "numpyro")
    versions = {name: version(name) for name in ("numpy", "scipy", "jax", "numpyro")}
    stored = {
        "posterior": posterior,
        "route": route,
        "data_digest": data_digest(TARGETS[posterior]()),
        "moments": {name: {f: rounded(v) for f, v in fields.items()} for name, fields in moments.items()},
        "acceptance": {**record, "against": against, "versions": {"python": platform.python_version(), **versions}},
    }
    (FOLDER / f"{posterior}.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(posterior, route, json.dumps(stored["acceptance"]))


def rounded(values: Any) -> Any:
    """Seven digits, as lists."""
    return np.vectorize(lambda x: float(f"{x:.7g}"))(np.asarray(values)).tolist()


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MAKERS:
        make(chosen)
