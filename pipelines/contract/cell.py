"""One framework's cells against the contract, in a process of their own: `python -m pipelines.contract.cell FILE`.

FILE is a request as `pipelines.contract.check` writes it; the answer is written beside it, so that standard output can
be watched.
"""

import json
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from frameworks.base import Framework, Inputs, Program, Unavailable
from pipelines.install.requirements import extension_folders
from pipelines.plan.tree import extend_packages, load_framework, load_module

READING_BYTES_PER_SECOND = 1e8
"""Slower than any copy of finished outputs to the host."""
READING_SECONDS = 2e-3


class Cell:
    """One program, made as the worker makes it."""

    def __init__(self, framework: Framework, request: dict[str, Any], broken: list[tuple[str, str]]):
        self.framework, self.request, self.broken = framework, request, broken
        self.program: Program

    def report(self, rule: str, text: str) -> None:
        """Notes that a rule of `pipelines.contract.rules` does not hold."""
        self.broken.append((rule, text))

    def examine(self) -> list[dict[str, np.ndarray]]:
        """Checks every rule that one process can see; returns the outputs of the calls that the gate judges."""
        request = self.request
        model = Path(request["model"])
        module = load_module(model, f"studies.{request['study']}.{model.parent.name}.{request['framework']}")
        with np.load(request["data"]) as data:
            made = getattr(module, request["function"])(self.framework, dict(data), request["parameters"])
        if not isinstance(made, Program):
            self.report("program", f"{request['function']} returned {type(made).__name__}")
            return []
        self.program = made
        self._notes()
        seed = request["seed"]
        self.built = self.framework.build(made, self._prepared(seed))
        first = self.call(seed)
        if not self._arrays(first):
            return []
        self._precision(first)
        self._seeds(first, seed)
        self._fresh(first, seed)
        self._synchronized(seed)
        return [self.call(one) for one in request["gate_seeds"]]

    def call(self, seed: int) -> dict[str, np.ndarray]:
        """The outputs of one call with fresh inputs."""
        return self._run(self._prepared(seed))

    def _prepared(self, seed: int) -> Inputs:
        inputs = self.program.prepare(seed)
        self.framework.synchronize(inputs)
        return inputs

    def _run(self, inputs: Inputs) -> dict[str, np.ndarray]:
        outputs = self.built.run(inputs)
        self.framework.synchronize(outputs)
        found = self.framework.to_numpy(outputs)
        return {name: np.array(value) for name, value in found.items()} if isinstance(found, dict) else found

    def _notes(self) -> None:
        try:
            json.dumps(self.program.notes, allow_nan=False)
        except (TypeError, ValueError) as error:
            self.report("notes", str(error))

    def _arrays(self, outputs: object) -> bool:
        if not isinstance(outputs, dict) or not outputs:
            self.report("outputs", f"to_numpy gave {type(outputs).__name__} with no arrays by name")
            return False
        wrong = [
            f"{name!r} is {getattr(value, 'dtype', type(value).__name__)}"
            for name, value in outputs.items()
            if not isinstance(name, str) or not isinstance(value, np.ndarray) or value.dtype.kind not in "biufcV"
        ]
        if wrong:
            self.report("outputs", "; ".join(wrong))
        return not wrong

    def _precision(self, outputs: dict[str, np.ndarray]) -> None:
        wrong = other_precision(outputs, self.program.notes.get("dtype", self.request["dtype"]))
        if wrong is not None:
            self.report("dtype", wrong)

    def _seeds(self, first: dict[str, np.ndarray], seed: int) -> None:
        if not same(first, self.call(seed)):
            self.report("repeatable", f"two calls with seed {seed} gave different outputs")
        elif self.framework.repeatable:
            inputs = self._prepared(seed)
            if not same(self._run(inputs), self._run(inputs)):
                self.report("inputs", "two calls with the same inputs gave different outputs")
        if self.request["is_random"] and same(first, self.call(seed + 1)):
            self.report("seed", f"seeds {seed} and {seed + 1} gave the same outputs")

    def _fresh(self, first: dict[str, np.ndarray], seed: int) -> None:
        inputs = self.framework.inputs_of_calls(self.program, seed, 3)
        self.framework.synchronize(inputs)
        found = [self._run(one) for one in inputs]
        if len(found) != 3:
            self.report("fresh", f"inputs_of_calls gave inputs of {len(found)} calls, asked for 3")
        elif self.framework.repeatable and not same(found[0], first):
            self.report("fresh", "the first call of a block is not the call of prepare(seed)")
        if self.request["is_random"] and any(same(found[i], found[j]) for i in range(len(found)) for j in range(i)):
            self.report("fresh", "two calls of one block gave the same outputs")

    def _synchronized(self, seed: int) -> None:
        """An adapter that returns before the work is done is caught when its outputs are read: that takes the time."""
        late, block = math.inf, math.inf
        for _ in range(3):
            inputs = self._prepared(seed)
            start = time.perf_counter()
            outputs = self.built.run(inputs)
            self.framework.synchronize(outputs)
            middle = time.perf_counter()
            arrays = self.framework.to_numpy(outputs)
            end = time.perf_counter()
            late, block = min(late, end - middle), min(block, middle - start)
        copied = sum(value.nbytes for value in arrays.values())
        if late > max(block, READING_SECONDS + copied / READING_BYTES_PER_SECOND):
            text = f"a call took {1e3 * block:.1f} ms, and reading its {copied:,} bytes then {1e3 * late:.1f} ms"
            self.report("synchronize", text)


def other_precision(outputs: dict[str, np.ndarray], wanted: str) -> str | None:
    """Which float outputs have another precision than the one that was asked for; None if all have it."""
    floats = {name: value.dtype for name, value in outputs.items() if value.dtype.kind == "f"}
    wrong = [f"{name} is {dtype}" for name, dtype in floats.items() if dtype != np.dtype(wanted)]
    return f"asked for {wanted}, and {', '.join(wrong)}" if wrong else None


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Equal in every bit; what is not a number equals itself."""
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first
    )


@contextmanager
def watched_output() -> Iterator[Callable[[], str]]:
    """Standard output of this process and its libraries goes into a file; the function gives what is new in it."""
    own = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        place = 0

        def new() -> str:
            nonlocal place
            sys.stdout.flush()
            file.seek(place)
            text = file.read()
            place += len(text)
            return text.decode(errors="replace")

        try:
            yield new
        finally:
            os.dup2(own, 1)
            os.close(own)


def examine_all(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Examines the cells of one framework; see `pipelines.contract.check`."""
    answers: list[dict[str, Any]] = []
    with watched_output() as printed:
        try:
            framework = load_framework(Path(request["home"]), request["framework"])
            reason = framework.unavailable(request["device"])
            if reason is None:
                framework.start(request["device"], request["cells"][0]["dtype"])
        except ModuleNotFoundError as error:
            return {"unavailable": f"{error.name} is not installed", "cells": []}
        if reason is not None:
            return {"unavailable": reason, "cells": []}
        for index, cell in enumerate(request["cells"]):
            path = folder / f"{request['framework']}_{index}.npz"
            answers.append(_examine(framework, cell, path, printed))
    return {"unavailable": None, "cells": answers}


def _examine(framework: Framework, cell: dict[str, Any], path: Path, printed: Callable[[], str]) -> dict[str, Any]:
    """The answer about one cell; the outputs of the calls that the gate judges go into the file."""
    broken: list[tuple[str, str]] = []
    found: list[dict[str, np.ndarray]] = []
    skipped, line = None, None
    try:
        found = Cell(framework, cell, broken).examine()
    except Unavailable as error:
        skipped = str(error)
    except Exception as error:  # noqa: BLE001 whatever an adapter raises is what the author must see
        broken.append(("runs", _in_a_line(error)))
        line = _line_within(error, Path(cell["model"]))
    text = printed()
    if text:
        broken.append(("stdout", f"printed {next(iter(text.strip().splitlines()), text)[:80]!r}"))
    forms = {tuple((name, array.shape, array.dtype.str) for name, array in sorted(one.items())) for one in found}
    if len(forms) > 1:
        broken.append(("outputs", "two calls returned other names, shapes or types"))
    elif found:
        np.savez(path, **{name: np.stack([one[name] for one in found]) for name in found[0]})  # type: ignore[arg-type]
    return {"broken": broken, "skipped": skipped, "line": line, "outputs": str(path) if len(forms) == 1 else None}


def _in_a_line(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "")[:300]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _line_within(error: BaseException, model: Path) -> int | None:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == model]
    return frames[-1].lineno if frames else None


def main(arguments: list[str]) -> int:
    """Reads the request, examines, writes the answer."""
    path = Path(arguments[0])
    extend_packages([Path(folder) for folder in extension_folders()])
    answer = examine_all(json.loads(path.read_text()), path.parent)
    path.with_suffix(".answer").write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
