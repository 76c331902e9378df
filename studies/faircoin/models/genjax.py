"""The fair coin as a GenJAX model."""

from genjax import beta, flip, gen


def importance_sampling(framework, data, parameters):
    """Program that generates traces of the model with the observations constrained."""

    @gen
    def fair_coin():
        fairness = beta(parameters["prior_alpha"], parameters["prior_beta"]) @ "latent_fairness"
        return flip.repeat(parameters["n_observations"])(fairness) @ "obs"

    return framework.importance_sampling(
        fair_coin, (), {"obs": data["observations"]}, n_particles=parameters["n_particles"]
    )
