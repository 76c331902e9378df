"""Programs that are wrong on purpose: the gate must call them invalid."""

import jax.numpy as jnp
from jax.scipy.stats import norm

from frameworks.base import mutant, with_outputs
from studies.posteriors.models import blackjax as model
from studies.posteriors.programs import settings


@mutant(task="eight_schools_noncentred", effect="log determinant of tau left out", size="smoke", cheap=True)
def no_log_determinant(framework, data, parameters):
    """A density over log tau that is one over tau."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)
    wrong = lambda unknowns, *args: density(unknowns, *args) - jnp.log(unknowns["tau"])
    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(
    task="eight_schools_noncentred", effect="prior sd of mu {strength:.0%} too large", size="smoke",
    strengths=(1.0, 0.3, 0.1),
)  # fmt: skip
def prior_of_mu(framework, data, parameters):
    """mu ~ N(0, 5 (1 + strength))."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)
    sd = 5.0 * (1 + parameters["strength"])
    change = lambda mu: norm.logpdf(mu, 0.0, sd) - norm.logpdf(mu, 0.0, 5.0)
    wrong = lambda unknowns, *args: density(unknowns, *args) + change(unknowns["mu"])
    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(
    task="eight_schools_noncentred", effect="draws {strength:.0%} too wide", size="smoke", strengths=(0.5, 0.2, 0.1)
)
def wide(framework, data, parameters):
    """z stretched."""
    program = model.nuts(framework, data, parameters)
    return with_outputs(program, lambda outputs: {**outputs, "z": (1 + parameters["strength"]) * outputs["z"]})


@mutant(task="eight_schools_noncentred", effect="one chain shown four times", size="smoke", cheap=True)
def copied(framework, data, parameters):
    """The first chain in place of the others."""
    program = model.nuts(framework, data, parameters)
    return with_outputs(
        program, lambda outputs: {name: jnp.broadcast_to(a[:1], a.shape) for name, a in outputs.items()}
    )


@mutant(task="eight_schools_centred", effect="one of eight factors 1 / tau left out", parameters={"n_samples": 4000})
def no_normalisation(framework, data, parameters):
    """The density of one theta without its normalisation."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)
    wrong = lambda unknowns, *args: density(unknowns, *args) + jnp.log(unknowns["tau"])
    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(task="logistic", effect="one row in ten left out", parameters={"n_samples": 1000})
def missing_rows(framework, data, parameters):
    """The last hundred labels never seen."""
    density, (features, labels), supports = model.MODELS[parameters["posterior"]](data)
    n = 9 * len(labels) // 10
    args = (features[:n], labels[:n])
    return framework.nuts(density, args, supports, **settings(data, parameters))


@mutant(task="logistic_hmc", effect="5 leapfrog steps instead of 4", parameters={"n_samples": 1000})
def more_steps(framework, data, parameters):
    """One step more than everybody takes."""
    return model.hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] + 1})


@mutant(task="ordinal", effect="every rating one category too high", parameters={"n_samples": 1000})
def higher_ratings(framework, data, parameters):
    """The lowest category counted from one."""
    ratings = jnp.minimum(data["ratings"] + 1, data["ratings"].max())
    return model.nuts(framework, {**data, "ratings": ratings}, parameters)


@mutant(task="ordinal", effect="cutpoints' log determinant left out", parameters={"n_samples": 1000})
def no_log_determinant_of_cutpoints(framework, data, parameters):
    """A density over the logarithms of steps that is divided by the steps."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)
    wrong = lambda unknowns, *args: density(unknowns, *args) - jnp.log(jnp.diff(unknowns["cutpoints"])).sum()
    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(task="gaussian_process", effect="noise taken for a variance", parameters={"n_samples": 1000})
def noise_variance(framework, data, parameters):
    """The diagonal gets noise in place of its square; the prior of noise stays."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)

    def wrong(unknowns, *args):
        noise = unknowns["noise"]
        change = norm.logpdf(noise) - norm.logpdf(jnp.sqrt(noise))
        return density({**unknowns, "noise": jnp.sqrt(noise)}, *args) + change

    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(
    task="stochastic_volatility", effect="log variances taken for logarithms of scales", parameters={"n_samples": 1000}
)
def double_variances(framework, data, parameters):
    """ys_t ~ N(0, exp(h_t)): sd and variance confused, which halves h."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)

    def wrong(unknowns, *args):
        doubled = {**unknowns, "mu": 2 * unknowns["mu"], "sigma": 2 * unknowns["sigma"]}
        change = sum(norm.logpdf(unknowns[name]) - norm.logpdf(doubled[name]) for name in ("mu", "sigma"))
        return density(doubled, *args) + change

    return framework.nuts(wrong, args, supports, **settings(data, parameters))


@mutant(task="mixture", effect="components equally likely", parameters={"n_samples": 1000})
def equal_weights(framework, data, parameters):
    """The weight has its prior and no part in the likelihood."""
    density, args, supports = model.MODELS[parameters["posterior"]](data)

    def wrong(unknowns, *args):
        half = {**unknowns, "weight": jnp.full_like(unknowns["weight"], 0.5)}
        weight = unknowns["weight"]
        return density(half, *args) + jnp.log(weight) + jnp.log(1 - weight)

    return framework.nuts(wrong, args, supports, **settings(data, parameters))
