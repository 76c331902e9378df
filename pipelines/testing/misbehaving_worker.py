"""A worker that does its work and then breaks the protocol in one chosen way.

`python -m pipelines.testing.misbehaving_worker --fault NAME`, as the `command` of a framework; the pipeline appends the
rest. Everything but the fault is the ordinary worker, so that a study's own models can be used. `FAULTS` has the names.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pipelines.workers import worker

Reply = dict[str, Any]
FOREVER_SECONDS = 120


def _set(**fields: Any) -> Callable[[Reply], Reply]:
    return lambda reply: {**reply, **fields}


def _drop(name: str) -> Callable[[Reply], Reply]:
    return lambda reply: {key: value for key, value in reply.items() if key != name}


def _form(**fields: Any) -> Callable[[Reply], Reply]:
    """Changes the announced form of every output."""
    return lambda reply: {**reply, "outputs": {name: {**form, **fields} for name, form in reply["outputs"].items()}}


REPLY_FAULTS: dict[str, tuple[str, Callable[[Reply], Any]]] = {
    **{
        f"{operation} without {name}": (operation, _drop(name))
        for operation, names in {
            "hello": (
                "protocol",
                "framework",
                "pid",
                "import_s",
                "versions",
                "unavailable",
                "device_name",
                "repeatable",
            ),
            "prepare": ("phases", "cost", "notes", "seconds"),
            "gate": ("first_call_s", "outputs", "peak_host_bytes"),
            "outputs": ("arrays",),
            "time": ("seconds", "peak_device_bytes", "kept", "last", "late_s"),
        }.items()
        for name in names
    },
    "protocol of another version": ("hello", _set(protocol=99)),
    "protocol as text": ("hello", _set(protocol="1")),
    "versions as a list": ("hello", _set(versions=["numpy", "2"])),
    "versions of numbers": ("hello", _set(versions={"numpy": 2})),
    "phases null": ("prepare", _set(phases=None)),
    "negative phase": ("prepare", _set(phases={"compile": -1.0})),
    "phase as text": ("prepare", _set(phases={"compile": "1.0"})),
    "cost as text": ("prepare", _set(cost="much")),
    "notes null": ("prepare", _set(notes=None)),
    "first call null": ("gate", _set(first_call_s=None)),
    "negative first call": ("gate", _set(first_call_s=-0.5)),
    "first call longer than the wait": ("gate", _set(first_call_s=500.0)),
    "outputs null": ("gate", _set(outputs=None)),
    "outputs as a list": ("gate", _set(outputs=["total"])),
    "no outputs": ("gate", _set(outputs={})),
    "negative shape": ("gate", _form(shape=[-1])),
    "shape of fractions": ("gate", _form(shape=[1.5])),
    "shape as text": ("gate", _form(shape="(3,)")),
    "shape of ten gigabytes": ("gate", _form(shape=[10_000_000_000])),
    "dtype null": ("gate", _form(dtype=None)),
    "memory as text": ("gate", _set(peak_host_bytes="1 GB")),
    "seconds null": ("time", _set(seconds=None)),
    "seconds zero": ("time", _set(seconds=0)),
    "seconds negative": ("time", _set(seconds=-1.0)),
    "seconds of 1e300": ("time", _set(seconds=1e300)),
    "seconds longer than the wait": ("time", _set(seconds=500.0)),
    "seconds as text": ("time", _set(seconds="0.1")),
    "seconds true": ("time", _set(seconds=True)),
    "seconds as a list": ("time", _set(seconds=[0.1])),
    "id of another request": ("time", _set(id=10**6)),
    "id as text": ("time", _set(id="7")),
    "no id": ("time", _drop("id")),
    "no ok": ("time", _drop("ok")),
    "ok as text": ("time", _set(ok="yes")),
    "refusal of unknown status": (
        "gate",
        lambda reply: {"id": reply["id"], "ok": False, "status": "ok", "reason": "x"},
    ),
    "refusal without reason": ("gate", lambda reply: {"id": reply["id"], "ok": False, "status": "failed"}),
    "a list": ("time", lambda reply: [reply]),
    "a number": ("time", lambda reply: 7),
    "null": ("time", lambda reply: None),
}
"""Operation and what becomes of its reply."""


def _with_nan(reply: Reply) -> bytes:
    return json.dumps({**reply, "seconds": float("nan")}).encode() + b"\n"


RAW_FAULTS: dict[str, tuple[str, Callable[[Reply], bytes]]] = {
    "seconds NaN": ("time", _with_nan),
    "empty line": ("time", lambda reply: b"\n"),
    "words": ("time", lambda reply: b"Julia says hi\n"),
    "bytes that are not text": ("time", lambda reply: b"\xff\xfe\x00\x80\n"),
    "deep JSON": ("time", lambda reply: b'{"id":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"),
    "number of a million digits": ("time", lambda reply: b'{"id":' + b"9" * 1_000_000 + b',"ok":true}\n'),
    "two replies": ("time", lambda reply: 2 * (json.dumps(reply).encode() + b"\n")),
    "line of 9 MB": ("time", lambda reply: b" " * 9 * 2**20 + json.dumps(reply).encode() + b"\n"),
    "half a reply, then death": ("time", lambda reply: json.dumps(reply).encode()[:20]),
}
"""Operation and the bytes that are written for its reply. The last one dies afterwards."""


def _each(path: Path, change: Callable[[Path], None]) -> None:
    path.unlink()
    change(path)


def _header(path: Path, description: dict[str, Any], content: bytes = b"") -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        file.write(content)


def _little(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"descr": "<f4", "fortran_order": False, "shape": shape}


FILE_FAULTS: dict[str, Callable[[Path], None]] = {
    "no file": lambda path: None,
    "empty file": lambda path: path.touch(),
    "text in a file": lambda path: None if path.write_text("total = 3") else None,
    "folder for a file": lambda path: path.mkdir(),
    "pipe for a file": os.mkfifo,
    "link for a file": lambda path: path.symlink_to("/etc/hostname"),
    "file of objects": lambda path: np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "file of records": lambda path: np.save(path, np.zeros(1, dtype=[("a", "f4")])),
    "file of text": lambda path: np.save(path, np.array("total")),
    "file of dates": lambda path: np.save(path, np.array("2026-01-01", dtype="datetime64[D]")),
    "file of another type": lambda path: np.save(path, np.float64(3)),
    "file of another shape": lambda path: np.save(path, np.zeros(3, np.float32)),
    "file that claims ten gigabytes": lambda path: _header(path, _little((2_500_000_000,)), b"1234"),
    "file that claims a negative shape": lambda path: _header(path, _little((-1,)), b"1234"),
    "file with less than it says": lambda path: _header(path, _little(()), b"12"),
    "file with more than it says": lambda path: _header(path, _little(()), b"12345678"),
}
"""What is made in place of each output's file."""


def _elsewhere(reply: Reply) -> Reply:
    """Names a file of somebody else: neither read nor removed by the pipeline."""
    moved = {}
    for name, path in reply["arrays"].items():
        target = Path(path).parents[1] / f"not yours {os.getpid()}.npy"
        shutil.move(path, target)
        moved[name] = str(target)
    return {**reply, "arrays": moved}


REPLY_FAULTS |= {
    "arrays null": ("outputs", _set(arrays=None)),
    "arrays as a list": ("outputs", lambda reply: {**reply, "arrays": list(reply["arrays"].values())}),
    "one output too few": ("outputs", _set(arrays={})),
    "one output too many": ("outputs", lambda reply: {**reply, "arrays": {**reply["arrays"], "x": "/etc/hostname"}}),
    "file elsewhere": ("outputs", _elsewhere),
    "path relative": ("outputs", lambda reply: {**reply, "arrays": dict.fromkeys(reply["arrays"], "output_0.npy")}),
    "path upwards": (
        "outputs",
        lambda reply: {**reply, "arrays": {name: f"{path}/../../x.npy" for name, path in reply["arrays"].items()}},
    ),
    "path with a zero byte": ("outputs", lambda reply: {**reply, "arrays": dict.fromkeys(reply["arrays"], "/a\0b")}),
    "path of a number": ("outputs", lambda reply: {**reply, "arrays": dict.fromkeys(reply["arrays"], 7)}),
}


def _endless_line(stream: TextIO) -> None:
    while True:
        stream.write("x" * 2**16)


def _hang(stream: TextIO) -> None:
    time.sleep(FOREVER_SECONDS)


def _close_and_stay(stream: TextIO) -> None:
    stream.close()
    time.sleep(FOREVER_SECONDS)


DEATHS: dict[str, Callable[[TextIO], None]] = {
    "endless line": _endless_line,
    "silence": _hang,
    "closed output": _close_and_stay,
    "end with status 0": lambda stream: os._exit(0),
    "end with status 3": lambda stream: os._exit(3),
    "killed": lambda stream: os.kill(os.getpid(), signal.SIGKILL),
    "segmentation fault": lambda stream: os.kill(os.getpid(), signal.SIGSEGV),
    "killed by a real-time signal": lambda stream: os.kill(os.getpid(), signal.SIGRTMIN + 3),
}
"""What happens in place of a reply to `time`."""

FAULTS = (*REPLY_FAULTS, *RAW_FAULTS, *(f"{name} as output" for name in FILE_FAULTS), *DEATHS)
"""The names of all faults."""


def misbehave(fault: str, operation: str, reply: Reply, stream: TextIO) -> None:
    """Writes the reply, or what the fault makes of it."""
    honest = json.dumps(reply).encode() + b"\n"
    content = honest
    timing = operation == "time"
    if fault in REPLY_FAULTS and REPLY_FAULTS[fault][0] == operation:
        content = json.dumps(REPLY_FAULTS[fault][1](reply)).encode() + b"\n"
    elif fault in RAW_FAULTS and timing:
        content = RAW_FAULTS[fault][1](reply)
    elif fault.removesuffix(" as output") in FILE_FAULTS and operation == "outputs":
        for path in reply["arrays"].values():
            _each(Path(path), FILE_FAULTS[fault.removesuffix(" as output")])
    elif fault in DEATHS and timing:
        DEATHS[fault](stream)
    os.write(stream.fileno(), content) if len(content) < 4096 else stream.buffer.write(content)
    stream.flush()
    if timing and fault.endswith("then death"):
        os._exit(1)


def main(arguments: list[str]) -> int:
    """Serves like the ordinary worker, with the fault."""
    parser = argparse.ArgumentParser(prog="pipelines.testing.misbehaving_worker")
    parser.add_argument("--fault", required=True, choices=FAULTS)
    parser.add_argument("--framework", required=True)
    parser.add_argument("--root", type=Path, required=True)
    options = parser.parse_args(arguments)
    worker.die_with_parent()
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    honest = worker.Worker(options.root, options.framework)
    for line in requests:
        request = json.loads(line)
        operation = request["op"]
        fields = {"ok": True} if operation == "quit" else worker._answer(getattr(honest, operation), request)
        misbehave(options.fault, operation, {"id": request["id"], **fields}, replies)
        if operation == "quit":
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
