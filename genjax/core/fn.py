"""`@gen`: generative functions written as Python functions with addressed calls."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, Generic, TypeVar

import jax

from genjax.core.addresses import check_selection
from genjax.core.arguments import with_marks, without_args
from genjax.core.choices import as_choices, check_used, is_empty, lookup, nearest, without_strict
from genjax.core.const import Const
from genjax.core.distribution import Distribution
from genjax.core.fit import ConstraintError, fitted
from genjax.core.gfi import GFI, AnyGFI, Density, Weight, total
from genjax.core.handlers import Thunk, at_user_location, caller_location, handling
from genjax.core.lanes import scalar
from genjax.core.made import mark, remembered
from genjax.core.observed import like, observed_by
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase
from genjax.core.sites import Sites
from genjax.core.trace import AnyTrace, Tr, Trace, get_choices
from genjax.pjax.jax_internals import Frame, trace_state
from genjax.signatures import Args, ChoiceMap, Choices, Constraints, Kwargs, PyTree

R = TypeVar("R")


class _Handler:
    """Visits the addressed calls of one run of a model body, in program order."""

    method = ""

    def __init__(self, function: Fn[Any]):
        self.function = function
        self.visited: dict[str, Any] = {}
        self._locations: dict[str, Frame | None] = {}
        self._pending: dict[int, tuple[Thunk, Frame | None]] = {}
        self._jax_state = trace_state()

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        """Do what the method does with one callee; returns the callee's return value."""
        raise NotImplementedError

    def handle(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        if addr in self._locations:
            raise ValueError(
                f"Address collision detected: {addr!r} is used multiple times.\n"
                "Each address in a generative function must be unique.\n"
                f"Function: {self.function.describe()}\n"
                f"First use: {self._locations[addr]}\n"
                f"Location: {caller_location()}"
            )
        if trace_state() != self._jax_state:
            raise ValueError(
                f"Address {addr!r} is used inside a JAX transform in the body of {self.function.describe()}"
                f"{at_user_location()}. Its value would leak out of the transform. Instead of jax.vmap write "
                "`gen_fn.vmap(...)`, instead of jax.lax.scan `Scan(gen_fn, length)`, instead of jax.lax.cond "
                "`Cond(gen_fn, gen_fn)`, and leave out jax.jit."
            )
        self._locations[addr] = caller_location()
        try:
            # The scope shows the address path in errors and profiles. A callee is not the body: it draws as it likes.
            with jax.named_scope(addr), handling(None):
                return self.call(addr, gen_fn, args, kwargs)
        except Exception as error:
            if isinstance(error, ConstraintError):
                error.path = (addr, *error.path)
            error.add_note(f"At address {addr!r} of {self.function.describe()}{at_user_location()}")
            raise

    def made(self, thunk: Thunk) -> None:
        self._pending[id(thunk)] = (thunk, caller_location())

    def addressed(self, thunk: Thunk) -> None:
        self._pending.pop(id(thunk), None)

    def drew(self, distribution: Distribution[Any]) -> None:
        """The body drew from a distribution without an address."""

    def run(self, args: Args, kwargs: Kwargs) -> PyTree:
        """Run the body under this handler; returns its return value."""
        with handling(self):
            try:
                retval = self.function.source.value(*args, **kwargs)
            except TypeError as error:
                for thunk, location in self._pending.values():
                    error.add_note(
                        f"The call of {thunk.gen_fn!r} written at {location} has no address yet, so it is not a value: "
                        'write `(... @ "name")` around it.'
                    )
                raise
        if self._pending:
            thunk, location = next(iter(self._pending.values()))
            raise ValueError(
                f"A call of {thunk.gen_fn!r} in {self.function.describe()} was never given an address (written at "
                f'{location}), so nothing was sampled. Write `... @ "name"` behind it.'
            )
        return retval


class _Simulate(_Handler):
    def __init__(self, function: Fn[Any]):
        super().__init__(function)
        self.scores: list[jax.Array] = []

    def record(self, addr: str, gen_fn: AnyGFI, trace: AnyTrace) -> PyTree:
        self.visited[addr] = remembered(without_args(trace), gen_fn)  # the next run passes its own
        self.scores.append(trace.get_score())
        return trace.get_retval()

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        return self.record(addr, gen_fn, gen_fn.simulate(*args, **kwargs))


class _Assess(_Handler):
    def __init__(self, function: Fn[Any], x: Constraints):
        super().__init__(function)
        self.x = x
        self.densities: list[jax.Array] = []

    def beneath(self, addr: str, gen_fn: AnyGFI) -> Constraints:
        """The choices given for a callee."""
        beneath = lookup(self.x, addr)
        if beneath is None:
            if not _may_be_absent(gen_fn):
                given = without_strict(self.x) or {}
                raise KeyError(
                    f"{addr!r} is missing from the choices given to assess() of {self.function.describe()}"
                    f"{at_user_location()}. Given: {', '.join(map(repr, given)) or 'none'}{nearest(addr, given)}. "
                    "assess() needs a value at every address; generate() draws those that are not given."
                )
            beneath = {}
        return beneath

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        beneath = self.beneath(addr, gen_fn)
        if isinstance(gen_fn, Distribution):
            beneath = fitted(gen_fn, get_choices(beneath), args, kwargs)
        log_density, retval = gen_fn.assess(beneath, *args, **kwargs)
        self.visited[addr] = None
        self.densities.append(scalar(log_density))
        return retval


class _Sites(_Assess):
    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        self.visited[addr], retval = gen_fn.sites(self.beneath(addr, gen_fn), *args, **kwargs)
        return retval


class _Calls(_Assess):
    """Notes with which arguments the callee at an address is called."""

    def __init__(self, function: Fn[Any], x: Constraints, wanted: str):
        super().__init__(function, x)
        self.wanted = wanted
        self.found: Any = None  # `(callee, args, kwargs)`, once it was called

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        if addr == self.wanted:
            self.found = gen_fn, args, kwargs
        return super().call(addr, gen_fn, args, kwargs)


class _Generate(_Simulate):
    def __init__(self, function: Fn[Any], x: Constraints):
        super().__init__(function)
        self.x = x
        self.weights: list[jax.Array] = []

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        beneath = lookup(self.x, addr)
        if is_empty(beneath):
            if beneath is None and addr in (without_strict(self.x) or {}):
                raise ConstraintError("is None. Leave out the address to have the choice drawn.")
            return self.record(addr, gen_fn, gen_fn.simulate(*args, **kwargs))
        trace, weight = gen_fn.generate(beneath, *args, **kwargs)
        self.weights.append(scalar(weight))
        return self.record(addr, gen_fn, trace)


class _Update(_Simulate):
    def __init__(self, function: Fn[Any], old: AnyTrace, x: Constraints):
        super().__init__(function)
        if not isinstance(old, Trace):
            raise TypeError(
                f"{self.method}() of {function.describe()} takes a trace first, got {type(old).__name__}"
                f"{at_user_location()}. Traces come from simulate() and generate()."
            )
        self.old, self.x = old.raw_choices(), x
        self.weights: list[jax.Array] = []
        self.discard: ChoiceMap = {}

    def old_subtrace(self, addr: str) -> AnyTrace:
        if addr not in self.old:
            raise KeyError(
                f"{addr!r} is not in the trace given to {self.method}() of {self.function.describe()}"
                f"{at_user_location()}, whose addresses are {', '.join(map(repr, self.old)) or 'none'}. "
                "The set of addresses may not change between runs; use generate() for a new structure."
            )
        return self.old[addr]

    method = "update"

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        trace, weight, self.discard[addr] = gen_fn.update(
            self.old_subtrace(addr), lookup(self.x, addr), *args, **kwargs
        )
        self.weights.append(scalar(weight))
        return self.record(addr, gen_fn, trace)

    def drew(self, distribution: Distribution[Any]) -> None:
        raise ValueError(
            f"The body of {self.function.describe()} draws from {distribution!r} without an address"
            f"{at_user_location()}, so {self.method}() cannot keep the old value, and its weight would be wrong. Give "
            f'the draw an address: `{distribution!r}(...) @ "name"`.'
        )

    def check_same_addresses(self) -> None:
        gone = [addr for addr in self.old if addr not in self.visited]
        if gone:
            raise KeyError(
                f"{self.method}() of {self.function.describe()} did not visit {', '.join(map(repr, gone))}, which the "
                "old trace has. The set of addresses may not change between runs; use generate() for a new structure."
            )


class _Regenerate(_Update):
    method = "regenerate"

    def __init__(self, function: Fn[Any], old: AnyTrace, selection: SelectionBase):
        super().__init__(function, old, None)
        self.selection = selection

    def call(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        _, beneath = self.selection.match(addr)
        trace, weight, self.discard[addr] = gen_fn.regenerate(self.old_subtrace(addr), beneath, *args, **kwargs)
        self.weights.append(scalar(weight))
        return self.record(addr, gen_fn, trace)


def _may_be_absent(gen_fn: AnyGFI) -> bool:
    """Whether a callee may have no choices at all, so that a choice map need not mention it."""
    return not isinstance(gen_fn, Distribution)


class _InstanceProperty(property):
    """A property that the class itself lacks: `inspect.signature(Fn)` would follow a `__wrapped__` of the class."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            raise AttributeError("only instances have this attribute")
        return super().__get__(instance, owner)


@Pytree.dataclass
class Fn(GFI[ChoiceMap, R], Generic[R]):
    """A generative function from a Python function; its choices are a dict from address to the callee's choices."""

    source: Const[Callable[..., R]]

    @property
    def __name__(self) -> str:
        return getattr(self.source.value, "__name__", "model")

    @_InstanceProperty
    def __wrapped__(self) -> Callable[..., R]:
        return self.source.value

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """A model written as a method is bound to its instance, as a function would be."""
        if instance is None or not self._is_method_of(type(instance)):
            return self
        if jax.tree_util.all_leaves([instance]):
            return Fn(Const(MethodType(self.source.value, instance)))
        return BoundFn(self, instance)

    def _is_method_of(self, owner: type) -> bool:
        outer, _, _ = getattr(self.source.value, "__qualname__", "").rpartition(".")
        return bool(outer) and any(outer == cls.__qualname__ for cls in owner.__mro__)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Decorated with @gen, a function's name leads to the model and not to the function.
        function = self.source.value
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
        found = _found(module, name) if module else None
        if isinstance(found, Fn) and found.source.value is function:
            return _found, (module, name)
        return Fn, (self.source,)

    def describe(self) -> str:
        """`function 'name' at file:line`, for messages."""
        code = getattr(inspect.unwrap(self.source.value), "__code__", None)
        place = f" at {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
        return f"function {self.__name__!r}{place}"

    def simulate(self, *args: Any, **kwargs: Any) -> Tr[ChoiceMap, R]:
        handler = _Simulate(self)
        retval = handler.run(args, kwargs)
        return Tr(self, (args, kwargs), handler.visited, retval, total(handler.scores))

    def assess(self, x: ChoiceMap, *args: Any, **kwargs: Any) -> tuple[Density, R]:
        x = _as_dict(x)
        handler = _Assess(self, x)
        retval = handler.run(args, kwargs)
        check_used(x, handler.visited, f"assess() of {self.describe()}")
        return total(handler.densities), retval

    def sites(self, x: ChoiceMap, *args: Any, **kwargs: Any) -> tuple[dict[str, Sites], R]:
        handler = _Sites(self, _as_dict(x))
        retval = handler.run(args, kwargs)
        return handler.visited, retval

    def call_at(self, addr: str, x: ChoiceMap, *args: Any, **kwargs: Any) -> tuple[AnyGFI, Args, Kwargs]:
        """`(callee, args, kwargs)`: what the model calls at an address when its choices are x."""
        handler = _Calls(self, _as_dict(x), addr)
        handler.run(args, kwargs)
        return handler.found

    def generate(self, x: ChoiceMap | None, *args: Any, **kwargs: Any) -> tuple[Tr[ChoiceMap, R], Weight]:
        x = _as_dict(x)
        handler = _Generate(self, x)
        retval = handler.run(args, kwargs)
        check_used(x, handler.visited, f"generate() of {self.describe()}")
        new: Tr[ChoiceMap, R] = Tr(self, (args, kwargs), handler.visited, retval, total(handler.scores))
        return with_marks(new, observed_by(x, new)), total(handler.weights)

    def update(
        self, tr: Trace[ChoiceMap, R], x: ChoiceMap | None, *args: Any, **kwargs: Any
    ) -> tuple[Tr[ChoiceMap, R], Weight, ChoiceMap]:
        x = _as_dict(x)
        handler = _Update(self, tr, x)
        retval = handler.run(args, kwargs)
        handler.check_same_addresses()
        check_used(x, handler.visited, f"update() of {self.describe()}")
        stored = like(args, kwargs, tr)
        new: Tr[ChoiceMap, R] = Tr(self, stored, handler.visited, retval, total(handler.scores))
        return new, total(handler.weights), handler.discard

    def regenerate(
        self, tr: Trace[ChoiceMap, R], selection: SelectionBase, *args: Any, **kwargs: Any
    ) -> tuple[Tr[ChoiceMap, R], Weight, ChoiceMap]:
        handler = _Regenerate(self, tr, check_selection(selection, tr, f"regenerate() of {self.describe()}"))
        retval = handler.run(args, kwargs)
        handler.check_same_addresses()
        stored = like(args, kwargs, tr)
        new: Tr[ChoiceMap, R] = Tr(self, stored, handler.visited, retval, total(handler.scores))
        return new, total(handler.weights), handler.discard

    def project(self, tr: Trace[ChoiceMap, R], selection: SelectionBase) -> Density:
        selection = check_selection(selection, tr, f"project() of {self.describe()}")
        subtraces = tr.raw_choices().items()
        return total([sub.get_gen_fn().project(sub, selection.match(addr)[1]) for addr, sub in subtraces])

    def __repr__(self) -> str:
        return f"gen({self.__name__})"


def _found(module: str, name: str) -> object:
    """What a qualified name of a module stands for, or None."""
    try:
        value: object = importlib.import_module(module)
    except ImportError:
        return None
    for part in name.split("."):
        value = inspect.getattr_static(value, part, None)
    return value


@Pytree.dataclass
class BoundFn(GFI[ChoiceMap, R], Generic[R]):
    """A model that is a method of a pytree: the instance is its first argument, and may hold arrays."""

    function: Fn[R]
    instance: PyTree

    def simulate(self, *args: Any, **kwargs: Any) -> Tr[ChoiceMap, R]:
        return self.function.simulate(self.instance, *args, **kwargs)

    def assess(self, x: ChoiceMap, *args: Any, **kwargs: Any) -> tuple[Density, R]:
        return self.function.assess(x, self.instance, *args, **kwargs)

    def sites(self, x: ChoiceMap, *args: Any, **kwargs: Any) -> tuple[Sites, R]:
        return self.function.sites(x, self.instance, *args, **kwargs)

    def generate(self, x: ChoiceMap | None, *args: Any, **kwargs: Any) -> tuple[Tr[ChoiceMap, R], Weight]:
        return self.function.generate(x, self.instance, *args, **kwargs)

    def update(
        self, tr: Trace[ChoiceMap, R], x: ChoiceMap | None, *args: Any, **kwargs: Any
    ) -> tuple[Tr[ChoiceMap, R], Weight, ChoiceMap]:
        return self.function.update(tr, x, self.instance, *args, **kwargs)

    def regenerate(
        self, tr: Trace[ChoiceMap, R], selection: SelectionBase, *args: Any, **kwargs: Any
    ) -> tuple[Tr[ChoiceMap, R], Weight, ChoiceMap]:
        return self.function.regenerate(tr, selection, self.instance, *args, **kwargs)

    def project(self, tr: AnyTrace, selection: SelectionBase) -> Density:
        return self.function.project(tr, selection)

    def __repr__(self) -> str:
        return repr(self.function)


def _as_dict(x: Choices) -> Choices:
    """Constraints: a trace's are its choices.

    Raises:
        TypeError: an address is not a string, so that no call could have it.
    """
    x = as_choices(x)
    choices = without_strict(x)
    for addr in choices if isinstance(choices, dict) else ():
        if not isinstance(addr, str):
            raise TypeError(
                f"Constraints got {type(addr).__name__} {addr!r} as an address{at_user_location()}. Addresses are "
                "strings; for some lanes or steps write `indexed(i, choices)`, for a path nested dicts."
            )
    return x


def gen(f: Callable[..., R]) -> Fn[R]:
    """Make a generative function from a Python function.

    In the body, `callee(*args) @ "address"` makes a random choice (or runs another generative function) and returns its
    value. Each address is used once. Ordinary control flow on static values is fine; for control flow on random values
    use `Cond`, `Scan` and `.vmap`.

    Args:
        f: any Python function; its arguments become the model's, its return value the model's.

    Returns:
        A generative function whose choices are a dict from address to choice.
    """
    made = Fn(Const(mark(f)))
    object.__setattr__(made, "__doc__", f.__doc__)  # for help(); statics, not this, decide equality
    return made
