"""The posteriors in Pyro."""

import pyro
import pyro.distributions as dist
import torch

from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    def schools(errors, effects):
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.HalfCauchy(5.0))
        with pyro.plate("schools", 8):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("effects", dist.Normal(mu + tau * z, errors), obs=effects)

    return schools, (data["errors"], data["effects"])


def eight_schools_centred(data):
    """Effects around a common mean, themselves the unknowns."""

    def schools(errors, effects):
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.HalfCauchy(5.0))
        with pyro.plate("schools", 8):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("effects", dist.Normal(theta, errors), obs=effects)

    return schools, (data["errors"], data["effects"])


def logistic(data):
    """Logistic regression."""

    def regression(features, labels):
        weights = pyro.sample("weights", dist.Normal(torch.zeros(features.shape[1]), 1.0).to_event(1))
        with pyro.plate("rows", features.shape[0]):
            pyro.sample("labels", dist.Bernoulli(logits=features @ weights), obs=labels)

    # PyTorch's labels are floating.
    return regression, (data["features"], data["labels"].astype(data["features"].dtype))


def poisson(data):
    """Counts of groups whose log rates lie around a common mean."""

    def groups(exposures, counts):
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
        with pyro.plate("groups", exposures.shape[0]):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("counts", dist.Poisson(exposures * torch.exp(mu + sigma * z)), obs=counts)

    return groups, (data["exposures"], data["counts"])


def ascending(n):
    """A vector whose first number and whose logarithms of steps are N(0, 1)."""
    base = dist.Normal(torch.zeros(n), 1.0).to_event(1)
    return dist.TransformedDistribution(base, dist.transforms.OrderedTransform())


def ordinal(data):
    """Ordered logistic regression."""

    def regression(features, ratings):
        weights = pyro.sample("weights", dist.Normal(torch.zeros(features.shape[1]), 1.0).to_event(1))
        cutpoints = pyro.sample("cutpoints", ascending(4))
        with pyro.plate("rows", features.shape[0]):
            pyro.sample("ratings", dist.OrderedLogistic(features @ weights, cutpoints), obs=ratings)

    return regression, (data["features"], data["ratings"])


def mixture(data):
    """Two normal components, told apart by the order of their locations."""

    def components(ys):
        weight = pyro.sample("weight", dist.Beta(2.0, 2.0))
        locations = pyro.sample("locations", ascending(2))
        scales = pyro.sample("scales", dist.HalfNormal(2.0).expand([2]).to_event(1))
        weights = dist.Categorical(torch.stack([weight, 1 - weight]))
        with pyro.plate("points", ys.shape[0]):
            pyro.sample("ys", dist.MixtureSameFamily(weights, dist.Normal(locations, scales)), obs=ys)

    return components, (data["ys"],)


def gaussian_process(data):
    """A Gaussian process with squared exponential covariance, its curve summed out."""

    def curve(xs, ys):
        length_scale = pyro.sample("length_scale", dist.LogNormal(0.0, 1.0))
        amplitude = pyro.sample("amplitude", dist.HalfNormal(2.0))
        noise = pyro.sample("noise", dist.HalfNormal(1.0))
        covariance = amplitude**2 * torch.exp(-0.5 * ((xs[:, None] - xs) / length_scale) ** 2)
        covariance = covariance + noise**2 * torch.eye(xs.shape[0])
        pyro.sample("ys", dist.MultivariateNormal(torch.zeros(xs.shape[0]), covariance), obs=ys)

    return curve, (data["xs"], data["ys"])


def autoregression(phi, shocks):
    """x_t = phi x_(t-1) + shock_t; the first shock is x_1. Each pass doubles how many shocks an x has summed."""
    reach, factor, x = 1, phi, shocks
    while reach < len(shocks):
        x = torch.cat([x[:reach], x[reach:] + factor * x[:-reach]])
        reach, factor = 2 * reach, factor**2
    return x


def stochastic_volatility(data):
    """Returns whose log variances are autoregressive, as functions of standard normals."""

    def returns(ys):
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
        phi = 2 * pyro.sample("persistence", dist.Beta(20.0, 1.5)) - 1
        with pyro.plate("days", ys.shape[0]):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            shocks = sigma * torch.cat([z[:1] / torch.sqrt(1 - phi**2), z[1:]])
            pyro.sample("ys", dist.Normal(0.0, torch.exp((mu + autoregression(phi, shocks)) / 2)), obs=ys)

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
