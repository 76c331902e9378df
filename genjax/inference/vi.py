"""Variational inference: stochastic ascent on the ELBO, with the gradient estimator chosen per random choice.

For a target density p(x, y), observations y and a family q(x; t),

    ELBO(t) = E_{x ~ q(.; t)}[log p(x, y) - log q(x; t)] <= log p(y).

Source: Becker, Lew, Wang, Ghavami, Huot, Rinard, Mansinghka, *Probabilistic programming with programmable variational
inference*, PLDI 2024; the importance-weighted bound: Burda, Grosse, Salakhutdinov, *Importance weighted autoencoders*,
ICLR 2016, equation 8.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.adev import Expectation, expectation
from genjax.adev.expectation import independent_estimates
from genjax.adev.primitive import draw_key
from genjax.core.const import Const, Size, count, unwrap
from genjax.core.gfi import AnyGFI
from genjax.core.pytree import Pytree
from genjax.inference.optimizers import Adam, Optimizer
from genjax.inference.variational_families import full_covariance_normal_family as full_covariance_normal_family
from genjax.inference.variational_families import mean_field_normal_family as mean_field_normal_family
from genjax.pjax import modular_vmap, seed
from genjax.shapes import Float
from genjax.signatures import Args, Constraints, PyTree

Settings: TypeAlias = Const[tuple[int, bool, Optimizer | None]]
"""Number of steps, whether the parameters after each are kept, and the optimiser if it is not Adam."""


@Pytree.dataclass
class VariationalApproximation(Pytree):
    """What `elbo_vi` and `optimize_vi` return.

    Attributes:
        final_params: the parameters after the last step.
        param_history: the parameters after each step, with a leading axis n_iterations; None if not tracked.
        loss_history: (n_iterations,), minus the ELBO estimate at the parameters before each step.
        n_iterations: number of steps.
    """

    final_params: PyTree
    param_history: PyTree
    loss_history: Float[jax.Array, "n_iterations"]
    n_iterations: Const[int]

    def get_final_params(self) -> PyTree:
        """The parameters after the last step."""
        return self.final_params

    def get_loss_history(self) -> Float[jax.Array, "n_iterations"]:
        """Minus the ELBO estimate before each step: (n_iterations,)."""
        return self.loss_history

    def get_param_history(self) -> PyTree:
        """The parameters after each step, with a leading axis n_iterations."""
        return self.param_history


# The objective


def elbo_factory(
    target_gf: AnyGFI,
    variational_family: AnyGFI,
    constraint: Constraints,
    target_args: Args = (),
    n_samples: int | Const[int] = 1,
    is_importance_weighted: bool = False,
) -> Expectation:
    """The ELBO as an expectation over the parameters of a variational family.

    Args:
        target_gf: the model.
        variational_family: called as `family(constraint, *params)`; its random choices have gradient estimators, and
            are the model's choices that `constraint` leaves out. Its return value is ignored.
        constraint: the observed choices.
        target_args: the model's arguments.
        n_samples: n, the number of vmapped draws x_i of the family.
        is_importance_weighted: average the weights, and not their logarithms.

    Returns:
        An `Expectation` over `params`: with `log w_i = log p(x_i, y) - log q(x_i; params)`, `mean_i log w_i`;
        importance weighted, `log(mean_i w_i)`, a bound on log p(y) that gets tighter with n. With score-function
        estimators the latter's gradient is unbiased but noisy: every score multiplies the whole bound.

    Raises:
        ValueError: n_samples is less than 1.
    """
    n_draws = count(n_samples, "n_samples", least=1)

    def log_weight(*params: PyTree) -> jax.Array:
        trace = variational_family.simulate(constraint, *params)
        choices, _ = target_gf.merge(constraint, trace.get_choices())
        log_density, _ = target_gf.assess(choices, *target_args)
        return jnp.sum(log_density) + trace.get_score()

    def elbo(*params: PyTree) -> jax.Array:
        if n_draws == 1:
            return log_weight(*params)
        lane = lambda: log_weight(*params)
        if is_importance_weighted:
            log_weights = modular_vmap(lane, in_axes=(), axis_size=n_draws)()
            return jax.nn.logsumexp(log_weights) - jnp.log(n_draws)
        return jnp.mean(independent_estimates(lane, n_draws))

    return expectation(elbo)


# Optimisation


def optimize_vi(
    elbo_fn: Expectation,
    init_params: PyTree,
    learning_rate: float | jax.Array = 1e-3,
    n_iterations: int | Const[int] = 1000,
    track_history: bool | Const[bool] = True,
    optimizer: Optimizer | Const[Optimizer | None] | None = None,
) -> VariationalApproximation:
    """Maximise an expectation by stochastic gradients, with Adam unless another optimiser is given.

    Runs without a key, under `seed`, `jit` and `vmap`; it compiles once per objective and shapes.

    Args:
        elbo_fn: the objective, an `Expectation` over the parameters.
        init_params: where to start: any pytree of floats. A tuple holds several arguments of the objective.
        learning_rate: of Adam, used where no optimizer is given: a parameter moves by about that much a step, so it
            takes `distance / learning_rate` steps to get anywhere.
        n_iterations: number of steps.
        track_history: whether to keep the parameters of every step.
        optimizer: anything with `init(params) -> state` and `update(gradients, state, params) -> (updates, state)`,
            such as an optax optimiser; it is given gradients of the loss, minus the objective, and its updates are
            added. None is `Adam(learning_rate)`; `genjax.inference.optimizers.GradientDescent(r)` is plain ascent,
            `params <- params + r gradient`. Under `seed` pass it as `Const(optimizer)`.

    Returns:
        A `VariationalApproximation`.

    Raises:
        TypeError: a leaf of init_params is not a floating-point number, or the optimizer lacks `init` or `update`.
        ValueError: n_iterations is negative.
    """
    params, settings = _prepare(init_params, n_iterations, track_history, optimizer)
    # The steps have keys of their own, so that the loop can be compiled where no key was given.
    return seed(_ascend)(draw_key(), elbo_fn, params, learning_rate, settings)


optimize_vi.__static_parameters__ = ("n_iterations", "track_history", "optimizer")  # type: ignore[attr-defined]


def elbo_vi(
    target_gf: AnyGFI,
    variational_family: AnyGFI,
    init_params: PyTree,
    constraint: Constraints,
    target_args: Args = (),
    learning_rate: float | jax.Array = 1e-3,
    n_iterations: int | Const[int] = 1000,
    track_history: bool | Const[bool] = True,
    optimizer: Optimizer | Const[Optimizer | None] | None = None,
    n_samples: int | Const[int] = 1,
    is_importance_weighted: bool | Const[bool] = False,
) -> VariationalApproximation:
    """Fit a variational family to the posterior of a model by maximising its ELBO.

    Args:
        target_gf, variational_family, constraint, target_args, n_samples, is_importance_weighted: see `elbo_factory`.
        init_params, learning_rate, n_iterations, track_history, optimizer: see `optimize_vi`.

    Returns:
        A `VariationalApproximation`.

    Raises:
        TypeError, ValueError: see `elbo_factory` and `optimize_vi`.
    """
    objective = Const((count(n_samples, "n_samples", least=1), bool(unwrap(is_importance_weighted))))
    params, settings = _prepare(init_params, n_iterations, track_history, optimizer)
    return seed(_fit)(
        draw_key(),
        (target_gf, variational_family, objective),
        constraint,
        target_args,
        params,
        learning_rate,
        settings,
    )


elbo_vi.__static_parameters__ = (  # type: ignore[attr-defined]
    "n_iterations",
    "track_history",
    "optimizer",
    "n_samples",
    "is_importance_weighted",
)


def _fit(
    models: tuple[AnyGFI, AnyGFI, Const[tuple[int, bool]]],
    constraint: Constraints,
    target_args: Args,
    params: PyTree,
    learning_rate: float | jax.Array,
    settings: Settings,
) -> VariationalApproximation:
    target_gf, variational_family, objective = models
    elbo = elbo_factory(target_gf, variational_family, constraint, tuple(target_args), *objective.value)
    return _ascend(elbo, params, learning_rate, settings)


def _ascend(
    elbo: Expectation, params: PyTree, learning_rate: float | jax.Array, settings: Settings
) -> VariationalApproximation:
    n_iterations, is_tracked, given = settings.value
    optimizer = Adam(learning_rate) if given is None else given

    def step(loop: PyTree, _: None) -> tuple[PyTree, PyTree]:
        params, state = loop
        arguments = params if isinstance(params, tuple) else (params,)
        value, gradient = elbo.value_and_grad_estimate(*arguments)
        if isinstance(params, tuple) and len(params) == 1:
            gradient = (gradient,)
        updates, state = optimizer.update(jax.tree.map(jnp.negative, gradient), state, params)
        params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
        return (params, state), (params if is_tracked else None, -value)

    (params, _), (history, losses) = jax.lax.scan(step, (params, optimizer.init(params)), None, length=n_iterations)
    return VariationalApproximation(params, history, losses, Const(n_iterations))


def _prepare(
    init_params: PyTree,
    n_iterations: Size,
    track_history: bool | Const[bool],
    optimizer: Optimizer | Const[Optimizer | None] | None,
) -> tuple[PyTree, Settings]:
    """The parameters as arrays, and what is static about the optimisation."""
    optimizer = unwrap(optimizer)
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(f"The optimizer, a {type(optimizer).__name__}, has no methods `init` and `update`.")
    settings = (count(n_iterations, "n_iterations", least=0), bool(unwrap(track_history)), optimizer)
    return jax.tree.map(_as_floating, init_params), Const(settings)


def _as_floating(leaf: ArrayLike) -> jax.Array:
    array = jnp.asarray(float(leaf) if type(leaf) is int else leaf)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"Variational parameters are floating numbers, got {array.dtype} of shape {array.shape}.")
    return jnp.asarray(array, array.dtype)
