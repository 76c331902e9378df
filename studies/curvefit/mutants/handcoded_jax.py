"""Wrong on purpose: each is the hand-coded program with one change, and the gate must call it invalid."""

import jax
import jax.numpy as jnp

from frameworks.base import Program, mutant
from studies.curvefit.models import handcoded_jax as model


@mutant(task="basic_hmc", effect="every proposal accepted", cheap=True)
def always_accepts(framework, data, parameters):
    """Leapfrog without its correction."""
    return chains(framework, data, parameters, lambda log_alpha, log_uniform: jnp.full_like(log_alpha, True, bool))


@mutant(task="basic_hmc", effect="half the leapfrog steps", cheap=True)
def half_the_steps(framework, data, parameters):
    """Half the work."""
    return model.basic_hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] // 2})


@mutant(task="basic_hmc", effect="a leapfrog step fewer", cheap=True)
def one_step_fewer(framework, data, parameters):
    """A sixtieth of the work saved."""
    return model.basic_hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] - 1})


@mutant(task="basic_hmc", effect="noise sd {strength:.1%} too large", strengths=(0.02, 0.005, 0.001))
def noise_sd(framework, data, parameters):
    """The likelihood of another noise."""
    return model.basic_hmc(
        framework, data, {**parameters, "noise_sd": parameters["noise_sd"] * (1 + parameters["strength"])}
    )


@mutant(
    task="importance_sampling", effect="prior sd {strength:.1%} too large", parameters={"n_particles": 10000},
    strengths=(0.1, 0.05, 0.02),
)  # fmt: skip
def prior_sd(framework, data, parameters):
    """Curves from a wider prior, weighted by the right likelihood."""
    return changed_draws(
        framework, data, parameters, lambda draws: {k: v * (1 + parameters["strength"]) for k, v in draws.items()}
    )


@mutant(task="importance_sampling", effect="one draw rolled into all coefficients", cheap=True)
def rolled(framework, data, parameters):
    """A third of the random numbers."""
    return changed_draws(
        framework, data, parameters, lambda draws: {name: jnp.roll(draws["a"], i) for i, name in enumerate("abc")}
    )


@mutant(task="importance_sampling", effect="half drawn, half jittered copies", cheap=True)
def half_jittered(framework, data, parameters):
    """Half of the random numbers."""

    def jittered(draws):
        half = {name: x[: len(x) // 2] for name, x in draws.items()}
        return {name: jnp.concatenate([half[name], half[name] * 1.0001 + 1e-4]) for name in draws}

    return changed_draws(framework, data, parameters, jittered)


def changed_draws(framework, data, parameters, change):
    """The model's program of importance sampling with other draws."""

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return change({name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)})

    inputs = (jnp.asarray(data["xs"]), jnp.asarray(data["ys"]))
    return framework.importance_sampling(
        draw_prior, model.log_likelihood(parameters), inputs, n_particles=parameters["n_particles"]
    )


def chains(framework, data, parameters, accepts):
    """Hamiltonian Monte Carlo from the prior's mean with another rule of acceptance."""
    likelihood = model.log_likelihood(parameters)
    n_chains, n_steps, step_size = parameters["n_chains"], parameters["n_steps"], parameters["step_size"]

    def log_density(state, xs, ys):
        return jax.scipy.stats.norm.logpdf(state).sum() + likelihood(dict(zip("abc", state, strict=True)), xs, ys)

    def prepare(seed):
        return {"key": jax.random.key(seed), "data": jax.device_put((data["xs"], data["ys"]))}

    def run(inputs):
        density = jax.vmap(jax.value_and_grad(lambda state: log_density(state, *inputs["data"])))

        def step(state, key):
            momentum_key, uniform_key = jax.random.split(key)
            first = jax.random.normal(momentum_key, state.shape)
            value, gradient = density(state)

            def leapfrog(_, at):
                new, momentum, gradient = at
                momentum = momentum + 0.5 * step_size * gradient
                new = new + step_size * momentum
                gradient = density(new)[1]
                return new, momentum + 0.5 * step_size * gradient, gradient

            new, momentum, _ = jax.lax.fori_loop(0, parameters["n_leapfrog"], leapfrog, (state, first, gradient))
            log_alpha = density(new)[0] - value - 0.5 * ((momentum**2).sum(-1) - (first**2).sum(-1))
            accept = accepts(log_alpha, jnp.log(jax.random.uniform(uniform_key, log_alpha.shape)))
            state = jnp.where(accept[:, None], new, state)
            return state, state

        _, states = jax.lax.scan(step, jnp.zeros((n_chains, 3)), jax.random.split(inputs["key"], n_steps))
        return {name: states[:, :, i].T for i, name in enumerate("abc")}

    return Program(prepare, run)
