"""What the plan knows of each framework: its file's attributes, those of `configs/framework/`, a colour and a marker.

Colours that nobody claims come from a palette for all kinds of colour vision. Source: Okabe and Ito, "Color Universal
Design" (2008), followed by Paul Tol's muted scheme ("Colour schemes", technical note SRON/EPS/TN/09-002, figure 3).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from omegaconf import OmegaConf

from pipelines.errors import ConfigurationFaults
from pipelines.plan.tree import FrameworkDescription, Modified, Reader, Tree

PALETTE = (
    *("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000"),
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499"),
)
MARKERS = "osD^vPX*hp<>d8"
"""Shapes that fill; matplotlib's names."""


def describe(framework: str, tree: Tree) -> FrameworkDescription:
    """A framework's attributes, with a colour and a marker that no other framework has, if it names none.

    Raises:
        ConfigurationFaults: the file, or `configs/framework/<name>.yaml`, cannot be read.
    """
    reader = tree.reader()
    own = _declared(framework, tree, reader)
    if own.color and own.marker:
        return own
    return _all(tree, reader.state, tree.overrides(), None if framework in reader.files else framework)[framework]


def distinct(descriptions: Iterable[FrameworkDescription]) -> list[FrameworkDescription]:
    """The descriptions in the order of their names, each with a colour and a marker.

    What is named stays. A free colour is the one of the palette that is farthest from all that are taken; markers go in
    order. Frameworks share only when the palette is used up.
    """
    ordered = sorted(descriptions, key=lambda one: one.name)
    colors = [one.color for one in ordered if one.color]
    markers = [one.marker for one in ordered if one.marker]
    found: list[FrameworkDescription] = []
    for one in ordered:
        if not one.color:
            color = _farthest(colors)
            colors.append(color)
            one = replace(one, color=color)
        if not one.marker:
            marker = next((free for free in MARKERS if free not in markers), MARKERS[len(found) % len(MARKERS)])
            markers.append(marker)
            one = replace(one, marker=marker)
        found.append(one)
    return found


def _declared(framework: str, tree: Tree, reader: Reader) -> FrameworkDescription:
    known = framework in reader.files
    description = reader.describe(framework) if known else FrameworkDescription(framework, framework)
    path = tree.configs / "framework" / f"{framework}.yaml"
    if not path.is_file():
        return description
    values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    try:
        return description.updated(dict(values or {}))  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigurationFaults([f"{path}: {error}"]) from error


@lru_cache(maxsize=16)
def _all(tree: Tree, state: Modified, overrides: Modified, unknown: str | None) -> Mapping[str, FrameworkDescription]:
    """Every framework by name, and one that no file describes; computed once for each state of the files.

    Another one's fault does not leave a framework without a colour.
    """
    reader = tree.reader()
    found = [] if unknown is None else [_declared(unknown, tree, reader)]
    for name in reader.files:
        try:
            found.append(_declared(name, tree, reader))
        except ConfigurationFaults:
            found.append(FrameworkDescription(name, name))
    return {one.name: one for one in distinct(found)}


def _farthest(taken: list[str]) -> str:
    """The colour of the palette that is farthest from those that are taken; named colours count by their name only."""
    near = [rgb for color in taken if (rgb := _rgb(color)) is not None]
    return max(PALETTE, key=lambda color: (color not in taken, min((_distance(color, rgb) for rgb in near), default=0)))


def _distance(color: str, other: tuple[int, ...]) -> float:
    """Weighted distance in RGB ("redmean"), good enough to tell near from far."""
    first = _rgb(color) or (0, 0, 0)
    red = (first[0] + other[0]) / 2
    weights = (2 + red / 256, 4.0, 2 + (255 - red) / 256)
    return sum(weight * (a - b) ** 2 for weight, a, b in zip(weights, first, other, strict=True))


def _rgb(color: str) -> tuple[int, ...] | None:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", color):
        return None
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))
