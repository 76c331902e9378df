"""Addressing: `call @ "address"` and the handler that a running model answers it with."""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from genjax.core.pytree import Pytree
from genjax.pjax.errors import user_location
from genjax.pjax.jax_internals import Frame, is_library_file
from genjax.signatures import Args, Kwargs, PyTree

if TYPE_CHECKING:
    from genjax.core.distribution import Distribution
    from genjax.core.gfi import AnyGFI


class Handler(Protocol):
    """What a running model does with an addressed call."""

    def handle(self, addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs) -> PyTree:
        """Answer the call, and return the callee's return value."""
        ...

    def made(self, thunk: Thunk) -> None:
        """A call was written; it must be addressed before the model returns."""
        ...

    def addressed(self, thunk: Thunk) -> None:
        """The call was addressed."""
        ...

    def drew(self, distribution: Distribution[Any]) -> None:
        """The body drew from a distribution without an address."""
        ...


# A context variable, so that threads and async tasks do not meet in one stack.
_current: contextvars.ContextVar[Handler | None] = contextvars.ContextVar("genjax_handler", default=None)


def current_handler() -> Handler | None:
    """The handler of the innermost running model, or None outside of models."""
    return _current.get()


@contextlib.contextmanager
def handling(handler: Handler | None) -> Iterator[None]:
    """Answer addressed calls with `handler`, until the block ends in whatever way."""
    token = _current.set(handler)
    try:
        yield
    finally:
        _current.reset(token)


@Pytree.dataclass
class Thunk(Pytree):
    """A call of a generative function that waits for its address: `normal(0.0, 1.0) @ "x"`."""

    gen_fn: AnyGFI
    args: Args
    kwargs: Kwargs = Pytree.field(default_factory=dict)

    def __matmul__(self, addr: str) -> PyTree:
        handler = current_handler()
        if handler is not None:
            handler.addressed(self)
        return trace(addr, self.gen_fn, self.args, self.kwargs)


def trace(addr: str, gen_fn: AnyGFI, args: Args, kwargs: Kwargs | None = None) -> PyTree:
    """Call `gen_fn` at an address of the running model: the functional form of `gen_fn(*args, **kwargs) @ addr`.

    Args:
        addr: the address, any string.
        gen_fn: the callee.
        args: its positional arguments, a tuple.
        kwargs: its keyword arguments; none by default.

    Returns:
        The callee's return value.

    Raises:
        TypeError: the address is not a string.
        ValueError: no model is running, or the address has been used already.
    """
    if not isinstance(addr, str):
        raise TypeError(f"An address must be a string, got {type(addr).__name__} {addr!r}{at_user_location()}")
    handler = current_handler()
    if handler is None:
        raise ValueError(
            f"The call at address {addr!r} is outside of a running model{at_user_location()}. Addresses mean something "
            "inside a function decorated with @gen; run it with model.simulate(...) or another method of its interface."
        )
    return handler.handle(addr, gen_fn, args, kwargs or {})


def at_user_location() -> str:
    """`, at <file>:<line> (in <function>)` for a message."""
    frame = user_location()
    return f", at {frame}" if frame is not None else ""


def caller_location() -> Frame | None:
    """The user's line that called into the library, found without building a traceback."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_library_file(frame.f_code.co_filename):
        frame = frame.f_back
    return Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name) if frame is not None else None
