"""Choices that a proposal makes: merged with those that are given, compared with those that the target has."""

from __future__ import annotations

from genjax.core.addresses import Path, path_text
from genjax.core.choices import Strict, is_empty, without_strict
from genjax.core.gfi import AnyGFI
from genjax.core.selection import Selection, sel
from genjax.signatures import Choices, PyTree


def merged(gen_fn: AnyGFI, choices: Choices, winner: Choices) -> Choices:
    """The union of two choice maps for `gen_fn`; `winner` wins. `Strict` stays."""
    if isinstance(choices, Strict) or isinstance(winner, Strict):
        return Strict(merged(gen_fn, without_strict(choices), without_strict(winner)))
    if is_empty(winner):
        return choices
    if is_empty(choices) or not isinstance(winner, dict):  # a distribution's choice is one value: the winner's
        return winner
    return gen_fn.merge(choices, winner)[0]


def overlap(x: Choices, other: Choices) -> bool:
    """Whether two choice maps have an address in common."""
    if is_empty(x) or is_empty(other):
        return False
    if isinstance(x, dict) and isinstance(other, dict):
        return any(overlap(x[addr], other[addr]) for addr in x if addr in other)
    return True


def addresses_of(choices: Choices) -> Selection:
    """The selection of exactly the addresses in a choice map."""
    if is_empty(choices):
        return sel()
    if isinstance(choices, dict):
        return sel({addr: addresses_of(beneath) for addr, beneath in choices.items()}, strict=False)
    return sel(())


def check_proposed(proposed: Choices, present: Choices, gen_fn: AnyGFI) -> None:
    """Raise ValueError if a proposal made a choice that the target does not have: its weight would be wrong."""
    known = choices_by_path(present)
    unknown = [path for path in choices_by_path(proposed) if path not in known]
    if unknown:
        raise ValueError(
            f"The proposal makes choices that the target {gen_fn!r} does not have: "
            f"{', '.join(map(path_text, unknown))}. "
            f"The target's addresses: {', '.join(map(path_text, known)) or 'none'}. Each proposed choice must be one "
            "of the target's, or the weights would be wrong."
        )


def choices_by_path(choices: Choices, prefix: Path = ()) -> dict[Path, PyTree]:
    """The values of a choice map by their path, a tuple of addresses; a single value is at `()`."""
    if choices is None:
        return {}
    if not isinstance(choices, dict):
        return {prefix: choices}
    found: dict[Path, PyTree] = {}
    for addr, beneath in choices.items():
        found.update(choices_by_path(beneath, (*prefix, addr)))
    return found
