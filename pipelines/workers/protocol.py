"""The protocol between the pipeline and a worker in any language; ours is `pipelines/workers/worker.py`.

Transport
    The pipeline starts the worker's command with `--framework NAME --root FOLDER` appended, in a session of its own,
    with the environment of the device and of the framework. It writes one JSON object per line to the worker's
    standard input and reads exactly one JSON object per line from its standard output, UTF-8, in order, one request at
    a time. Nothing else may appear on standard output: a worker first keeps a private copy of that stream and points
    the public one at standard error, so that what libraries print cannot corrupt the protocol. A line that is not a
    reply to the pending request, by the schema of `pipelines/workers/replies.py`, ends the worker and fails its cell;
    so does one of more than 8 MiB. Standard error goes to a log; its last lines are shown when a worker dies. A worker
    ends at the end of its standard input, and should die with its parent (on Linux:
    `prctl(PR_SET_PDEATHSIG, SIGKILL)`). Processes that it starts are ended with it, in whatever session they are.
    Where the variable GENJAX_ARTIFACT_MEMORY_BYTES is set, it limits its own memory to so many bytes of data.

Requests and replies
    A request is `{"id": 7, "op": "...", ...}`. A reply is `{"id": 7, "ok": true, ...}` or
    `{"id": 7, "ok": false, "status": "failed" | "oom" | "skipped", "reason": "one line", "traceback": "..." | null}`.
    After a reply with `ok: false` the worker stays usable. JSON has no NaN: such numbers are null. Arrays never travel
    in messages but as `.npy` files (C order, no pickles) whose absolute paths the messages name.

`hello`    {protocol: 2, device: "cpu" | "cuda", dtype: "float32" | "float64"}
           First request. Imports the system, selects the device. Reply: {protocol: 2, framework, pid, import_s,
           device_name, versions: {name: version}, repeatable, unavailable: null | reason}. `repeatable` is true if a
           call draws from its inputs alone, so that equal inputs give equal outputs; false if calls draw from a global
           generator, which `prepare` seeds.
`prepare`  {handle, study, task, model: path, parameters: {...}, data: {name: path}, seed}
           Loads the model file and its function `task`, makes the program, prepares inputs for `seed`, builds (traces,
           compiles). Reply: {phases: {trace, compile, ...: seconds}, cost: {flops, bytes_accessed, temporary_bytes},
           notes: {...}, seconds}; a task that the model does not have is `skipped`. `seconds` is the time that the
           inputs took.
           {handle, seed, calls} alone: prepares inputs for that many calls (1 if it is left out) of a known handle,
           each with random state that no other call has, the same ones whenever the seed is the same. Reply:
           {seconds}. In both forms the reply comes only when the inputs are on the device. Untimed, but its time is
           compared between systems.
           Inputs serve one call: `gate` uses up one, `time` all.
`gate`     {handle}: runs once, waits for the whole output and holds it. Reply: {first_call_s, outputs: DIGESTS,
           peak_host_bytes, peak_device_bytes} (null where unknown).
           {handle, seed, call}: the same after preparing the inputs of call number `call` of that seed. Where calls are
           not repeatable, `call` is 0.
           DIGESTS is {name: {shape, dtype, values, nan, infinite, checksum, magnitude}}, see `digest.py`.
`outputs`  {handle, folder}: writes the held outputs into the folder. Reply: {arrays: {name: path}}, the names of the
           digests. Types that `.npy` files lack (bfloat16, ...) are written as float32.
`time`     {handle, calls, keep}: runs the prepared calls, waiting for the whole output after each, inside one pair of
           clock readings; holds the outputs of call number `keep`, from 0. After the clock it reads the last call's
           outputs, then those that it holds. Reply: {seconds, late_s, kept: DIGESTS, last: DIGESTS, peak_host_bytes,
           peak_device_bytes}. `late_s` is how much longer that first reading took than the one at the gate. Must start
           no thread that goes on afterwards.
`forget`   {handle}: drops the program, its inputs and its outputs. Reply: {}.
`quit`     {}: replies {} and ends with status 0. Python workers of the pipeline itself are ended without being asked.
"""

import json
import math
from typing import Any

VERSION = 2

MEMORY_BYTES = "GENJAX_ARTIFACT_MEMORY_BYTES"
"""The variable that limits the data of workers. Each limits itself: the parent must not run short of memory with it."""


def encode(message: dict[str, Any]) -> str:
    """One line of strict JSON: NaN and infinities become null."""
    return json.dumps(_strict(message), allow_nan=False, separators=(",", ":"))


def decode(line: str) -> dict[str, Any]:
    """The message of one line.

    Raises:
        ValueError: if the line is not a JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"decode got {line[:80]!r}, which is JSON but not an object.")
    return message


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
