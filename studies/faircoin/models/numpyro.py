"""The fair coin as a NumPyro model."""

import numpyro
import numpyro.distributions as dist

from frameworks.base import form


@form(
    "plate",
    "the prior under a plate of particles, weights by `log_likelihood`",
    source="numpyro.plate and numpyro.infer.util.log_likelihood in NumPyro's reference",
)
def importance_sampling(framework, data, parameters):
    """Program that draws from the prior and weighs each draw by the likelihood of the observations."""
    fair_coin, prior = coin(parameters)
    return framework.prior_importance_sampling(
        fair_coin, (data["observations"],), prior, n_particles=parameters["n_particles"]
    )


@form(
    "vmap",
    "one particle under `vmap` with a key of its own, weights by `log_density` of model and guide",
    source="the vectorised particles of numpyro.infer.Trace_ELBO",
)
def importance_sampling__vmap(framework, data, parameters):
    """Program that proposes from the prior and weighs by model density over proposal density."""
    fair_coin, prior = coin(parameters)
    return framework.importance_sampling(
        fair_coin, (data["observations"],), prior, n_particles=parameters["n_particles"]
    )


def coin(parameters):
    """The model and its prior."""

    def prior():
        return numpyro.sample("latent_fairness", dist.Beta(parameters["prior_alpha"], parameters["prior_beta"]))

    def fair_coin(observations):
        fairness = prior()
        with numpyro.plate("tosses", parameters["n_observations"]):
            numpyro.sample("obs", dist.Bernoulli(probs=fairness), obs=observations)

    return fair_coin, prior
