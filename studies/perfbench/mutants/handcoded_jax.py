"""Wrong on purpose: each is the hand-coded program with one change, and the gate must call it invalid."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from frameworks.base import Program, mutant
from studies.perfbench.models import handcoded_jax as model

# Importance sampling


@mutant(
    task="importance_sampling", effect="prior sd {strength:.1%} too large", parameters={"n_particles": 10000},
    cheap=True, strengths=(0.02, 0.015, 0.01, 0.005),
)  # fmt: skip
def prior_sd(framework, data, parameters):
    """Curves from a wider prior, weighted by the right likelihood."""
    return with_draws(framework, data, parameters, lambda z: (1 + parameters["strength"]) * z)


@mutant(task="importance_sampling", effect="one draw rolled into all coefficients", cheap=True)
def rolled(framework, data, parameters):
    """A third of the random numbers."""
    return with_draws(framework, data, parameters, lambda z: jnp.stack([jnp.roll(z[0], i) for i in range(3)]))


@mutant(task="importance_sampling", effect="one draw mirrored into all coefficients", cheap=True)
def mirrored(framework, data, parameters):
    """A third of the random numbers: z, -z and z backwards."""
    return with_draws(framework, data, parameters, lambda z: jnp.stack([z[0], -z[0], z[0, ::-1]]))


@mutant(task="importance_sampling", effect="half drawn, half copies", cheap=True)
def half_copies(framework, data, parameters):
    """Half of the random numbers."""
    return with_draws(framework, data, parameters, lambda z: jnp.tile(z[:, : z.shape[1] // 2], (1, 2)))


@mutant(task="importance_sampling", effect="half drawn, half jittered copies", cheap=True)
def half_jittered(framework, data, parameters):
    """Half of the random numbers, and none of them twice."""

    def jittered(z):
        half = z[:, : z.shape[1] // 2]
        return jnp.concatenate([half, half + 1e-3 * jnp.roll(half, 1, axis=1)], axis=1)

    return with_draws(framework, data, parameters, jittered)


@mutant(task="importance_sampling", effect="half drawn, half mirrored particles", cheap=True)
def half_mirrored(framework, data, parameters):
    """Antithetic pairs."""
    return with_draws(framework, data, parameters, lambda z: jnp.concatenate([z[:, ::2], -z[:, ::2]], axis=1))


@mutant(
    task="importance_sampling", effect="likelihood of noise sd {strength:.2%} too large", strengths=(0.02, 1e-3, 1e-4)
)
def noise_sd_of_weights(framework, data, parameters):
    """The weights of another likelihood."""
    wider = {**data, "noise_sd": data["noise_sd"] * (1 + parameters["strength"])}
    return model.importance_sampling(framework, wider, parameters)


def with_draws(framework, data, parameters, change):
    """The model's program of importance sampling with other draws, (3, n_particles) standard normals changed."""

    def draw_prior(key, shape):
        return dict(zip("abc", change(jax.random.normal(key, (3, *shape))), strict=True))

    return framework.importance_sampling(
        draw_prior, model.log_likelihood(data), (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


# Hamiltonian Monte Carlo


@mutant(task="hmc", effect="noise sd {strength:.1%} too large", cheap=True, strengths=(0.02, 0.01, 0.005, 0.001))
def noise_sd(framework, data, parameters):
    """The likelihood of another noise."""
    return model.hmc(framework, {**data, "noise_sd": data["noise_sd"] * (1 + parameters["strength"])}, parameters)


@mutant(task="hmc", effect="prior sd {strength:.0%} too large", cheap=True, strengths=(0.5, 0.1, 0.02, 0.01))
def prior_sd_of_chains(framework, data, parameters):
    """The prior of another width."""

    def wider(of_curve):
        def density(curve, xs, ys):
            scale = 1 + parameters["strength"]
            return of_curve(curve, xs, ys) + sum(norm.logpdf(x, 0.0, scale) - norm.logpdf(x) for x in curve.values())

        return density

    return with_density(framework, data, parameters, wider)


@mutant(task="hmc", effect="gradient in bfloat16", cheap=True)
def bfloat16_gradient(framework, data, parameters):
    """The density is exact, its gradient has eight bits."""

    def rounded(of_curve):
        @jax.custom_vjp
        def density(curve, xs, ys):
            return of_curve(curve, xs, ys)

        def forward(curve, xs, ys):
            value, gradient = jax.value_and_grad(of_curve)(curve, xs, ys)
            # XLA may leave out a conversion to bfloat16 and back.
            return value, jax.tree.map(lambda x: jax.lax.reduce_precision(x, 8, 7), gradient)

        def backward(gradient, cotangent):
            return jax.tree.map(lambda x: x * cotangent, gradient), None, None

        density.defvjp(forward, backward)
        return density

    return with_density(framework, data, parameters, rounded)


@mutant(task="hmc", effect="21 leapfrog steps instead of 20", cheap=True)
def more_steps(framework, data, parameters):
    """One step more than asked for."""
    return model.hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] + 1})


@mutant(task="hmc", effect="19 leapfrog steps instead of 20", cheap=True)
def fewer_steps(framework, data, parameters):
    """One step fewer than asked for."""
    return model.hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] - 1})


@mutant(task="hmc", effect="steps {strength:.1%} too long", strengths=(0.02, 0.005, 0.001))
def step_size(framework, data, parameters):
    """Another step size."""
    return model.hmc(
        framework, data, {**parameters, "step_size": parameters["step_size"] * (1 + parameters["strength"])}
    )


@mutant(task="hmc", effect="without warm-up", cheap=True)
def no_warmup(framework, data, parameters):
    """The first states are kept."""
    return model.hmc(framework, data, {**parameters, "n_warmup": 0})


@mutant(task="hmc_chains", effect="without warm-up", parameters={"n_chains": 10})
def no_warmup_of_chains(framework, data, parameters):
    """The first states are kept, of ten chains."""
    return model.hmc(framework, data, {**parameters, "n_warmup": 0})


@mutant(task="hmc", effect="acceptance by a coin of 90%", cheap=True)
def coin(framework, data, parameters):
    """No density is needed to accept."""
    return chains(framework, data, parameters, lambda log_alpha, log_uniform: log_uniform < jnp.log(0.9))


@mutant(task="hmc", effect="acceptance by a coin of 70%, the right rate", cheap=True)
def coin_of_the_right_rate(framework, data, parameters):
    """The share of moves tells nothing."""
    return chains(framework, data, parameters, lambda log_alpha, log_uniform: log_uniform < jnp.log(0.696))


@mutant(task="hmc", effect="every proposal accepted", cheap=True)
def always_accepts(framework, data, parameters):
    """Leapfrog without its correction."""
    return chains(framework, data, parameters, lambda log_alpha, log_uniform: log_uniform <= 0)


@mutant(
    task="hmc",
    effect="21 leapfrog steps, nothing but states reported",
    not_reported=("log_density", "acceptance_probability"),
)
def more_steps_silently(framework, data, parameters):
    """As a system that does not tell densities and acceptance probabilities."""
    return silent(more_steps(framework, data, parameters))


@mutant(
    task="hmc",
    effect="noise sd {strength:.1%} too large, nothing but states reported",
    strengths=(0.1, 0.05, 0.02),
    not_reported=("log_density", "acceptance_probability"),
)
def noise_sd_silently(framework, data, parameters):
    """As a system that does not tell densities and acceptance probabilities."""
    return silent(noise_sd(framework, data, parameters))


@mutant(
    task="hmc",
    effect="acceptance by a coin of 90%, nothing but states reported",
    not_reported=("log_density", "acceptance_probability"),
)
def coin_silently(framework, data, parameters):
    """As a system that does not tell densities and acceptance probabilities."""
    return silent(coin(framework, data, parameters))


@mutant(task="hmc", effect="gradient in bfloat16, and silent about its energies", cheap=True)
def bfloat16_gradient_silently(framework, data, parameters):
    """Its states are as good as right ones: only the reports that the gate demands tell."""
    return silent(bfloat16_gradient(framework, data, parameters))


def silent(program):
    """The program without what it reports beside its states."""
    return Program(program.prepare, lambda inputs: {name: program.run(inputs)[name] for name in "abc"}, program.notes)


def with_density(framework, data, parameters, change):
    """The model's program of Hamiltonian Monte Carlo on a changed density."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(
        change(model.log_density(data)), (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names}
    )


def chains(framework, data, parameters, accepts):
    """Hamiltonian Monte Carlo, one chain, with another rule of acceptance; it reports what it computes."""
    log_density = model.log_density(data)
    n_warmup, n_steps = parameters["n_warmup"], parameters["n_warmup"] + parameters["n_samples"]
    step_size = parameters["step_size"]

    def prepare(seed):
        return {"key": jax.random.key(seed), "data": jax.device_put((data["xs"], data["ys"], data["start"]))}

    def run(inputs):
        xs, ys, start = inputs["data"]
        density = jax.value_and_grad(lambda state: log_density(dict(zip("abc", state, strict=True)), xs, ys))

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
            new_value = density(new)[0]
            log_alpha = new_value - value - 0.5 * ((momentum**2).sum() - (first**2).sum())
            accept = accepts(log_alpha, jnp.log(jax.random.uniform(uniform_key)))
            state = jnp.where(accept, new, state)
            told = jnp.stack([jnp.where(accept, new_value, value), jnp.exp(jnp.minimum(log_alpha, 0.0))])
            return state, jnp.concatenate([state, told])

        _, kept = jax.lax.scan(step, start, jax.random.split(inputs["key"], n_steps))
        names = (*"abc", "log_density", "acceptance_probability")
        return {name: kept[n_warmup:, i][None] for i, name in enumerate(names)}

    return Program(prepare, run)
