"""What a program becomes on another device, read from its StableHLO: is it parallel there, and does it stay there?

JAX lowers a program for a platform that the machine does not have, `jax.jit(f).trace(...).lower(lowering_platforms=
("cuda",))`. The text tells what no card is needed to see: loops whose number of turns grows with the particles, calls
of the host, arrays that are too large, and branches for another platform. Two texts are compared, of one program at two
sizes: what grows is found by growing it. This module reads text only and imports no framework.

Source: the StableHLO specification, operations `while`, `case`, `custom_call`.
"""

import math
import re
from dataclasses import dataclass, field

#: What a program may call on an accelerator: marks of the partitioner, and solvers that run on the device.
ON_DEVICE = (
    "Sharding",
    "SPMD",
    "annotate_",
    "cusolver",
    "cublas",
    "cu_",
    "hipsolver",
    "mhlo.",
    "ApproxTopK",
    "Cholesky",
)
#: Operations that move values between host and device in the middle of a program.
TRANSFERS = ("infeed", "outfeed", "send", "recv")

_CONSTANT = re.compile(r"(%\w+) = stablehlo\.constant dense<(-?\d+)> : tensor<u?i\d+>")
_COMPARE = re.compile(r"stablehlo\.compare\s+(LT|LE|NE|GT|GE),\s*(%\w+),\s*(%\w+)")
_TENSOR = re.compile(r"tensor<((?:\d+x)+)([a-z]\w*)>")
_CASE = re.compile(r'(?:(%\w+)(?::\d+)? = )?"stablehlo\.case"\((%\w+)\) \(\{')


@dataclass(frozen=True)
class Loop:
    """One `while`.

    Attributes:
        turns: how many, where that is a constant; None where it depends on the values.
        carried: elements of the largest array that it carries.
    """

    turns: int | None
    carried: int


@dataclass(frozen=True)
class Lowered:
    """What the text of a program says.

    Attributes:
        loops: all of them, nested ones too, in the order of the text.
        calls: targets of `custom_call`, and transfers between host and device.
        largest: elements of the largest array.
        branches_of_platforms: most branches that a choice of the platform has kept; 0 where there is no such choice.
        platforms_at_run_time: whether the platform is an argument, as in a program that is lowered for several.
    """

    loops: tuple[Loop, ...] = ()
    calls: frozenset[str] = field(default_factory=frozenset)
    largest: int = 0
    branches_of_platforms: int = 0
    platforms_at_run_time: bool = False


def read_lowered(text: str) -> Lowered:
    """Reads the StableHLO of a whole module, as `lowered.as_text()` prints it."""
    lines = text.splitlines()
    calls = set(re.findall(r'custom_call @"?([\w.]+)', text))
    calls |= {name for name in TRANSFERS if f"stablehlo.{name}" in text}
    return Lowered(
        loops=tuple(_loops(lines)),
        calls=frozenset(calls),
        largest=_largest(text),
        branches_of_platforms=_branches_of_platforms(lines),
        platforms_at_run_time="_platform_index" in text,
    )


def faults_of_device(program: Lowered) -> list[str]:
    """Why a program does not stay on an accelerator, one sentence each."""
    faults = [f"it calls {name}, which is not known to run on the device" for name in _foreign(program.calls)]
    if program.branches_of_platforms > 1:
        faults.append(f"a choice of the platform kept {program.branches_of_platforms} branches; one is the device's")
    if program.platforms_at_run_time:
        faults.append("it chooses its platform at run time and holds the branches of all")
    return faults


def faults_of_growth(small: Lowered, large: Lowered, growth: float) -> list[str]:
    """Why a program is not parallel over what grew, one sentence each.

    A loop may take as many turns as before, or `log2(growth)` more (bisection, a reduction tree), and there may be as
    many loops as before. A loop whose turns depend on the values must carry an array that grew: all particles move
    side by side, until the last is done.

    Args:
        small: the program at one size.
        large: the program whose particles (chains, points, cells) are `growth` times as many.
        growth: more than 16, so that a loop over blocks of elements is told from a logarithm.
    """
    allowed = math.ceil(math.log2(growth)) + 1
    before, after = (sorted(loop.turns for loop in one.loops if loop.turns is not None) for one in (small, large))
    faults = []
    if len(before) != len(after):
        faults.append(f"loops of {before} turns became loops of {after} turns when the size grew {growth:g} times")
    faults += [
        f"a loop of {turns} turns became one of {more} when the size grew {growth:g} times: one pass after the other"
        for turns, more in zip(before, after, strict=False)
        if abs(more - turns) > allowed
    ]
    before, after = (sorted(loop.carried for loop in one.loops if loop.turns is None) for one in (small, large))
    if len(before) != len(after):
        faults.append(f"{len(before)} loops that end by their values became {len(after)}")
    faults += [
        f"a loop that ends by its values carries {elements} elements at both sizes: one particle at a time"
        for elements, more in zip(before, after, strict=False)
        if more < elements * growth / 2
    ]
    return faults


def _foreign(calls: frozenset[str]) -> list[str]:
    return sorted(name for name in calls if not name.startswith(ON_DEVICE))


def _largest(text: str) -> int:
    return max((math.prod(map(int, dims[:-1].split("x"))) for dims, _ in set(_TENSOR.findall(text))), default=1)


def _loops(lines: list[str]) -> list[Loop]:
    found, constants = [], {}
    for place, line in enumerate(lines):
        if defined := _CONSTANT.search(line):
            constants[defined[1]] = int(defined[2])
        if "stablehlo.while" in line:
            found.append(Loop(_turns(lines, place, constants), _largest(line)))
    return found


def _turns(lines: list[str], start: int, constants: dict[str, int]) -> int | None:
    """The bound in the condition of the loop on line `start`, less the first value: counters of JAX count up."""
    initial = dict(re.findall(r"(%iterArg\w*) = (%\w+)", lines[start]))
    known = dict(constants)
    for line in lines[start + 1 :]:
        if line.strip() == "} do {":
            return None
        if defined := _CONSTANT.search(line):
            known[defined[1]] = int(defined[2])
        compared = _COMPARE.search(line)
        if compared and compared[2] in initial and compared[3] in known and compared[1] == "LT":
            return known[compared[3]] - constants.get(initial[compared[2]], 0)
        if compared and compared[2] in initial and initial.get(compared[3]) in constants and compared[1] == "LT":
            return constants[initial[compared[3]]] - constants.get(initial[compared[2]], 0)
    return None


def _branches_of_platforms(lines: list[str]) -> int:
    """A first `case` maps the constant number of a platform to that of a branch, a second one takes the branch."""
    constants: set[str] = set()
    platforms: set[str] = set()
    most = 0
    for place, line in enumerate(lines):
        if line.lstrip().startswith(("func.func", "module")):
            constants, platforms = set(), set()
        if defined := _CONSTANT.search(line):
            constants.add(defined[1])
        if not (case := _CASE.search(line)):
            continue
        if case[2] in platforms:
            most = max(most, _branches(lines, place))
        elif case[2] in constants and case[1]:
            platforms.add(case[1])
    return most


def _branches(lines: list[str], start: int) -> int:
    indent = len(lines[start]) - len(lines[start].lstrip())
    count = 1
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip()) == indent:
            if not line.lstrip().startswith("}, {"):
                return count
            count += 1
    return count
