"""The worker: one framework, one device, one process. Speaks `pipelines/workers/protocol.py` on its standard streams.

`python -m pipelines.workers.worker --framework NAME --root FOLDER`. It imports that framework and the models that it is
given, and nothing of the harness but this protocol and the timed loop: no Hydra, no pandas, no matplotlib.
"""

import argparse
import contextlib
import ctypes
import gc
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from frameworks.base import Built, Framework, Program, Unavailable
from pipelines.install.requirements import extension_folders
from pipelines.plan.tree import extend_packages, load_framework, load_module
from pipelines.race.timing import time_block
from pipelines.workers import protocol
from pipelines.workers.digest import digest, storable

OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "OutOfMemory", "Out of memory")


class Skipped(Exception):
    """The cell cannot run here, and that is expected."""


class Prepared:
    """One program with the inputs of its next calls and the outputs that are held.

    Args:
        program: as the model made it.
        inputs: of the next calls; a call uses its own up.
        built: its compiled form.
    """

    def __init__(self, program: Program, inputs: Sequence[Any], built: Built):
        self.program, self.inputs, self.built = program, inputs, built
        self.outputs: dict[str, np.ndarray] | None = None
        self.reading_s = 0.0


class Worker:
    """The requests of the protocol as methods: each takes the request and returns the reply's fields."""

    def __init__(self, root: Path, framework: str):
        self.root, self.name = root, framework
        self.framework: Framework
        self.programs: dict[str, Prepared] = {}

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        """Imports the framework and selects the device."""
        start = time.perf_counter()
        try:
            self.framework = load_framework(self.root, self.name)
        except ModuleNotFoundError as error:
            raise Skipped(f"{error.name} is not installed") from error
        import_s = time.perf_counter() - start
        reason = self.framework.unavailable(request["device"])
        if reason is None:
            self.framework.start(request["device"], request["dtype"])
        return {
            "protocol": protocol.VERSION,
            "framework": self.name,
            "pid": os.getpid(),
            "import_s": import_s,
            "unavailable": reason,
            "versions": self.framework.versions() if reason is None else {},
            "device_name": self.framework.device_name() if reason is None else "",
            "repeatable": self.framework.repeatable,
        }

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Builds a program, or gives a known one new inputs."""
        if "model" not in request:
            return {"seconds": self._renew(self.programs[request["handle"]], request["seed"], request.get("calls", 1))}
        reset_peak_memory()
        data = {name: np.load(path, allow_pickle=False) for name, path in request["data"].items()}
        model = Path(request["model"])
        # Named after its folder: a mutant imports the model of the same framework.
        module = load_module(model, f"studies.{request['study']}.{model.parent.name}.{self.name}")
        make = getattr(module, request["task"], None)
        if make is None:
            raise Skipped(f"no model of {request['study']}/{request['task']} for {self.name}")
        program = make(self.framework, data, request["parameters"])
        if not isinstance(program, Program):
            given = type(program).__name__
            raise TypeError(
                f"{request['task']} of {model.name} returned {given}, not a Program: see frameworks/base.py"
            )
        start = time.perf_counter()
        inputs = program.prepare(request["seed"])
        self.framework.synchronize(inputs)
        seconds = time.perf_counter() - start
        built = self.framework.build(program, inputs)
        self.programs[request["handle"]] = Prepared(program, [inputs], built)
        return {"phases": built.phases, "cost": built.cost, "notes": program.notes, "seconds": seconds}

    def gate(self, request: dict[str, Any]) -> dict[str, Any]:
        """One call: the first, or again a call that was timed."""
        prepared = self.programs[request["handle"]]
        if "call" in request:
            self._renew(prepared, request["seed"], request["call"] + 1)
            prepared.inputs = prepared.inputs[request["call"] :][:1]
        (inputs,) = self._take(prepared, 1)
        start = time.perf_counter()
        outputs = prepared.built.run(inputs)
        self.framework.synchronize(outputs)
        elapsed = time.perf_counter() - start
        start = time.perf_counter()
        prepared.outputs = self.framework.to_numpy(outputs)
        reading_s = time.perf_counter() - start
        # A program that returns before its work is done pays here too: what is ready takes no longer than its copy.
        prepared.reading_s = min(reading_s, copy_seconds(prepared.outputs))
        return {"first_call_s": elapsed, "outputs": digest(prepared.outputs), **self._memory()}

    def outputs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Writes the outputs that are held."""
        prepared = self.programs[request["handle"]]
        if prepared.outputs is None:
            raise RuntimeError("`outputs` without outputs: ask for `gate` or `time` first.")
        written = {}
        for index, (name, array) in enumerate(prepared.outputs.items()):
            path = Path(request["folder"]) / f"output_{index}.npy"
            np.save(path, storable(name, array), allow_pickle=False)
            written[name] = str(path)
        prepared.outputs = None
        return {"arrays": written}

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """One timed block, and what became of two of its calls."""
        prepared = self.programs[request["handle"]]
        prepared.outputs = None
        inputs = self._take(prepared, request["calls"])
        gc.collect()  # a collection owed by preparation must not fall into the block
        block = time_block(prepared.built.run, self.framework.synchronize, inputs, request["keep"])
        start = time.perf_counter()
        last = self.framework.to_numpy(block.last)
        reading_s = time.perf_counter() - start
        prepared.outputs = self.framework.to_numpy(block.kept)
        return {
            "seconds": block.seconds,
            "late_s": max(reading_s - prepared.reading_s, 0.0),
            "kept": digest(prepared.outputs),
            "last": digest(last),
            **self._memory(),
        }

    def forget(self, request: dict[str, Any]) -> dict[str, Any]:
        """Drops a program."""
        self.programs.pop(request["handle"], None)
        gc.collect()
        return {}

    def _renew(self, prepared: Prepared, seed: int, calls: int) -> float:
        """New inputs of the next calls; seconds that they took."""
        prepared.inputs, prepared.outputs = [], None  # free the old arrays before the new ones are made
        start = time.perf_counter()
        prepared.inputs = self.framework.inputs_of_calls(prepared.program, seed, calls)
        self.framework.synchronize(prepared.inputs)
        return time.perf_counter() - start

    def _take(self, prepared: Prepared, calls: int) -> Sequence[Any]:
        """The inputs of the next calls. They are used up, so that no call sees inputs that another has seen."""
        inputs, prepared.inputs = prepared.inputs, []
        if len(inputs) != calls:
            raise RuntimeError(f"{calls} calls were asked for and {len(inputs)} are prepared: ask for `prepare` first.")
        return inputs

    def _memory(self) -> dict[str, Any]:
        return {"peak_host_bytes": peak_memory_bytes(), "peak_device_bytes": self.framework.device_memory_bytes()}


def copy_seconds(outputs: dict[str, np.ndarray]) -> float:
    """The longest that reading finished outputs can take: 100 MB/s is slower than any copy to the host."""
    return 2e-3 + sum(array.nbytes for array in outputs.values()) / 1e8


def reset_peak_memory() -> None:
    """Restarts the count of the peak of resident memory, where Linux allows it."""
    with contextlib.suppress(OSError):  # elsewhere `peak_memory_bytes` reports the peak of the process so far
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int:
    """Peak resident memory since the last reset."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def serve(worker: Worker, requests: TextIO, replies: TextIO) -> None:
    """Answers requests until `quit` or the end of the stream."""
    operations = {name: getattr(worker, name) for name in ("hello", "prepare", "gate", "outputs", "time", "forget")}
    for line in requests:
        request = protocol.decode(line)
        if request["op"] == "quit":
            reply: dict[str, Any] = {"ok": True}
        else:
            reply = _answer(operations[request["op"]], request)
        replies.write(protocol.encode({"id": request["id"], **reply}) + "\n")
        replies.flush()
        if request["op"] == "quit":
            return


def _answer(operation: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": True, **operation(request)}
    except (Skipped, Unavailable) as skipped:
        return {"ok": False, "status": "skipped", "reason": str(skipped), "traceback": None}
    except Exception as error:  # noqa: BLE001 whatever a framework raises becomes the cell's row
        text = f"{type(error).__name__}: {error}"
        exhausted = isinstance(error, MemoryError) or any(mark in text for mark in OUT_OF_MEMORY)
        first = text.strip().splitlines()[0][:300]
        status = "oom" if exhausted else "failed"
        return {"ok": False, "status": status, "reason": first, "traceback": traceback.format_exc()}


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends; elsewhere the end of standard input does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def limit_memory() -> None:
    """Limits what this process may map for its data to what the parent asks for, if it does."""
    asked = os.environ.get(protocol.MEMORY_BYTES)
    if asked:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(asked) if hard == resource.RLIM_INFINITY else min(int(asked), hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def main(arguments: list[str]) -> int:
    """Serves on private copies of the standard streams, so that what libraries print cannot reach the protocol."""
    parser = argparse.ArgumentParser(prog="pipelines.workers.worker")
    parser.add_argument("--framework", required=True)
    parser.add_argument("--root", type=Path, required=True)
    options = parser.parse_args(arguments)
    die_with_parent()
    limit_memory()
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    importlib.invalidate_caches()
    extend_packages([Path(folder) for folder in extension_folders()])
    serve(Worker(options.root, options.framework), requests, replies)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
