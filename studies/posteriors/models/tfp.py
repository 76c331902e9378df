"""The posteriors as joint distributions of TensorFlow Probability."""

import jax
import jax.numpy as jnp
import tensorflow_probability.substrates.jax.bijectors as tfb
import tensorflow_probability.substrates.jax.distributions as tfd
import tensorflow_probability.substrates.jax.math.psd_kernels as tfk

from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo that adapts, on one posterior."""
    return programs.hmc(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    def schools(errors):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            mu = yield tfd.Normal(0.0, 5.0, name="mu")
            tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
            z = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="z")
            yield tfd.Normal(mu + tau * z, errors, name="effects")

        return joint

    return schools, (data["errors"],), {"effects": data["effects"]}


def eight_schools_centred(data):
    """Effects around a common mean, themselves the unknowns."""

    def schools(errors):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            mu = yield tfd.Normal(0.0, 5.0, name="mu")
            tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
            theta = yield tfd.Sample(tfd.Normal(mu, tau), 8, name="theta")
            yield tfd.Normal(theta, errors, name="effects")

        return joint

    return schools, (data["errors"],), {"effects": data["effects"]}


def logistic(data):
    """Logistic regression."""

    def regression(features):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            weights = yield tfd.Sample(tfd.Normal(0.0, 1.0), features.shape[1], name="weights")
            yield tfd.Bernoulli(logits=jnp.einsum("ij,...j->...i", features, weights), name="labels")

        return joint

    return regression, (data["features"],), {"labels": data["labels"]}


def poisson(data):
    """Counts of groups whose log rates lie around a common mean."""

    def groups(exposures):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            mu = yield tfd.Normal(0.0, 1.0, name="mu")
            sigma = yield tfd.HalfNormal(1.0, name="sigma")
            z = yield tfd.Sample(tfd.Normal(0.0, 1.0), exposures.shape[0], name="z")
            yield tfd.Poisson(exposures * jnp.exp(mu + sigma * z), name="counts")

        return joint

    # TFP's counts are floating.
    return groups, (data["exposures"],), {"counts": data["counts"].astype(data["exposures"].dtype)}


def ascending(n, name):
    """A vector whose first number and whose logarithms of steps are N(0, 1)."""
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), n), tfb.Ascending(), name=name)


def ordinal(data):
    """Ordered logistic regression."""

    def regression(features):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            weights = yield tfd.Sample(tfd.Normal(0.0, 1.0), features.shape[1], name="weights")
            cutpoints = yield ascending(4, "cutpoints")
            predictors = jnp.einsum("ij,...j->...i", features, weights)
            yield tfd.OrderedLogistic(cutpoints[..., None, :], predictors, name="ratings")

        return joint

    return regression, (data["features"],), {"ratings": data["ratings"]}


def mixture(data):
    """Two normal components, told apart by the order of their locations."""

    def components():
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            weight = yield tfd.Beta(2.0, 2.0, name="weight")
            locations = yield ascending(2, "locations")
            scales = yield tfd.Sample(tfd.HalfNormal(2.0), 2, name="scales")
            weights = tfd.Categorical(probs=jnp.stack([weight, 1 - weight], axis=-1))
            each = tfd.MixtureSameFamily(weights, tfd.Normal(locations, scales))
            yield tfd.Sample(each, len(data["ys"]), name="ys")

        return joint

    return components, (), {"ys": data["ys"]}


def gaussian_process(data):
    """A Gaussian process with squared exponential covariance, its curve summed out."""

    def curve(xs):
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            length_scale = yield tfd.LogNormal(0.0, 1.0, name="length_scale")
            amplitude = yield tfd.HalfNormal(2.0, name="amplitude")
            noise = yield tfd.HalfNormal(1.0, name="noise")
            kernel = tfk.ExponentiatedQuadratic(amplitude, length_scale)
            yield tfd.GaussianProcess(kernel, xs[:, None], observation_noise_variance=noise**2, name="ys")

        return joint

    return curve, (data["xs"],), {"ys": data["ys"]}


def autoregression(phi, shocks):
    """x_t = phi x_(t-1) + shock_t along the last axis, by a parallel scan; the first shock is x_1."""

    def joined(earlier, later):
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    factors = jnp.broadcast_to(phi, shocks.shape)
    return jax.lax.associative_scan(joined, (factors, shocks), axis=-1)[1]


def stochastic_volatility(data):
    """Returns whose log variances are autoregressive, as functions of standard normals."""

    def returns():
        @tfd.JointDistributionCoroutineAutoBatched
        def joint():
            mu = yield tfd.Normal(0.0, 1.0, name="mu")
            sigma = yield tfd.HalfNormal(1.0, name="sigma")
            persistence = yield tfd.Beta(20.0, 1.5, name="persistence")
            z = yield tfd.Sample(tfd.Normal(0.0, 1.0), len(data["ys"]), name="z")
            phi = 2 * persistence[..., None] - 1
            shocks = (sigma[..., None] * z).at[..., :1].divide(jnp.sqrt(1 - phi**2))
            log_variances = mu[..., None] + autoregression(phi, shocks)
            yield tfd.Normal(0.0, jnp.exp(log_variances / 2), name="ys")

        return joint

    return returns, (), {"ys": data["ys"]}


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
