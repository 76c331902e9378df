"""What a worker may answer: one schema for the pipeline, for the tests and for authors of workers in other languages.

`REPLIES` has the model of every request's reply; `read_reply` turns a line into one. Unknown fields are ignored, so
that a worker may say more than it is asked. `json_schema()` gives the same rules as JSON Schema:
`python -m pipelines.workers.replies` prints them.
"""

import json
import sys
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, strict=True)]
"""A duration. Ten million seconds are four months."""
Bytes = Annotated[int, Field(ge=0, le=2**60, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(max_length=1_000_000, strict=True)]
PathText = Annotated[str, Field(min_length=1, max_length=4096, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=200, strict=True)]

NUMERIC_TYPES = (
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("bool", "float16", "float32", "float64", "complex64", "complex128"),
)
"""The types of arrays in a worker's files, by NumPy's names."""
WIDENED = ("bfloat16", "float8", "float6", "float4", "int4", "uint4", "int2", "uint2")
"""How the names of types begin that `.npy` files lack: a worker announces them as they are and writes float32."""


class Fields(BaseModel):
    """The fields of a reply, beside `id` and `ok`."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Memory(Fields):
    """Peaks of the memory in use; null where the system does not say."""

    peak_host_bytes: Bytes | None
    peak_device_bytes: Bytes | None


class Hello(Fields):
    """Who the worker is. `unavailable` is the reason why it cannot run on the device, or null."""

    protocol: Annotated[int, Field(ge=1, strict=True)]
    framework: Name
    pid: Annotated[int, Field(ge=1, strict=True)]
    import_s: Seconds
    device_name: Text
    versions: dict[Name, Text]
    unavailable: Text | None
    repeatable: Annotated[bool, Field(strict=True)]


class Renewed(Fields):
    """What new inputs took."""

    seconds: Seconds


class Prepared(Renewed):
    """What building a program took, and its first inputs."""

    phases: dict[Name, Seconds]
    cost: dict[Name, Number | None]
    notes: dict[Name, JsonValue]


class ArrayForm(Fields):
    """Shape and type of one output."""

    shape: Annotated[list[Annotated[int, Field(ge=0, le=2**40, strict=True)]], Field(max_length=32)]
    dtype: Name


class ArrayDigest(ArrayForm):
    """One output in a few numbers; see `pipelines/workers/digest.py`."""

    values: Bytes
    nan: Bytes
    infinite: Bytes
    checksum: Number
    magnitude: Number


Digests = Annotated[dict[Name, ArrayDigest], Field(max_length=1000)]


class Called(Memory):
    """One call of a program and digests of its outputs."""

    first_call_s: Seconds
    outputs: Digests


class Written(Fields):
    """Where the outputs are, by name; each file lies in the folder that the request names."""

    arrays: Annotated[
        dict[Name, Annotated[str, Field(min_length=1, max_length=4096, strict=True)]], Field(max_length=1000)
    ]


class Timed(Memory):
    """One block of calls; a clock that did not move measured nothing."""

    seconds: Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False, strict=True)]
    late_s: Seconds
    kept: Digests
    last: Digests


class Refusal(Fields):
    """A request that could not be served; the worker stays usable."""

    status: Literal["failed", "oom", "skipped"]
    reason: Text
    traceback: Text | None = None


REPLIES: dict[str, type[Fields]] = {
    "hello": Hello,
    "prepare": Prepared,
    "renew": Renewed,
    "gate": Called,
    "outputs": Written,
    "time": Timed,
    "forget": Fields,
    "quit": Fields,
}
"""The reply of each request; "renew" is `prepare` of a handle that is known already."""


class InvalidReply(ValueError):
    """A line that is not a reply to the pending request; the text says what is wrong with it."""


class Refused(Exception):
    """The worker answered that it could not serve the request."""

    def __init__(self, refusal: Refusal):
        super().__init__(refusal.reason)
        self.refusal = refusal


def read_reply(line: bytes, identifier: int, kind: str) -> dict[str, Any]:
    """The checked fields of a reply.

    Args:
        line: what the worker wrote, one line.
        identifier: the `id` of the pending request.
        kind: a name of `REPLIES`.

    Raises:
        InvalidReply: the line is not JSON, does not answer this request, or breaks the schema.
        Refused: it is a well-formed reply with `ok: false`.
    """
    try:
        message = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidReply(f"printed a line that is not a reply to `{kind}`: {line[:80]!r} ({error})") from None
    if not isinstance(message, dict) or type(message.get("id")) is not int or message["id"] != identifier:
        raise InvalidReply(f"printed a line that is not a reply to `{kind}`: {line[:80]!r}")
    if not isinstance(message.get("ok"), bool):
        raise InvalidReply(f"replied to `{kind}` without `ok: true` or `ok: false`: {line[:80]!r}")
    model = REPLIES[kind] if message["ok"] else Refusal
    try:
        checked = model.model_validate(message)
    except ValidationError as error:
        raise InvalidReply(f"replied to `{kind}` with {_wrong(error)}") from None
    if isinstance(checked, Refusal):
        raise Refused(checked)
    return checked.model_dump()


def json_schema() -> dict[str, Any]:
    """The schema of every reply as JSON Schema, by the name of its request."""
    models: dict[str, type[Fields]] = {**REPLIES, "refusal": Refusal}
    return {name: model.model_json_schema() for name, model in models.items()}


def _wrong(error: ValidationError) -> str:
    """The first three things that are wrong, each with its place and a short form of the value."""
    found = []
    for one in error.errors(include_url=False)[:3]:
        place = ".".join(str(part) for part in one["loc"])
        given = "" if one["type"] == "missing" else f", got {_short(one['input'])}"
        found.append(f"`{place[:100]}`: {one['msg'].lower()}{given}")
    more = error.error_count() - len(found)
    return "; ".join(found) + (f"; and {more} more" if more > 0 else "")


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else repr(value[:60])
    return text if len(text) <= 60 else text[:57] + "..."


if __name__ == "__main__":
    json.dump(json_schema(), sys.stdout, indent=1)
    print()
