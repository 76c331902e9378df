"""Seconds and memory of the curve study's programs. Runs on any genjax with this API.

`importance PROBLEM N ...`: importance sampling of the basic curve from the prior, each size in turn. `gibbs_hmc PROBLEM
N_CHAINS N_STEPS`: the robust curve, by exact draws of the indicators and of their rate, then HMC on the coefficients.
PROBLEM is JSON: data, settings and the exact posterior, against which outputs are checked before they count.
"""

import importlib.metadata
import json
import math
import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from genjax import Cond, beta, const, flip, gen, modular_vmap, normal, seed, sel, uniform
from genjax.inference import chain, hmc

MIN_SECONDS, MIN_CALLS, MAX_CALLS = 1.0, 4, 100
STANDARD_ERRORS = 6.0


@gen
def coefficients():
    return tuple(normal(0.0, 1.0) @ name for name in ("a", "b", "c"))


def height(x, curve):
    a, b, c = curve
    return a + x * (b + x * c)


def basic_model(noise_sd):
    """y_i ~ N(height(x_i), noise_sd)."""

    @gen
    def point(x, curve):
        return normal(height(x, curve), noise_sd) @ "obs"

    @gen
    def basic_curve(xs):
        curve = coefficients() @ "curve"
        return point.vmap(in_axes=(0, None))(xs, curve) @ "ys"

    return basic_curve


def robust_point(noise_sd, bound):
    """z ~ Bernoulli(rate); y ~ Uniform(-bound, bound) where z, else N(height(x), noise_sd)."""

    @gen
    def outlier(mean):
        return uniform(-bound, bound) @ "obs"

    @gen
    def inlier(mean):
        return normal(mean, noise_sd) @ "obs"

    @gen
    def point(x, curve, rate):
        is_outlier = flip(rate) @ "is_outlier"
        return Cond(outlier, inlier)(is_outlier, height(x, curve)) @ "y"

    return point


def robust_model(point, alpha, beta_):
    """Points that share a curve and a rate ~ Beta(alpha, beta_)."""

    @gen
    def robust_curve(xs):
        curve = coefficients() @ "curve"
        rate = beta(alpha, beta_) @ "outlier_rate"
        return point.vmap(in_axes=(0, None, None))(xs, curve, rate) @ "ys"

    return robust_curve


def importance(problem, n):
    """Function of (key, xs, ys): coefficients and log weights, (n,) each."""
    model = basic_model(problem["noise_sd"])

    def sampler(xs, ys):
        def particle():
            trace, log_weight = model.generate({"ys": {"obs": ys}}, xs)
            return {**trace.get_choices()["curve"], "log_weights": log_weight}

        return modular_vmap(particle, in_axes=(), axis_size=n)()

    return seed(sampler)


def check_importance(problem, outputs):
    """Weights recomputed in float64 for a thousand particles; the evidence within 6 exact standard errors."""
    xs, ys = (np.asarray(problem[name], np.float64) for name in ("xs", "ys"))
    a, b, c = (np.asarray(outputs[name][:1000], np.float64)[:, None] for name in "abc")
    squares = (((ys - a - b * xs - c * xs**2) / problem["noise_sd"]) ** 2).sum(axis=1)
    expected = -0.5 * squares - len(xs) * (math.log(problem["noise_sd"]) + 0.5 * math.log(2 * math.pi))
    log_weights = np.asarray(outputs["log_weights"], np.float64)
    np.testing.assert_allclose(log_weights[:1000], expected, rtol=1e-3)
    ratio = np.exp(log_weights - problem["log_evidence"]).mean()
    error = math.sqrt(problem["relative_variance"] / len(log_weights))
    if abs(ratio - 1) > STANDARD_ERRORS * error:
        raise AssertionError(f"evidence is {ratio:.4g} times its exact value, standard error {error:.2g}")


def gibbs_hmc(problem, n_chains, n_steps):
    """Function of (key, xs, ys): indicators and coefficients of the later half, averaged over steps, by chain."""
    point = robust_point(problem["noise_sd"], problem["outlier_bound"])
    alpha, beta_ = problem["rate_alpha"], problem["rate_beta"]
    model = robust_model(point, alpha, beta_)

    def one(xs, ys):
        def kernel(trace):
            choices = trace.get_choices()
            curve = tuple(choices["curve"][name] for name in ("a", "b", "c"))

            def log_odds(x, y):
                outlier, inlier = (
                    point.assess({"is_outlier": jnp.array(z), "y": {"obs": y}}, x, curve, choices["outlier_rate"])[0]
                    for z in (True, False)
                )
                return outlier - inlier

            is_outlier = flip.sample(jax.nn.sigmoid(jax.vmap(log_odds)(xs, ys)))
            trace = trace.update({"ys": {"is_outlier": is_outlier}})[0]
            n_outliers = jnp.sum(is_outlier)
            rate = beta.sample(alpha + n_outliers, beta_ + len(xs) - n_outliers)
            trace = trace.update({"outlier_rate": rate})[0]
            return hmc(trace, sel("curve"), problem["step_size"], problem["n_leapfrog"])

        trace = model.generate({"ys": {"y": {"obs": ys}}}, xs)[0]
        choices = chain(kernel)(trace, const(n_steps)).traces.get_choices()
        half = n_steps // 2
        averaged = {name: choices["curve"][name][half:].mean() for name in ("a", "b", "c")}
        return {**averaged, "is_outlier": choices["ys"]["is_outlier"][half:].mean(axis=0)}

    # A key for each chain: the published one cannot put lanes around a vmapped point.
    return lambda key, xs, ys: jax.vmap(seed(one), in_axes=(0, None, None))(jax.random.split(key, n_chains), xs, ys)


def check_gibbs_hmc(problem, outputs):
    """P(outlier) within 0.03, coefficient means within 0.1 posterior sd: the limits of the study's gate."""
    found = np.asarray(outputs["is_outlier"], np.float64).mean(axis=0)
    error = np.abs(found - np.asarray(problem["outlier_probability"])).max()
    if error > 0.03:
        raise AssertionError(f"P(outlier) is {error:.3g} off")
    means = np.array([np.asarray(outputs[name], np.float64).mean() for name in "abc"])
    error = np.abs((means - problem["mean"]) / problem["sd"]).max()
    if error > 0.1:
        raise AssertionError(f"a coefficient's mean is {error:.3g} posterior sd off")


def measure(program, arguments):
    """`(first outputs, {first_s, seconds, peak_bytes, and XLA's counts})` of calls with a key each.

    XLA counts the body of a loop once, whatever the number of its turns.
    """
    keys = list(jax.block_until_ready(jax.random.split(jax.random.key(0), MAX_CALLS + 1)))
    start = time.perf_counter()
    compiled = jax.jit(program).lower(keys[0], *arguments).compile()
    outputs = jax.block_until_ready(compiled(keys[0], *arguments))
    first_s = time.perf_counter() - start
    seconds: list[float] = []
    while len(seconds) < MIN_CALLS or (sum(seconds) < MIN_SECONDS and len(seconds) < MAX_CALLS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(keys[1 + len(seconds)], *arguments))
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    temporary, cost = compiled.memory_analysis().temp_size_in_bytes, compiled.cost_analysis()
    counts = {"flops": cost["flops"], "bytes_accessed": cost["bytes accessed"], "temporary_bytes": temporary}
    return outputs, {"first_s": first_s, "seconds": seconds, "peak_bytes": peak, **counts}


def main(task, problem, *words):
    """Prints what `measure` found of each program, by its sizes, and the versions."""
    problem, sizes = json.loads(problem), [int(word) for word in words]
    arguments = [jnp.asarray(problem[name], jnp.float32) for name in ("xs", "ys")]
    if task == "importance":
        # Ascending: the peak of the process is that of the largest size so far.
        programs = {str(n): importance(problem, n) for n in sorted(sizes)}
        check = check_importance
    else:
        programs, check = {"x".join(map(str, sizes)): gibbs_hmc(problem, *sizes)}, check_gibbs_hmc
    measured = {}
    for name, program in programs.items():
        outputs, measured[name] = measure(program, arguments)
        check(problem, outputs)
    try:
        version = importlib.metadata.version("genjax")
    except importlib.metadata.PackageNotFoundError:
        version = None
    file = sys.modules["genjax"].__file__
    print(json.dumps({"programs": measured, "jax": jax.__version__, "genjax": version, "file": file}))


if __name__ == "__main__":
    main(*sys.argv[1:])
