"""The posteriors in NumPyro."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo that adapts, on one posterior."""
    return programs.hmc(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    def schools(errors, effects):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("schools", 8):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("effects", dist.Normal(mu + tau * z, errors), obs=effects)

    return schools, (data["errors"], data["effects"])


def eight_schools_centred(data):
    """Effects around a common mean, themselves the unknowns."""

    def schools(errors, effects):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("schools", 8):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("effects", dist.Normal(theta, errors), obs=effects)

    return schools, (data["errors"], data["effects"])


def logistic(data):
    """Logistic regression."""

    def regression(features, labels):
        weights = numpyro.sample("weights", dist.Normal(jnp.zeros(features.shape[1]), 1.0).to_event(1))
        with numpyro.plate("rows", features.shape[0]):
            numpyro.sample("labels", dist.Bernoulli(logits=features @ weights), obs=labels)

    return regression, (data["features"], data["labels"])


def poisson(data):
    """Counts of groups whose log rates lie around a common mean."""

    def groups(exposures, counts):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
        with numpyro.plate("groups", exposures.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("counts", dist.Poisson(exposures * jnp.exp(mu + sigma * z)), obs=counts)

    return groups, (data["exposures"], data["counts"])


def ascending(n):
    """A vector whose first number and whose logarithms of steps are N(0, 1)."""
    base = dist.Normal(jnp.zeros(n), 1.0).to_event(1)
    return dist.TransformedDistribution(base, dist.transforms.OrderedTransform())


def ordinal(data):
    """Ordered logistic regression."""

    def regression(features, ratings):
        weights = numpyro.sample("weights", dist.Normal(jnp.zeros(features.shape[1]), 1.0).to_event(1))
        cutpoints = numpyro.sample("cutpoints", ascending(4))
        with numpyro.plate("rows", features.shape[0]):
            numpyro.sample("ratings", dist.OrderedLogistic(features @ weights, cutpoints), obs=ratings)

    return regression, (data["features"], data["ratings"])


def mixture(data):
    """Two normal components, told apart by the order of their locations."""

    def components(ys):
        weight = numpyro.sample("weight", dist.Beta(2.0, 2.0))
        locations = numpyro.sample("locations", ascending(2))
        scales = numpyro.sample("scales", dist.HalfNormal(jnp.full(2, 2.0)).to_event(1))
        weights = dist.Categorical(jnp.stack([weight, 1 - weight]))
        with numpyro.plate("points", ys.shape[0]):
            numpyro.sample("ys", dist.MixtureSameFamily(weights, dist.Normal(locations, scales)), obs=ys)

    return components, (data["ys"],)


def gaussian_process(data):
    """A Gaussian process with squared exponential covariance, its curve summed out."""

    def curve(xs, ys):
        length_scale = numpyro.sample("length_scale", dist.LogNormal(0.0, 1.0))
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(2.0))
        noise = numpyro.sample("noise", dist.HalfNormal(1.0))
        covariance = amplitude**2 * jnp.exp(-0.5 * ((xs[:, None] - xs) / length_scale) ** 2)
        covariance += noise**2 * jnp.eye(xs.shape[0])
        numpyro.sample("ys", dist.MultivariateNormal(jnp.zeros(xs.shape[0]), covariance_matrix=covariance), obs=ys)

    return curve, (data["xs"], data["ys"])


def autoregression(phi, shocks):
    """x_t = phi x_(t-1) + shock_t along the last axis, by a parallel scan; the first shock is x_1."""

    def joined(earlier, later):
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    factors = jnp.broadcast_to(phi, shocks.shape)
    return jax.lax.associative_scan(joined, (factors, shocks), axis=-1)[1]


def stochastic_volatility(data):
    """Returns whose log variances are autoregressive, as functions of standard normals."""

    def returns(ys):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
        phi = 2 * numpyro.sample("persistence", dist.Beta(20.0, 1.5)) - 1
        with numpyro.plate("days", ys.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            shocks = (sigma * z).at[0].divide(jnp.sqrt(1 - phi**2))
            numpyro.sample("ys", dist.Normal(0.0, jnp.exp((mu + autoregression(phi, shocks)) / 2)), obs=ys)

    return returns, (data["ys"],)


MODELS = {
    "eight_schools_noncentred": eight_schools_noncentred,
    "eight_schools_centred": eight_schools_centred,
    "logistic": logistic,
    "poisson": poisson,
    "ordinal": ordinal,
    "mixture": mixture,
    "gaussian_process": gaussian_process,
    "stochastic_volatility": stochastic_volatility,
}
