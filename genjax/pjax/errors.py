"""The error raised when a random choice reaches the compiler without a key, and where the user wrote it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from genjax.pjax.jax_internals import Frame, is_library_file

_EXPLANATION = """\
Why: compiling would bake one random key into the program, and every run would draw the same values.
`jax.jit` compiles, and so do `jax.lax.scan`, `cond`, `switch`, `while_loop`, `fori_loop` and `map` that run eagerly.

Give the function a key with `seed` before it is compiled:

    draw = jax.jit(model.simulate)              # wrong: no key
    draw = jax.jit(seed(model.simulate))        # right
    trace = draw(jax.random.key(0), *arguments)"""


@dataclass(frozen=True)
class BindingContext:
    """Where a random choice was written: distribution, address path (with transforms), and the user's frames."""

    sampler: str
    path: str
    frames: tuple[Frame, ...]


class LoweringSamplePrimitiveToMLIRException(Exception):
    """A random choice reached compilation without a key.

    Attributes:
        lowering_msg: the sentence that says what happened.
        binding_context: where the choice was written, or None.
    """

    def __init__(self, lowering_msg: str, binding_context: BindingContext | None = None):
        self.lowering_msg = lowering_msg
        self.binding_context = binding_context
        super().__init__(self._message())

    def _message(self) -> str:
        lines = ["PJAX Sample Primitive Lowering Error", "", self.lowering_msg]
        context = self.binding_context
        if context is not None:
            lines += ["", f"    distribution: {context.sampler}"]
            if context.path:
                lines.append(f"    address path: {context.path}")
            if context.frames:
                lines.append(f"    written at:   {context.frames[0]}")
                lines += [f"    called from:  {frame}" for frame in context.frames[1:5]]
        return "\n".join([*lines, "", _EXPLANATION])


def unseeded_site_error(sampler: str, path: str, frames: Sequence[Frame]) -> LoweringSamplePrimitiveToMLIRException:
    """The lowering error for one site."""
    message = f"The random choice `{sampler}` is being compiled, but no key was given."
    return LoweringSamplePrimitiveToMLIRException(message, BindingContext(sampler, path, tuple(frames)))


def user_location() -> Frame | None:
    """The innermost line of the running program that is neither JAX's nor ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_library_file(frame.f_code.co_filename):
            return Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None
