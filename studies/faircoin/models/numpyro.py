"""The fair coin as a NumPyro model."""

import numpyro
import numpyro.distributions as dist


def importance_sampling(framework, data, parameters):
    """Program that proposes from the prior and weighs by model density over proposal density."""

    def prior():
        return numpyro.sample("latent_fairness", dist.Beta(parameters["prior_alpha"], parameters["prior_beta"]))

    def fair_coin(observations):
        fairness = prior()
        with numpyro.plate("tosses", parameters["n_observations"]):
            numpyro.sample("obs", dist.Bernoulli(probs=fairness), obs=observations)

    return framework.importance_sampling(
        fair_coin, (data["observations"],), prior, n_particles=parameters["n_particles"]
    )
