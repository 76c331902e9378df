"""Wrong on purpose: programmed inference with less work than was asked for, and the gate must call it invalid."""

from frameworks.base import mutant
from studies.curvefit.models import genjax as model


@mutant(task="gibbs_hmc", effect="half the leapfrog steps")
def half_the_steps_of_gibbs(framework, data, parameters):
    """Half the work."""
    return model.gibbs_hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] // 2})


@mutant(task="fixed_rate_gibbs_hmc", effect="half the leapfrog steps")
def half_the_steps_of_fixed_rate_gibbs(framework, data, parameters):
    """Half the work."""
    return model.fixed_rate_gibbs_hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] // 2})


@mutant(task="fixed_rate_marginal_hmc", effect="half the leapfrog steps")
def half_the_steps_of_marginal(framework, data, parameters):
    """Half the work."""
    return model.fixed_rate_marginal_hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] // 2})


@mutant(task="fixed_rate_marginal_hmc", effect="noise sd 2% too large")
def noise_sd_of_marginal(framework, data, parameters):
    """The likelihood of another noise."""
    return model.fixed_rate_marginal_hmc(framework, data, {**parameters, "noise_sd": parameters["noise_sd"] * 1.02})
