"""Distributions: generative functions of one choice."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core.addresses import check_selection
from genjax.core.choices import Fixed, is_empty, without_strict
from genjax.core.const import Const
from genjax.core.fit import as_drawn, fitted
from genjax.core.gfi import GFI, Density, Weight
from genjax.core.handlers import current_handler, handling
from genjax.core.lanes import scalar
from genjax.core.made import mark
from genjax.core.observed import like
from genjax.core.partial import Masked, select_where
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase, is_selected
from genjax.core.sites import Site, site_of
from genjax.core.trace import Tr, Trace, get_choices
from genjax.pjax.sites import wrap_sampler
from genjax.signatures import Args, Kwargs

if TYPE_CHECKING:
    from genjax.distributions.supports import Support

X = TypeVar("X")


@Pytree.dataclass
class Distribution(GFI[X, X], Generic[X]):
    """A sampler and its log density. The choice is the sampled value, and so is the return value.

    `assess` and `logpdf` are elementwise over a batch of values; scores and weights are sums.
    """

    _sample: Const[Callable[..., X]]
    _logpdf: Const[Callable[..., ArrayLike]]
    name: Const[str | None] = Pytree.field(default=Const(None))
    _support: Const[Support | None] = Pytree.field(default=Const(None))
    _is_polynomial: Const[bool] = Pytree.field(default=Const(False))

    @property
    def support(self) -> Support | None:
        """The set of its values, see `genjax.distributions.supports`; None if unknown."""
        return self._support.value

    @property
    def is_polynomial(self) -> bool:
        """Whether the log density takes no logarithm of a value, so that `sum_lanes` may sum many by a product."""
        return self._is_polynomial.value

    @property
    def __name__(self) -> str:
        return self.name.value or "distribution"

    def sample(self, *args: Any, **kwargs: Any) -> X:
        """Draw a value; built-in distributions also take `sample_shape=(...)`, a leading shape of independent draws."""
        shape = kwargs.get("sample_shape")
        if isinstance(shape, Const):
            kwargs = {**kwargs, "sample_shape": shape.value}
        handler = current_handler()
        if handler is not None:
            handler.drew(self)
        with handling(None):  # a sampler that calls other generative functions runs them outside of the model
            return self._sample.value(*args, **kwargs)

    sample.__static_parameters__ = ("sample_shape",)  # type: ignore[attr-defined]

    def logpdf(self, v: X, *args: Any, **kwargs: Any) -> jax.Array:
        """`log p(v; args)`, elementwise over the batch shape."""
        with handling(None):
            return self._logpdf.value(v, *args, **kwargs)

    def simulate(self, *args: Any, **kwargs: Any) -> Tr[X, X]:
        value = self.sample(*args, **kwargs)
        return self._trace(value, args, kwargs)

    def assess(self, x: X, *args: Any, **kwargs: Any) -> tuple[Density, X]:
        x = get_choices(without_strict(x))
        if is_empty(x):
            raise KeyError(f"{self.__name__}.assess needs a value, got {x!r}.")
        if isinstance(x, Masked):  # there, but counted where the mask is true only
            log_density = jnp.asarray(self.logpdf(x.value, *args, **kwargs))
            return select_where(x.mask, log_density, jnp.zeros_like(log_density)), x.value
        return self.logpdf(x, *args, **kwargs), x

    def sites(self, x: X, *args: Any, **kwargs: Any) -> tuple[Site, X]:
        log_density, value = self.assess(x, *args, **kwargs)
        return site_of(self.support, value, log_density, args, kwargs), value

    def generate(self, x: X | None, *args: Any, **kwargs: Any) -> tuple[Tr[X, X], Weight]:
        x = without_strict(x)
        if is_empty(x):
            return self.simulate(*args, **kwargs), jnp.array(0.0)
        x = fitted(self, x, args, kwargs)
        if isinstance(x, Masked):
            self._check_whole(x)
            value = select_where(x.mask, x.value, self.sample(*args, **kwargs))
            log_density = self.logpdf(value, *args, **kwargs)
            weight = scalar(select_where(x.mask, log_density, jnp.zeros_like(log_density)))
            return Tr(self, (args, kwargs, jnp.asarray(x.mask, bool)), value, value, -scalar(log_density)), weight
        trace, weight = self._scored(x, args, kwargs)
        value = as_drawn(self, x, args, kwargs)
        return (trace if value is x else dataclasses.replace(trace, _choices=value, _retval=value)), weight

    def update(self, tr: Trace[X, X], x: X | None, *args: Any, **kwargs: Any) -> tuple[Tr[X, X], Weight, X]:
        x, old = without_strict(x), tr.raw_choices()
        x = old if is_empty(x) else fitted(self, x, args, kwargs)
        if isinstance(x, Masked):
            x = select_where(x.mask, x.value, get_choices(old))
        new = self._moved(tr, x, args, kwargs)
        return new, tr.raw_score() - new.raw_score(), get_choices(old)

    def regenerate(
        self, tr: Trace[X, X], selection: SelectionBase, *args: Any, **kwargs: Any
    ) -> tuple[Tr[X, X], Weight, X | None]:
        old = tr.raw_choices()
        if is_selected(check_selection(selection, tr, "regenerate()")):
            new = self._moved(tr, self.sample(*args, **kwargs), args, kwargs)
            return new, jnp.array(0.0), get_choices(old)
        new = self._moved(tr, old, args, kwargs)
        return new, tr.raw_score() - new.raw_score(), None

    def project(self, tr: Trace[X, X], selection: SelectionBase) -> Density:
        score = tr.get_score()
        return -score if is_selected(check_selection(selection, tr, "project()")) else jnp.zeros_like(score)

    def merge(self, x: X, x_: X, check: jax.Array | None = None) -> tuple[X, X | None]:
        if check is None:
            raise ValueError(
                f"Can't merge two values of the distribution {self.__name__}: one choice has one value. "
                "Pass `check` to take where(check, x, x_)."
            )
        return jax.tree.map(functools.partial(select_where, check), x, x_), None

    def filter(self, x: X, selection: SelectionBase) -> tuple[X | None, X | None]:
        return (x, None) if is_selected(selection) else (None, x)

    def _check_whole(self, x: Masked) -> None:
        """Raise for a mask that observes a part of one value, such as some entries of a simplex."""
        event_rank = getattr(self.support, "event_rank", 0)
        if jnp.ndim(x.mask) > jnp.ndim(x.value) - event_rank:
            raise ValueError(
                f"{self.__name__} got a constraint with a mask of shape {jnp.shape(x.mask)} for values of shape "
                f"{jnp.shape(x.value)}, whose last {event_rank} axes are one value ({self.support}). A value is "
                "observed as a whole or not at all: leave these axes out of the mask."
            )

    def _scored(self, choice: X | Fixed, args: Args, kwargs: Kwargs) -> tuple[Tr[X, X], jax.Array]:
        value = choice.value if isinstance(choice, Fixed) else choice
        # A user's density may return a Python float.
        log_density = jnp.asarray(scalar(self.logpdf(value, *args, **kwargs), self.is_polynomial))
        return Tr(self, (args, kwargs), choice, value, -log_density), log_density

    def _trace(self, choice: X | Fixed, args: Args, kwargs: Kwargs) -> Tr[X, X]:
        return self._scored(choice, args, kwargs)[0]

    def _moved(self, old: Trace[X, X], choice: X | Fixed, args: Args, kwargs: Kwargs) -> Tr[X, X]:
        return dataclasses.replace(self._trace(choice, args, kwargs), _args=like(args, kwargs, old))

    def __repr__(self) -> str:
        return self.__name__


def distribution(
    sampler: Callable[..., X],
    logpdf: Callable[..., ArrayLike],
    /,
    name: str | None = None,
    support: Support | None = None,
    *,
    is_polynomial: bool = False,
) -> Distribution[X]:
    """A distribution from a keyless sampler and a log density.

    Args:
        sampler: `sampler(*args, **kwargs) -> value`. Anything callable: another distribution's `sample`, a
            `wrap_sampler`-ed keyful sampler, an ADEV primitive. It is called with the caller's own values, unstaged.
        logpdf: `logpdf(value, *args, **kwargs) -> log density`, elementwise over a batch of values.
        name: shown in messages.
        support: the set of its values, an object of `genjax.distributions.supports`; None if unknown.
        is_polynomial: whether `logpdf` takes no logarithm of a value; such densities are summed in a faster way where
            many particles share the values.

    Returns:
        A `Distribution`, with the value as choice and return value.
    """
    return Distribution(Const(mark(sampler)), Const(mark(logpdf)), Const(name), Const(support), Const(is_polynomial))


def tfp_distribution(constructor: Callable[..., Any], /, name: str | None = None) -> Distribution[jax.Array]:
    """A distribution from a TensorFlow Probability constructor (JAX substrate), for users who have TFP.

    Args:
        constructor: a class or function; `constructor(*args, **kwargs)` has `.sample(seed=, sample_shape=)` and
            `.log_prob(value)`.
        name: shown in messages; the constructor's name by default.

    Returns:
        A `Distribution` with that sampler and density.
    """
    from genjax.compat import enable_tfp

    enable_tfp()
    label = name or getattr(constructor, "__name__", "tfp")

    def keyful_sampler(key: jax.Array, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> jax.Array:
        return constructor(*args, **kwargs).sample(seed=key, sample_shape=sample_shape)

    def log_density(value: ArrayLike, *args: Any, **kwargs: Any) -> jax.Array:
        return constructor(*args, **kwargs).log_prob(value)

    return distribution(wrap_sampler(keyful_sampler, label), log_density, label)
