"""Models with their likelihood raised to a power: the path from the prior to the posterior.

With P the density of a model, y what was observed in a trace (its marks, see `genjax.core.observed`) and L the sum of
the log densities of y given their parents, the tempered model of inverse temperature b has the density

    log P_b(x, y) = log P(x, y) + (b - 1) L(x, y),

from the prior at b = 0 to the joint density at b = 1. It is a generative function with the same addresses, and its
traces are made of the same parts, so that every kernel moves them. Where L is -inf, so is the density, for every b.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import jax.numpy as jnp
from jax import Array

from genjax.core import GFI, CondTr, Masked, Pytree, ScanTr, Tr, sel
from genjax.core.addresses import Path
from genjax.core.arguments import raw_args, stored_marks, unshared, with_args
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.observed import Marks, Whole, observed_marks
from genjax.core.selection import SelectionBase
from genjax.core.sites import Site, Sites
from genjax.core.trace import AnyTrace
from genjax.signatures import Choices, Constraints, PyTree

_FIELDS = {Tr: ("_gen_fn", "_score"), ScanTr: ("gen_fn", "score"), CondTr: ("gen_fn", "score")}


@Pytree.dataclass
class Tempered(GFI[Any, Any]):
    """A model whose observed choices count as a power, called as `(b, *arguments of the model)`; see `temper`.

    Attributes:
        model: the generative function.
        marks: what is observed, as `observed_marks` of a trace.
    """

    model: AnyGFI
    marks: Marks

    def simulate(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "A tempered model has a density but no sampler: its distribution is what inference is to find. Draw from "
            "the model, and temper the trace."
        )

    def assess(self, x: Choices, b: float | Array, *args: Any, **kwargs: Any) -> tuple[Array, PyTree]:
        log_density, retval = self.model.assess(x, *args, **kwargs)
        likelihood, _ = self.model.assess(_data_of(x, self.marks), *args, **kwargs)
        return _power(scalar(log_density), scalar(likelihood), b), retval

    def sites(self, x: Choices, b: float | Array, *args: Any, **kwargs: Any) -> tuple[Sites, PyTree]:
        sites, retval = self.model.sites(x, *args, **kwargs)
        return _powers(sites, self.marks, jnp.asarray(b, float)), retval

    def generate(self, x: Constraints, b: float | Array, *args: Any, **kwargs: Any) -> tuple[AnyTrace, Array]:
        trace, weight = self.model.generate(x, *args, **kwargs)
        trace = with_args(trace, (args, kwargs, self.marks))
        return temper(trace, b), _power(scalar(weight), data_log_density(trace), b)

    def update(
        self, tr: AnyTrace, x: Constraints, b: float | Array, *args: Any, **kwargs: Any
    ) -> tuple[AnyTrace, Array, Choices]:
        new, _, discard = self.model.update(untemper(tr), x, *args, **kwargs)
        new = temper(new, b)
        return new, tr.raw_score() - new.raw_score(), discard

    def regenerate(
        self, tr: AnyTrace, selection: SelectionBase, b: float | Array, *args: Any, **kwargs: Any
    ) -> tuple[AnyTrace, Array, Choices]:
        old, (old_b, *_) = untemper(tr), tr.get_args()[0]
        new, weight, discard = self.model.regenerate(old, selection, *args, **kwargs)
        before = _power(jnp.zeros(()), data_log_density(old), old_b)
        return temper(new, b), _power(scalar(weight), data_log_density(new), b) - before, discard

    def project(self, tr: AnyTrace, selection: SelectionBase) -> Array:
        raise TypeError("A tempered model has no densities of single choices. Project the trace of the model itself.")

    def merge(self, x: Choices, x_: Choices, check: Array | None = None) -> tuple[Choices, Choices]:
        return self.model.merge(x, x_, check)

    def filter(self, x: Choices, selection: SelectionBase) -> tuple[Choices, Choices]:
        return self.model.filter(x, selection)


def temper(trace: AnyTrace, b: float | Array) -> AnyTrace:
    """The trace as one of `Tempered(its model)` at the inverse temperature b, () float. Inverse: `untemper`.

    Raises:
        ValueError: nothing of the trace is marked as observed, so there is no likelihood.
        TypeError: a trace type of another library, or the trace of a bare distribution.
    """
    trace, (gen_name, score_name) = unshared(trace), _field_names(trace)
    marks = observed_marks(trace)
    if marks == {}:
        raise ValueError(
            "Tempering raises the likelihood of what was observed to a power, but nothing of this trace is marked as "
            "observed. Make it with `generate`, or say what the data are: `trace.observe({address: value, ...})`."
        )
    args, kwargs = trace.get_args()
    b = jnp.asarray(b, trace.raw_score().dtype)
    score = -_power(-trace.raw_score(), data_log_density(trace), b)
    fields = {gen_name: Tempered(trace.get_gen_fn(), marks), score_name: score}
    return with_args(dataclasses.replace(trace, **fields), ((b, *args), kwargs, *stored_marks(trace)))


def untemper(trace: AnyTrace) -> AnyTrace:
    """The trace of the model itself, with the same choices."""
    trace, (gen_name, score_name) = unshared(trace), _field_names(trace)
    (b, *args), kwargs = trace.get_args()
    tempered = trace.get_gen_fn()
    assert isinstance(tempered, Tempered), "its trace was made by `temper`"
    bare = dataclasses.replace(trace, **{gen_name: tempered.model})
    bare = with_args(bare, (tuple(args), kwargs, *stored_marks(trace)))
    score = -_power(-trace.raw_score(), data_log_density(bare), 2 - b)
    return dataclasses.replace(bare, **{score_name: score})


def data_log_density(trace: AnyTrace) -> Array:
    """L, the sum of the log densities of what was observed given their parents, ()."""
    gen_fn, marks = trace.get_gen_fn(), observed_marks(trace)
    whole, partial = _paths(marks)
    if not partial:
        return scalar(gen_fn.project(trace, sel(*whole, strict=False)))
    args, kwargs = trace.get_args()
    return scalar(gen_fn.assess(_data_of(trace.get_choices(), marks), *args, **kwargs)[0])


def _power(log_density: Array, likelihood: Array, b: float | Array) -> Array:
    """`log_density + (b - 1) likelihood`; -inf where the likelihood is, instead of NaN."""
    is_possible = likelihood > -jnp.inf
    return jnp.where(is_possible, log_density + (b - 1) * jnp.where(is_possible, likelihood, 0.0), -jnp.inf)


def _field_names(trace: AnyTrace) -> tuple[str, str]:
    if type(trace) not in _FIELDS or raw_args(trace) is None:
        raise TypeError(
            f"Tempering takes traces of models written with this library's combinators, got {type(trace).__name__}. "
            'Call the generative function in a model: `@gen def model(*args): return inner(*args) @ "name"`.'
        )
    return _FIELDS[type(trace)]


def _paths(marks: Marks, path: Path = ()) -> tuple[list[Path], bool]:
    """The paths of what was observed in full, and whether anything was observed in part."""
    if isinstance(marks, Whole):
        return [path], False
    if not isinstance(marks, dict):
        return [], True
    found = [_paths(beneath, (*path, addr)) for addr, beneath in marks.items()]
    return [path for paths, _ in found for path in paths], any(partial for _, partial in found)


def _data_of(x: Choices, marks: Marks) -> Constraints:
    """Choices of which only the observed ones have a density; the others are there for what depends on them."""
    if isinstance(marks, Whole):
        return x
    if isinstance(x, dict):
        beneath = marks if isinstance(marks, dict) else {}
        return {addr: _data_of(value, beneath.get(addr, {})) for addr, value in x.items()}
    mask = jnp.array(False) if isinstance(marks, dict) else marks
    return Masked(mask, x.value if isinstance(x, Masked) else x)


def _powers(sites: Sites, marks: Marks, b: Array) -> Sites:
    """Sites whose observed log densities are multiplied by b."""
    if isinstance(sites, dict):
        beneath = marks if isinstance(marks, dict) else {}
        is_all = isinstance(marks, Whole)
        return {addr: _powers(site, marks if is_all else beneath.get(addr, {}), b) for addr, site in sites.items()}
    if not isinstance(sites, Site) or isinstance(marks, dict):
        return sites
    of_data = jnp.where(sites.log_density > -jnp.inf, b * sites.log_density, -jnp.inf)
    if isinstance(marks, Whole):
        return dataclasses.replace(sites, log_density=of_data)
    is_observed = marks.reshape(marks.shape + (1,) * (sites.log_density.ndim - marks.ndim))
    return dataclasses.replace(sites, log_density=jnp.where(is_observed, of_data, sites.log_density))
