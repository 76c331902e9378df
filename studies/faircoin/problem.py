"""The fair-coin problem: data, exact posterior, and the gate that proves an importance sampler's answer right.

Model: f ~ Beta(alpha, beta); y_i | f ~ Bernoulli(f), i = 1..n. It is conjugate, so everything that an importance
sampler estimates is known in closed form, and so is the standard error that it should have.

Source: "Probabilistic Programming with Vectorized Programmable Inference" (POPL 2026), Figure 16(a). The text of the
paper states Beta(1, 1); its code and its figure use Beta(10, 10), which is the default here.
"""

from functools import cache
from typing import Any

import numpy as np
from scipy import special, stats

from studies.base import Problem, Verdict
from studies.standard_normals import check_standard_normals

WEIGHT_TOLERANCE = 1e-4
"""Largest relative error of a log weight. A float32 sum of 50 terms is right to about 5e-6."""

STANDARD_ERRORS = 5.0
"""Width of every statistical check. False-alarm rate of one check: 6e-7 in the normal limit; in simulations of right
answers (80/20 data, n = 50) 7e-5 at 100 particles (200,000 runs), 2e-5 at 200, and none in 50,000 runs from 1,000."""

TASKS = ("importance_sampling", "importance_sampling_all_cores")
"""One program, on one core and on all."""

DATA_SETS = ("eighty_twenty", "all_heads")


def make_problem(parameters: dict[str, Any]) -> Problem:
    """Make the observations and the exact answers.

    Args:
        parameters: `n_observations` (int >= 1), `prior_alpha` and `prior_beta` (float > 0), `data_set`:
            `"eighty_twenty"` (floor(0.8 n) heads first, then tails) or `"all_heads"` (the artifact's timing data).

    Returns:
        Problem: `data["observations"]` (n_observations,) float32 of 0 and 1; `truth` holds the parameters of prior and
        posterior, `posterior_mean`, `posterior_sd`,
        `log_marginal` = log B(alpha + h, beta + n - h) - log B(alpha, beta) of the sequence with h heads, and
        `relative_variance` = E[w^2] / E[w]^2 - 1 of the weights under the prior, so that about
        n_particles / (1 + relative_variance) particles are effective.

    Raises:
        ValueError: A count is below 1, a prior parameter is not positive, or the data set is unknown.
    """
    n_observations, alpha, beta = (
        _positive(parameters, name) for name in ("n_observations", "prior_alpha", "prior_beta")
    )
    if not isinstance(n_observations, int):
        raise ValueError(f"faircoin got n_observations={n_observations!r}. It must be a whole number.")
    observations = _observations(parameters["data_set"], n_observations)
    heads = float(observations.sum())
    tails = n_observations - heads
    posterior = stats.beta(alpha + heads, beta + tails)
    log_marginal = special.betaln(alpha + heads, beta + tails) - special.betaln(alpha, beta)
    log_second_moment = special.betaln(alpha + 2 * heads, beta + 2 * tails) - special.betaln(alpha, beta)
    return Problem(
        data={"observations": observations},
        truth={
            "prior_alpha": float(alpha),
            "prior_beta": float(beta),
            "posterior_alpha": alpha + heads,
            "posterior_beta": beta + tails,
            "posterior_mean": float(posterior.mean()),
            "posterior_sd": float(posterior.std()),
            "log_marginal": float(log_marginal),
            "relative_variance": float(np.expm1(log_second_moment - 2 * log_marginal)),
        },
    )


def posterior_estimates(samples: np.ndarray, log_weights: np.ndarray) -> tuple[float, float, float, float]:
    """(mean, sd, log marginal, effective sample size) of an importance sample whose proposal is the prior, in float64.

    Args:
        samples: (n_particles,) draws of f from the prior.
        log_weights: (n_particles,) log likelihoods.

    Returns:
        mean = sum W_i f_i and sd = sqrt(sum W_i (f_i - mean)^2) with W = w / sum w; log marginal = log((1/N) sum w_i);
        effective sample size = 1 / sum W_i^2.
    """
    samples, log_weights = np.asarray(samples, np.float64), np.asarray(log_weights, np.float64)
    log_total = special.logsumexp(log_weights)
    weights = np.exp(log_weights - log_total)
    mean = float(weights @ samples)
    sd = float(np.sqrt(weights @ (samples - mean) ** 2))
    return mean, sd, float(log_total - np.log(len(log_weights))), float(1.0 / (weights @ weights))


def posterior_standard_errors(truth: dict[str, Any], n_particles: int) -> tuple[float, float]:
    """Exact asymptotic standard errors of the self-normalised posterior mean and sd with n_particles prior draws.

    Delta method. With expectations under the prior, posterior mean mu and variance v, and w/Z = posterior over prior
    density: N se(mean)^2 = E[(w/Z)^2 (f - mu)^2], N se(v)^2 = E[(w/Z)^2 ((f - mu)^2 - v)^2], se(sd) = se(v) / (2 sd).
    """
    mean, sd, posterior_alpha, posterior_beta = (
        truth[name] for name in ("posterior_mean", "posterior_sd", "posterior_alpha", "posterior_beta")
    )
    nodes, quadrature_weights = _quadrature()
    # Both integrands vanish within a dozen posterior standard deviations of the mean.
    low, high = max(0.0, mean - 12 * sd), min(1.0, mean + 12 * sd)
    f = low + (high - low) * (nodes + 1) / 2
    prior_alpha, prior_beta = truth["prior_alpha"], truth["prior_beta"]
    log_squared_weights = 2 * stats.beta.logpdf(f, posterior_alpha, posterior_beta) - stats.beta.logpdf(
        f, prior_alpha, prior_beta
    )
    density = np.exp(log_squared_weights) * quadrature_weights * (high - low) / 2
    squares = (f - mean) ** 2
    mean_variance, variance_variance = density @ squares, density @ (squares - sd**2) ** 2
    return float(np.sqrt(mean_variance / n_particles)), float(np.sqrt(variance_variance / n_particles) / (2 * sd))


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    # Half a second, and the same for every cell.
    return np.polynomial.legendre.leggauss(400)


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge one framework's outputs in float64, from the returned particles and weights alone.

    In order: names, shapes and finiteness; every log weight against the log likelihood recomputed from its own
    particle; the particles against independent draws from the prior (as normals, `studies/standard_normals.py`); the
    estimated marginal likelihood against the closed form; the self-normalised posterior mean and sd against
    Beta(alpha + h, beta + t). The last two allow `STANDARD_ERRORS` exact standard errors. Particles of several calls
    count together: a Beta(10, 10) differs from a normal by 0.006 at most, which a single call cannot see.

    Args:
        task: one of `TASKS`.
        problem: What `make_problem` returned.
        parameters: The cell's parameters; `n_particles` is read.
        outputs: `latent_fairness` and `log_weights`, ([n_calls,] n_particles) each.

    Returns:
        Verdict(None, diagnostics) if the answer is right, else Verdict(reason, diagnostics so far).
    """
    if task not in TASKS:
        raise ValueError(f"faircoin.check got task {task!r}. The study's tasks are: {', '.join(TASKS)}.")
    n_particles = int(parameters["n_particles"])
    diagnostics: dict[str, float] = {}
    stacked = "latent_fairness" in outputs and np.ndim(outputs["latent_fairness"]) == 2
    n_calls = len(outputs["latent_fairness"]) if stacked else 1
    reason = _check_form(outputs, (n_calls, n_particles) if stacked else (n_particles,))
    if reason is None:
        samples, log_weights = (
            np.asarray(outputs[name], np.float64).reshape(-1) for name in ("latent_fairness", "log_weights")
        )
        for step in (_check_weights, _check_prior, _check_marginal, _check_posterior):
            reason = step(problem, samples, log_weights, diagnostics)
            if reason is not None:
                break
    if "effective_sample_size" in diagnostics:
        diagnostics["effective_sample_size"] /= n_calls  # of one call, as timed
    return Verdict(reason, diagnostics)


def _check_form(outputs: dict[str, np.ndarray], shape: tuple[int, ...]) -> str | None:
    for name in ("latent_fairness", "log_weights"):
        if name not in outputs:
            return f"outputs lack {name!r}: got {sorted(outputs)}"
        array = np.asarray(outputs[name])
        if array.shape != shape:
            return f"{name} has shape {array.shape}, expected {shape}: one value per particle"
        if array.dtype.kind != "f":
            return f"{name} has dtype {array.dtype}, expected a floating type"
        if np.isnan(array).any():
            return f"{name} has {int(np.isnan(array).sum())} NaN of {array.size}"
    samples = np.asarray(outputs["latent_fairness"])
    if samples.min() < 0 or samples.max() > 1:
        return f"latent_fairness ranges over [{samples.min():.3g}, {samples.max():.3g}], outside of [0, 1]"
    return None


def _check_weights(problem: Problem, samples: np.ndarray, log_weights: np.ndarray, diagnostics: dict) -> str | None:
    observations = problem.data["observations"].astype(np.float64)
    heads, tails = observations.sum(), (1 - observations).sum()
    expected = special.xlogy(heads, samples) + special.xlog1py(tails, -samples)
    # Next to 0 and 1 float32 systems clamp the probability, each at its own distance: there it is only bounded above.
    margin = 2 * float(np.finfo(np.float32).eps)
    interior = (samples >= margin) & (samples <= 1 - margin)
    with np.errstate(invalid="ignore"):
        errors = (log_weights - expected) / np.maximum(1.0, np.abs(expected))
    worst = float(np.abs(errors[interior]).max(initial=0.0))
    diagnostics["log_weight_relative_error"] = worst
    if not worst <= WEIGHT_TOLERANCE:
        return (
            f"log_weights differ from the log likelihood of their own particles by {worst:.1e} relative "
            f"(limit {WEIGHT_TOLERANCE:.0e})"
        )
    clamped = np.clip(samples, margin, 1 - margin)
    bound = special.xlogy(heads, clamped) + special.xlog1py(tails, -clamped)
    if (log_weights > bound + WEIGHT_TOLERANCE * np.maximum(1.0, np.abs(bound)))[~interior].any():
        return "log_weights of particles at the edge of [0, 1] exceed the log likelihood"
    return None


def _check_prior(problem: Problem, samples: np.ndarray, log_weights: np.ndarray, diagnostics: dict) -> str | None:
    prior = stats.beta(problem.truth["prior_alpha"], problem.truth["prior_beta"])
    # By the smaller tail, which keeps its digits; a float32 draw can round to 0 or 1.
    lower, upper = (np.maximum(tail, 1e-15) for tail in (prior.cdf(samples), prior.sf(samples)))
    scores = np.where(lower < upper, special.ndtri(lower), -special.ndtri(upper))
    return check_standard_normals(scores[:, None], ("the fairness",), diagnostics)


def _check_marginal(problem: Problem, samples: np.ndarray, log_weights: np.ndarray, diagnostics: dict) -> str | None:
    _, _, log_marginal, effective = posterior_estimates(samples, log_weights)
    diagnostics["log_marginal"] = log_marginal
    diagnostics["effective_sample_size"] = effective
    # On the scale of Z the standard error is exact; log Z of a skewed estimate is not symmetric.
    ratio = np.exp(log_marginal - problem.truth["log_marginal"])
    standard_error = np.sqrt(problem.truth["relative_variance"] / len(samples))
    diagnostics["log_marginal_standard_error"] = float(standard_error)
    return _check_within(diagnostics, "marginal", ("likelihood over its exact value", ratio, 1.0, standard_error))


def _check_posterior(problem: Problem, samples: np.ndarray, log_weights: np.ndarray, diagnostics: dict) -> str | None:
    mean, sd, _, _ = posterior_estimates(samples, log_weights)
    mean_error, sd_error = posterior_standard_errors(problem.truth, len(samples))
    diagnostics["posterior_mean"], diagnostics["posterior_sd"] = mean, sd
    return _check_within(
        diagnostics,
        "posterior",
        ("mean", mean, problem.truth["posterior_mean"], mean_error),
        ("sd", sd, problem.truth["posterior_sd"], sd_error),
    )


def _check_within(diagnostics: dict, what: str, *entries: tuple[str, float, float, float]) -> str | None:
    """The first entry (name, estimate, exact, standard error) that is too far off, as a reason."""
    reason = None
    for name, estimate, exact, standard_error in entries:
        z_score = float((estimate - exact) / standard_error)
        diagnostics[f"{what}_{name.split()[0]}_z_score"] = z_score
        if reason is None and not abs(z_score) <= STANDARD_ERRORS:
            reason = (
                f"{what} {name} is {estimate:.6g}, exact {exact:.6g}: {abs(z_score):.1f} standard errors off "
                f"(limit {STANDARD_ERRORS:g})"
            )
    return reason


def _observations(data_set: str, n_observations: int) -> np.ndarray:
    if data_set not in DATA_SETS:
        raise ValueError(f"faircoin got data_set={data_set!r}. Allowed: {', '.join(DATA_SETS)}.")
    # Whole-number arithmetic: floor(0.8 * n) in floating point can fall one short.
    n_heads = n_observations if data_set == "all_heads" else (8 * n_observations) // 10
    return (np.arange(n_observations) < n_heads).astype(np.float32)


def _positive(parameters: dict[str, Any], name: str) -> float:
    value = parameters[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"faircoin got {name}={value!r}. It must be a number greater than zero.")
    return value
