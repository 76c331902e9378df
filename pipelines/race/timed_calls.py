"""What is timed is what is judged: the outputs of timed calls, looked at after their block, outside the clock.

The gate sees calls before the race; the clock sees others. So of every block two calls are looked at, the last one and
one that the harness chose without telling the program: shapes and types as at the gate, no NaN where the gate saw none,
and outputs that differ from those of every other call, since every call has random inputs that no other call has. Once
per process the chosen call is also repeated, which must give the same outputs, and its outputs go through the whole
gate. What a program does around its blocks (in `prepare`, after the clock has stopped, between blocks) is measured and
told by `flags`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.race.timing import ContestantFailure

REPEAT_TOLERANCE = 1e-5
"""Of a checksum, relative to its magnitude: threads may add numbers in another order."""
LATE_FRACTION = 0.1
LATE_SECONDS = 1e-3
REMEMBERED_FRACTION = 0.1
PREPARE_FRACTION = 0.25
PREPARE_SECONDS = 5e-6

MAX_WAITED_FRACTION = 0.05
LEAST_CONTENTION = 0.02
"""Where others used less of the cores during the whole race, threads waited for each other, or for a sleeping core to
wake up: on all cores of an idle machine, a call of less than a millisecond spends half of its time so."""

Digests = Mapping[str, Mapping[str, Any]]
"""By output, as in `pipelines/workers/digest.py`."""


@dataclass
class TimedCalls:
    """The timed calls of one process of a contestant.

    Args:
        at_gate: digests of the outputs at the gate.
        is_random: whether outputs must differ between calls.
        prepare_s: seconds that the inputs of one call took to prepare, by block.
        call_s: seconds of a call, by block.
        late_fraction: how much longer than at the gate the outputs took to read after the clock had stopped, over the
            seconds of the block, by block.
        repeat_s: seconds of repeated calls.
    """

    at_gate: Digests
    is_random: bool = True
    prepare_s: list[float] = field(default_factory=list)
    call_s: list[float] = field(default_factory=list)
    late_fraction: list[float] = field(default_factory=list)
    repeat_s: list[float] = field(default_factory=list)
    _seen: set[tuple] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._seen.add(_token(self.at_gate))

    def look(self, reply: Mapping[str, Any], calls: int, keep: int, prepare_s: float) -> None:
        """Judges the two calls of a block by what can be seen without their arrays.

        Raises:
            ContestantFailure: "invalid", with what is wrong.
        """
        seconds = max(float(reply["seconds"]), 1e-12)
        late = float(reply.get("late_s") or 0.0)
        self.prepare_s.append(prepare_s / calls)
        self.call_s.append(seconds / calls)
        self.late_fraction.append(late / seconds if late > LATE_SECONDS else 0.0)
        self._compare(reply["kept"], f"timed call {keep + 1} of {calls}")
        if keep != calls - 1:
            self._compare(reply["last"], f"timed call {calls} of {calls}")

    def _compare(self, found: Digests, which: str) -> None:
        if found.keys() != self.at_gate.keys():
            raise _invalid(f"{which} returned {_names(found)}, the call at the gate {_names(self.at_gate)}")
        for name, one in found.items():
            gate = self.at_gate[name]
            for fact in ("shape", "dtype"):
                if one[fact] != gate[fact]:
                    raise _invalid(f"{which} returned {name} of {fact} {one[fact]}, the call at the gate {gate[fact]}")
            if one["nan"] and not gate["nan"]:
                raise _invalid(f"{which} returned {one['nan']} NaN among {one['values']} values of {name}")
            lost = one["nan"] + one["infinite"]
            if one["values"] and lost == one["values"] and gate["nan"] + gate["infinite"] < gate["values"]:
                raise _invalid(f"{which} returned no finite value of {name}")
        token = _token(found)
        if self.is_random and token in self._seen:
            raise _invalid(f"{which} returned the outputs of an earlier call, though its random inputs are others")
        self._seen.add(token)

    def repeated(self, timed: Digests, again: Digests, seconds: float) -> None:
        """A call that was timed has been repeated with the same inputs.

        Raises:
            ContestantFailure: "invalid", if its outputs are others.
        """
        self.repeat_s.append(seconds)
        for name, one in timed.items():
            other = again.get(name)
            scale = max(one["magnitude"], 1e-300)
            if (
                other is None
                or other["nan"] != one["nan"]
                or not abs(other["checksum"] - one["checksum"]) <= REPEAT_TOLERANCE * scale
            ):
                raise _invalid(
                    f"a timed call returned {name} that its inputs do not give: the same inputs again gave another"
                )


def facts(processes: Sequence[TimedCalls]) -> dict[str, Any]:
    """What the record keeps of a contestant's timed calls in all its processes.

    Returns:
        `prepare_s` and `call_s`, the least over blocks; `late_fraction`, the median over blocks; `repeat_fraction`, the
        median over repeated calls of their seconds over the least of the same process, None without any;
        `blocks_seen` and `calls_repeated`.
    """
    repeats = [seconds / min(one.call_s) for one in processes for seconds in one.repeat_s if one.call_s]
    late = [fraction for one in processes for fraction in one.late_fraction]
    return {
        "prepare_s": min((least for one in processes for least in one.prepare_s), default=None),
        "call_s": min((least for one in processes for least in one.call_s), default=None),
        "late_fraction": float(np.median(late)) if late else None,
        "repeat_fraction": float(np.median(repeats)) if repeats else None,
        "blocks_seen": sum(len(one.call_s) for one in processes),
        "calls_repeated": sum(len(one.repeat_s) for one in processes),
    }


def late_failure(seen: Mapping[str, Any]) -> ContestantFailure | None:
    """The failure of a contestant whose outputs were not there when the clock stopped, or None."""
    fraction = seen.get("late_fraction")
    if fraction is None or fraction <= LATE_FRACTION:
        return None
    return _invalid(
        "its synchronisation does not wait: the clock had stopped before the outputs were there, which took "
        f"{fraction:.0%} of the block longer to read than those at the gate"
    )


def with_peers(seen: Sequence[dict[str, Any]], baseline: int | None) -> list[dict[str, Any]]:
    """The facts of each contestant with those of its race that they are compared with.

    Adds `peers_prepare_s`, the median of the others' `prepare_s`, and `reference_call_s`, the longer of its own
    and the baseline's call.
    """
    found = []
    for index, own in enumerate(seen):
        others = [one["prepare_s"] for other, one in enumerate(seen) if other != index and one["prepare_s"] is not None]
        calls = [one for one in (own["call_s"], None if baseline is None else seen[baseline]["call_s"]) if one]
        peers = float(np.median(others)) if others else None
        found.append({**own, "peers_prepare_s": peers, "reference_call_s": max(calls, default=None)})
    return found


def flags(seen: Mapping[str, Any], max_idle_fraction: float) -> list[str]:
    """What a program did outside its timed blocks, one short sentence each; empty for one that did its work inside.

    Args:
        seen: as `with_peers` returns it, and `idle_after_fraction`: CPU seconds that the contestant's processes used
            between the end of its blocks and their next request, over the seconds of the blocks; `waited_fraction`:
            seconds for which others kept its threads from a core, over the same; `contention`: the fraction of the
            cores' time that others used during the race.
        max_idle_fraction: beyond which that is a flag.
    """
    found = []
    prepare, peers, call = (seen.get(name) for name in ("prepare_s", "peers_prepare_s", "reference_call_s"))
    if None not in (prepare, peers, call) and prepare - peers > PREPARE_FRACTION * call + PREPARE_SECONDS:  # type: ignore[operator]
        found.append(
            f"preparing the inputs of a call took {1e3 * prepare:.3g} ms, in the other systems {1e3 * peers:.3g} ms"  # type: ignore[operator]
        )
    repeat = seen.get("repeat_fraction")
    if repeat is not None and repeat < REMEMBERED_FRACTION:
        found.append(
            f"a call repeated with the same inputs took {repeat:.3f} times a timed one: results are remembered"
        )
    idle = seen.get("idle_after_fraction")
    if idle is not None and idle > max_idle_fraction:
        found.append(f"it went on computing after its blocks: {idle:.0%} of their time")
    waited, contention = seen.get("waited_fraction"), seen.get("contention")
    if waited is not None and waited > MAX_WAITED_FRACTION and (contention is None or contention > LEAST_CONTENTION):
        found.append(f"its threads waited for a core that others had during {waited:.0%} of its blocks")
    return found


def _token(found: Digests) -> tuple:
    return tuple((name, one["checksum"], one["nan"], one["infinite"]) for name, one in sorted(found.items()))


def _names(found: Digests) -> str:
    return ", ".join(sorted(found)) or "nothing"


def _invalid(reason: str) -> ContestantFailure:
    return ContestantFailure("invalid", reason)
