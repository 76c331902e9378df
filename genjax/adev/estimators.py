"""The built-in estimators: a distribution, and the rule by which expectations over it are differentiated.

Outside of `expectation` each is an ordinary random choice. The parameters are those of the distribution of that name,
by position or keyword; `flip_*` and `geometric_*` take a probability.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.adev.dual import Dual, DualTree
from genjax.adev.given import surrogate_jvp
from genjax.adev.primitive import ADEVPrimitive, KDual, KPure
from genjax.adev.rules import ENUMERATION, MEASURE_VALUED, PARALLEL_ENUMERATION, PATHWISE, SCORE_FUNCTION, Rule
from genjax.core.const import Const, const
from genjax.core.distribution import Distribution, distribution
from genjax.core.pytree import Pytree
from genjax.distributions import noise, supports
from genjax.distributions.family import FAMILIES, REQUIRED, Family, Form
from genjax.pjax.sites import Sampler, adev_sample_p, sample_site
from genjax.signatures import Args, Kwargs


@dataclass(frozen=True)
class EstimatorSite(Sampler):
    """The static part of a site of a built-in estimator: a sampler that broadcasts, and whose it is."""

    primitive: FamilyPrimitive = field(kw_only=True)

    def log_density(self, value: jax.Array, parameters: Sequence[jax.Array]) -> jax.Array:
        """`log p(value)` of every lane, in the batch shape of the value."""
        return self.primitive.family.logpdf(value, *parameters)


@functools.lru_cache(maxsize=256)
def _site_of(sampler: Sampler, primitive: FamilyPrimitive) -> EstimatorSite:
    values = {f.name: getattr(sampler, f.name) for f in fields(Sampler)}
    return EstimatorSite(**values, primitive=primitive)


@Pytree.dataclass
class FamilyPrimitive(ADEVPrimitive):
    """A primitive whose sampler and density are those of a family of distributions."""

    family: ClassVar[Family]
    rule: ClassVar[Rule]

    def site(self, args: Args, kwargs: Kwargs) -> tuple[EstimatorSite, list[jax.Array]]:
        """The site that these arguments make, and its parameters."""
        sampler, parameters = self.family.sampler_and_parameters(args, kwargs)
        return _site_of(sampler, self), parameters

    def __call__(self, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> jax.Array:
        site, parameters = self.site(args, kwargs)
        return sample_site(site, parameters, sample_shape, adev_sample_p)

    def sample(self, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> jax.Array:
        """Draw as a plain choice, without the estimator."""
        return self.family.sample(*args, sample_shape=sample_shape, **kwargs)

    def sample_with_key(
        self, key: jax.Array, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any
    ) -> jax.Array:
        """Draw with a key: `(*sample_shape, *batch, *event)`."""
        site, parameters = self.site(args, kwargs)
        return site.draw(key, *parameters, shape=(*sample_shape, *site.batch_shape(parameters)))

    def prim_jvp_estimate(self, dual_args: tuple[DualTree, ...], konts: tuple[KPure, KDual]) -> Dual:
        """The derivative of the rule's surrogate (see `genjax.adev.rules`), for estimators built on this one."""
        return surrogate_jvp(self.rule, self.site, dual_args, konts)

    prim_jvp_estimate.is_built_in = True  # type: ignore[attr-defined]


# Families as the estimators have them


def _flip_probabilities(self: FamilyPrimitive, p: jax.Array) -> jax.Array:
    """`(*batch, 2)`: the probabilities of False and True."""
    return jnp.stack([1 - p, p], axis=-1)


_geometric = Family(
    "Geometric",
    {"p": REQUIRED},
    [replace(next(f for f in FAMILIES["Geometric"].forms if f.parameters == ("probs",)), parameters=("p",))],
    supports.counts,
)


def _draw_diagonal_normal(
    key: jax.Array, loc: jax.Array, scale_diag: jax.Array, *, shape: tuple[int, ...]
) -> jax.Array:
    size = max(loc.shape[-1], scale_diag.shape[-1])
    return loc + scale_diag * noise.normal(key, (*shape, size), loc.dtype)


def _log_diagonal_normal_density(value: jax.Array, loc: jax.Array, scale_diag: jax.Array) -> jax.Array:
    return FAMILIES["Normal"].logpdf(value, loc, scale_diag).sum(-1)


def _vector(loc_shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> tuple[int, ...]:
    return jnp.broadcast_shapes(loc_shape[-1:], scale_shape[-1:])


_diagonal_normal = Family(
    "MultivariateNormalDiag",
    {"loc": REQUIRED, "scale_diag": REQUIRED},
    [
        Form(
            ("loc", "scale_diag"),
            _draw_diagonal_normal,
            _log_diagonal_normal_density,
            event_ranks=(1, 1),
            event_shape=_vector,
            value_rank=1,
        )
    ],
    supports.real_vector,
)


# Enumeration and measure-valued derivatives


@Pytree.dataclass
class FlipEnum(FamilyPrimitive):
    """`flip_enum(p)`: exact, `p D(True) + (1 - p) D(False)`. Under `vmap`: as `flip_mvd`, B + 1 runs and not 2^B."""

    family, rule, probabilities = FAMILIES["Flip"], ENUMERATION, _flip_probabilities


@Pytree.dataclass
class FlipEnumParallel(FamilyPrimitive):
    """`flip_enum_parallel(p)`: as `flip_enum`, with both values in one vmapped run of the rest."""

    family, rule, probabilities = FAMILIES["Flip"], PARALLEL_ENUMERATION, _flip_probabilities


@Pytree.dataclass
class FlipMVD(FamilyPrimitive):
    """`flip_mvd(p)`: draw b; `dD(b) + s (D(not b) - D(b)) dp`, s = -1 if b else 1; under `vmap` a sum over lanes."""

    family, rule, probabilities = FAMILIES["Flip"], MEASURE_VALUED, _flip_probabilities


@Pytree.dataclass
class CategoricalEnumParallel(FamilyPrimitive):
    """`categorical_enum_parallel(logits)`: exact, `sum_k softmax(logits)_k D(k)`, in one vmapped run of the rest."""

    family, rule = FAMILIES["Categorical"], PARALLEL_ENUMERATION

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """`(*batch, K)`."""
        return jax.nn.softmax(logits)


# Pathwise


@Pytree.dataclass
class NormalREPARAM(FamilyPrimitive):
    """`x = loc + scale e`, e ~ N(0, 1)."""

    family, rule = FAMILIES["Normal"], PATHWISE


@Pytree.dataclass
class UniformREPARAM(FamilyPrimitive):
    """`x = low + (high - low) u`, u ~ U(0, 1)."""

    family, rule = FAMILIES["Uniform"], PATHWISE


@Pytree.dataclass
class MultivariateNormalREPARAM(FamilyPrimitive):
    """`x = loc + chol(C) e`, e ~ N(0, I). A singular C has no Cholesky factor: NaN."""

    family, rule = FAMILIES["MultivariateNormal"], PATHWISE


@Pytree.dataclass
class MultivariateNormalDiagREPARAM(FamilyPrimitive):
    """`x = loc + scale_diag e`, e ~ N(0, I); scale_diag holds standard deviations."""

    family, rule = _diagonal_normal, PATHWISE


# Score function


@Pytree.dataclass
class FlipREINFORCE(FamilyPrimitive):
    """`flip_reinforce(p)`; p a probability.

    Unbiased for 0 < p < 1, with variance that grows as 1 / p: what is not drawn adds nothing. At p = 0 or 1, and in
    practice for p = 1e-6, the outcome that decides the derivative is never seen, and the estimate misses it. There use
    `flip_enum`, which sums over both outcomes, or `flip_mvd`.
    """

    family, rule = FAMILIES["Flip"], SCORE_FUNCTION


@Pytree.dataclass
class GeometricREINFORCE(FamilyPrimitive):
    """`geometric_reinforce(p)`: failures before the first success; p a probability, in sampler and density."""

    family, rule = _geometric, SCORE_FUNCTION


@Pytree.dataclass
class NormalREINFORCE(FamilyPrimitive):
    """`normal_reinforce(loc, scale)`."""

    family, rule = FAMILIES["Normal"], SCORE_FUNCTION


@Pytree.dataclass
class UniformREINFORCE(FamilyPrimitive):
    """`uniform_reinforce(low, high)`.

    Biased: the support depends on the parameters, and the score function leaves out what crosses its bounds,
    `(f(high) dhigh - f(low) dlow) / (high - low)`. Use `uniform_reparam` where the rest is differentiable.
    """

    family, rule = FAMILIES["Uniform"], SCORE_FUNCTION


@Pytree.dataclass
class MultivariateNormalREINFORCE(FamilyPrimitive):
    """`multivariate_normal_reinforce(loc, covariance_matrix)`."""

    family, rule = FAMILIES["MultivariateNormal"], SCORE_FUNCTION


@Pytree.dataclass
class REINFORCE(ADEVPrimitive):
    """The score-function estimator of a user's sampler: `dD(v) + D(v) d log p(v; args)`, v drawn. See `reinforce`."""

    sample_func: Const[Callable[..., ArrayLike]]
    logpdf_func: Const[Callable[..., ArrayLike]]
    keyful_sample_func: Const[Callable[..., ArrayLike] | None] = Pytree.field(default=Const(None))

    rule: ClassVar[Rule] = SCORE_FUNCTION

    def sample(self, *args: Any) -> ArrayLike:
        return self.sample_func.value(*args)

    def sample_with_key(self, key: jax.Array, *args: Any, sample_shape: tuple[int, ...] = ()) -> ArrayLike:
        if self.keyful_sample_func.value is None:
            raise NotImplementedError(
                "REINFORCE must implement sample_with_key: give reinforce(sample_func, logpdf_func, "
                "keyful_sample_func) its third argument, `(key, *args, sample_shape=()) -> value`."
            )
        return self.keyful_sample_func.value(key, *args, sample_shape=sample_shape)

    def log_density(self, value: ArrayLike, *args: Any) -> ArrayLike:
        """`log p(value; args)`."""
        return self.logpdf_func.value(value, *args)

    def prim_arguments(self) -> Callable[..., ArrayLike]:
        return self.sample_func.value

    def prim_jvp_estimate(self, dual_args: tuple[DualTree, ...], konts: tuple[KPure, KDual]) -> Dual:
        return surrogate_jvp(self.rule, self.site, dual_args, konts)

    prim_jvp_estimate.is_built_in = True  # type: ignore[attr-defined]


def reinforce(
    sample_func: Callable[..., ArrayLike],
    logpdf_func: Callable[..., ArrayLike],
    keyful_sample_func: Callable[..., ArrayLike] | None = None,
) -> REINFORCE:
    """A primitive with the score-function estimator.

    Args:
        sample_func: `sample_func(*args) -> value`, keyless; names the arguments.
        logpdf_func: `logpdf_func(value, *args) -> log density`, differentiable in the arguments.
        keyful_sample_func: `(key, *args, sample_shape=()) -> value`; what draws are made with.

    Returns:
        A primitive; `distribution(primitive, logpdf_func)` makes it addressable.

    Raises:
        NotImplementedError: on use, where `keyful_sample_func` is not given.

    Source: Williams, *Simple statistical gradient-following algorithms*, Machine Learning 8, 1992.
    """
    return REINFORCE(const(sample_func), const(logpdf_func), const(keyful_sample_func))


def _distribution(primitive: FamilyPrimitive, name: str) -> Distribution[jax.Array]:
    return distribution(primitive, primitive.family.logpdf, name=name, support=primitive.family.support)


flip_enum = FlipEnum()
flip_enum_parallel = FlipEnumParallel()
flip_mvd = FlipMVD()
categorical_enum_parallel = CategoricalEnumParallel()

normal_reparam = _distribution(NormalREPARAM(), "normal_reparam")
uniform_reparam = _distribution(UniformREPARAM(), "uniform_reparam")
multivariate_normal_reparam = _distribution(MultivariateNormalREPARAM(), "multivariate_normal_reparam")
# Its density is one number, also for a batch of vectors.
multivariate_normal_diag_reparam = distribution(
    MultivariateNormalDiagREPARAM(),
    lambda value, loc, scale_diag: jnp.sum(_diagonal_normal.logpdf(value, loc, scale_diag)),
    name="multivariate_normal_diag_reparam",
    support=supports.real_vector,
)

flip_reinforce = _distribution(FlipREINFORCE(), "flip_reinforce")
geometric_reinforce = _distribution(GeometricREINFORCE(), "geometric_reinforce")
normal_reinforce = _distribution(NormalREINFORCE(), "normal_reinforce")
uniform_reinforce = _distribution(UniformREINFORCE(), "uniform_reinforce")
multivariate_normal_reinforce = _distribution(MultivariateNormalREINFORCE(), "multivariate_normal_reinforce")
