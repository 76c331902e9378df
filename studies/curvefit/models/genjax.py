"""The curve models in GenJAX: three coefficients, and points that may be outliers."""

import jax
import jax.numpy as jnp
import numpy as np

from frameworks.base import form, with_outputs
from genjax import Cond, beta, distribution, flip, gen, normal, sel, uniform
from genjax.inference import hmc

PRIOR_MEAN = {"curve": dict.fromkeys("abc", np.float32(0.0))}


def prior_traces(framework, data, parameters):
    """Program that draws traces of the basic model side by side: curves, points and log densities."""
    return framework.simulation(basic_model(parameters), (data["xs"],), n_traces=parameters["n_traces"])


def single_trace(framework, data, parameters):
    """The same, of one trace by itself, without `vmap`."""
    return framework.simulation(basic_model(parameters), (data["xs"],))


@form("vector", "the coefficients at one address")
def importance_sampling(framework, data, parameters):
    """Program that generates traces of the basic model with the observations constrained."""
    model, arguments = curve_of_vector(parameters), (data["xs"],)
    program = framework.importance_sampling(model, arguments, {"ys": data["ys"]}, n_particles=parameters["n_particles"])
    return with_outputs(program, named)


@form("named", "an address for each coefficient")
def importance_sampling__named(framework, data, parameters):
    """Program of the model with three sites, which the figures of traces show."""
    model, arguments = basic_model(parameters), (data["xs"],)
    return framework.importance_sampling(model, arguments, observed(data), n_particles=parameters["n_particles"])


def scaling(framework, data, parameters):
    """The same program, over many sizes."""
    return importance_sampling(framework, data, parameters)


def evidence(framework, data, parameters):
    """Program that repeats the estimate of the basic model's log evidence, less often where it is costly."""
    sizes = {name: parameters[name] for name in ("n_particles", "batch_size")}
    most = parameters["n_large_trials"] if parameters["n_particles"] > 100_000 else parameters["n_trials"]
    sizes["n_replicates"] = min(most, parameters["n_trials"])
    return framework.log_evidence(basic_model(parameters), (data["xs"],), observed(data), **sizes)


def posterior_draws(framework, data, parameters):
    """Program of independent importance samplers of the basic model, one draw from each."""
    return sampled(framework, data, parameters, basic_model(parameters), observed(data))


def misspecified_draws(framework, data, parameters):
    """The same, of the basic model on data with outliers."""
    return posterior_draws(framework, data, parameters)


def robust_importance_sampling(framework, data, parameters):
    """The same, of the robust model: every particle guesses all indicators."""
    return sampled(framework, data, parameters, robust_model(parameters), {"ys": {"y": {"obs": data["ys"]}}})


def robust_marginal_importance_sampling(framework, data, parameters):
    """The same, of the robust model with the indicators summed out."""
    return sampled(framework, data, parameters, marginal_model(parameters), observed(data))


def fixed_rate_importance_sampling(framework, data, parameters):
    """Importance sampling of the robust model whose rate is fixed: every particle guesses all indicators."""
    return robust_importance_sampling(framework, data, parameters)


def fixed_rate_marginal_importance_sampling(framework, data, parameters):
    """The same, with the indicators summed out."""
    return robust_marginal_importance_sampling(framework, data, parameters)


@form("named", "an address for each coefficient")
def basic_hmc(framework, data, parameters):
    """Program of chains of Hamiltonian Monte Carlo on the basic model, all from the prior's mean."""
    return moved_by_hmc(framework, data, parameters, basic_model(parameters), observed(data), PRIOR_MEAN)


@form("product", "the coefficients at one address, the curve as a matrix product")
def basic_hmc__product(framework, data, parameters):
    """Program of the model whose means are a matrix product."""
    program = moved_by_hmc(
        framework,
        data,
        parameters,
        curve_by_product(parameters),
        {"ys": data["ys"]},
        {"coefficients": np.zeros(3, "f4")},
    )
    return with_outputs(program, named)


def fixed_rate_marginal_hmc(framework, data, parameters):
    """The same, of the robust model with a fixed rate and the indicators summed out."""
    return moved_by_hmc(framework, data, parameters, marginal_model(parameters), observed(data), PRIOR_MEAN)


def fixed_rate_gibbs_hmc(framework, data, parameters):
    """Program of chains on the robust model whose rate is fixed, from the prior's mean.

    The kernel is the same except for the draw of the rate. A curve from the prior may pass by all points: then all are
    outliers, and where the rate cannot adapt, a chain takes thousands of steps to find back.
    """
    return gibbs_hmc(framework, data, parameters, start=PRIOR_MEAN)


def gibbs_hmc(framework, data, parameters, start=None):
    """Program of chains: exact draws of the indicators and of their rate, then HMC on the coefficients."""
    point = robust_point(parameters)

    def draw_indicators(trace):
        choices, (xs,) = trace.get_choices(), trace.get_args()[0]
        curve, rate = curve_of(choices["curve"]), choices.get("outlier_rate", parameters.get("outlier_rate"))

        def log_odds(x, y):
            outlier, inlier = (
                point.assess({"is_outlier": jnp.array(z), "y": {"obs": y}}, x, curve, rate)[0] for z in (True, False)
            )
            return outlier - inlier

        logits = jax.vmap(log_odds)(xs, choices["ys"]["y"]["obs"])
        return trace.update({"ys": {"is_outlier": flip.sample(jax.nn.sigmoid(logits))}})[0]

    def draw_rate(trace):
        is_outlier = trace.get_choices()["ys"]["is_outlier"]
        n_outliers = jnp.sum(is_outlier)
        alpha, beta_ = parameters["rate_alpha"] + n_outliers, parameters["rate_beta"] + len(is_outlier) - n_outliers
        return trace.update({"outlier_rate": beta.sample(alpha, beta_)})[0]

    def kernel(trace):
        trace = draw_indicators(trace)
        trace = trace if "outlier_rate" in parameters else draw_rate(trace)
        return hmc(trace, sel("curve"), parameters["step_size"], parameters["n_leapfrog"])

    return framework.chains(
        robust_model(parameters), (data["xs"],), {"ys": {"y": {"obs": data["ys"]}}}, kernel,
        n_chains=parameters["n_chains"], n_steps=parameters["n_steps"], start=start,
        gradient_evaluations_per_step=parameters["n_leapfrog"] + 1,
    )  # fmt: skip


def observed(data):
    """The observations as constraints of the models without indicators."""
    return {"ys": {"obs": data["ys"]}}


def sampled(framework, data, parameters, model, constraints):
    sizes = {name: parameters[name] for name in ("n_particles", "n_draws")}
    return framework.posterior_draws(model, (data["xs"],), constraints, **sizes)


def moved_by_hmc(framework, data, parameters, model, constraints, start):
    names = ("step_size", "n_leapfrog", "n_chains")
    return framework.hmc(
        model, (data["xs"],), constraints, start, **{name: parameters[name] for name in names},
        n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


# The models


@gen
def coefficients():
    """a, b, c ~ N(0, 1)."""
    return tuple(normal(0.0, 1.0) @ name for name in ("a", "b", "c"))


def curve_of(choices):
    """The coefficients of a trace."""
    return tuple(choices[name] for name in ("a", "b", "c"))


def height(x, curve):
    """a + b x + c x^2."""
    a, b, c = curve
    return a + x * (b + x * c)


def basic_model(parameters):
    """y_i ~ N(height(x_i), noise_sd)."""

    @gen
    def point(x, curve):
        return normal(height(x, curve), parameters["noise_sd"]) @ "obs"

    @gen
    def basic_curve(xs):
        curve = coefficients() @ "curve"
        return point.vmap(in_axes=(0, None))(xs, curve) @ "ys"

    return basic_curve


def curve_of_vector(parameters):
    """The same, the three coefficients at one address and the heights drawn as one array."""

    @gen
    def basic_curve(xs):
        curve = normal.repeat(3)(0.0, 1.0) @ "coefficients"
        return normal.vmap(in_axes=(0, None))(height(xs, curve), parameters["noise_sd"]) @ "ys"

    return basic_curve


def curve_by_product(parameters):
    """The same, the means as a product of the powers of xs and the coefficients."""

    @gen
    def basic_curve(xs):
        curve = normal.repeat(3)(0.0, 1.0) @ "coefficients"
        powers = jnp.stack([jnp.ones_like(xs), xs, xs * xs], axis=1)
        return normal.vmap(in_axes=(0, None))(powers @ curve, parameters["noise_sd"]) @ "ys"

    return basic_curve


def robust_point(parameters):
    """z ~ Bernoulli(rate); y ~ Uniform(-outlier_bound, outlier_bound) where z, else N(height(x), noise_sd)."""
    bound = parameters["outlier_bound"]

    @gen
    def outlier(mean):
        return uniform(-bound, bound) @ "obs"

    @gen
    def inlier(mean):
        return normal(mean, parameters["noise_sd"]) @ "obs"

    @gen
    def point(x, curve, rate):
        is_outlier = flip(rate) @ "is_outlier"
        return Cond(outlier, inlier)(is_outlier, height(x, curve)) @ "y"

    return point


def with_rate(point, parameters):
    """Points that share a curve and a rate: `outlier_rate` if that is given, else ~ Beta(rate_alpha, rate_beta)."""

    @gen
    def fixed_rate_curve(xs):
        curve = coefficients() @ "curve"
        return point.vmap(in_axes=(0, None, None))(xs, curve, parameters["outlier_rate"]) @ "ys"

    @gen
    def robust_curve(xs):
        curve = coefficients() @ "curve"
        rate = beta(parameters["rate_alpha"], parameters["rate_beta"]) @ "outlier_rate"
        return point.vmap(in_axes=(0, None, None))(xs, curve, rate) @ "ys"

    return fixed_rate_curve if "outlier_rate" in parameters else robust_curve


def robust_model(parameters):
    """The robust model, with an indicator per point."""
    return with_rate(robust_point(parameters), parameters)


def marginal_model(parameters):
    """The robust model without indicators: the density of a point is the sum over both of its values."""
    point = robust_point(parameters)

    def log_density(y, x, curve, rate):
        both = (point.assess({"is_outlier": jnp.array(z), "y": {"obs": y}}, x, curve, rate)[0] for z in (True, False))
        return jnp.logaddexp(*both)

    marginal = distribution(point, log_density, "marginal_point")

    @gen
    def marginal_point(x, curve, rate):
        return marginal(x, curve, rate) @ "obs"

    return with_rate(marginal_point, parameters)
