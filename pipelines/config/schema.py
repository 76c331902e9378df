"""Every setting of a run with its type, range and unit; values are judged here and nowhere by their names.

A field's description is what a fault says is allowed. Parameters of a study are the study's: its `make_problem` judges
them. Those that are counts are called `n_...` and must be above zero, which `pipelines.config.validation` sees to.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SEEDS = 2**31 - 1


def number(unit: str, above: float | None = None, at_least: float | None = None, at_most: float | None = None) -> Any:
    """A finite number with a unit and a range."""
    low = f"above {above:g}" if above is not None else f"from {at_least:g}"
    text = f"a number of {unit}, {low} to {at_most:g}" if at_most is not None else f"a number of {unit}, {low}"
    return Annotated[
        float, Field(strict=True, gt=above, ge=at_least, le=at_most, allow_inf_nan=False, description=text)
    ]


def whole(what: str, at_least: int, at_most: int) -> Any:
    """A whole number with a range."""
    text = f"a whole number of {what}, from {at_least:,} to {at_most:,}"
    return Annotated[int, Field(strict=True, ge=at_least, le=at_most, description=text)]


Limit = number("seconds", above=0, at_most=1e6)
Share = number("the whole", above=0, at_most=1)
Rounds = whole("rounds", 1, 1_000_000)
Flag = Annotated[bool, Field(strict=True, description="true or false")]
Folder = Annotated[str, Field(strict=True, min_length=1, description="a folder")]
Names = Annotated[list[str] | None, Field(description="a list of names, or null")]


class _Block(BaseModel):
    """A group of settings; what is not in it is refused elsewhere, with the nearest name."""

    model_config = ConfigDict(extra="ignore")


class Timing(_Block):
    """How a race is run; see `timing` in `configs/config.yaml` for what each means."""

    min_block_seconds: number("seconds", above=0, at_most=3600)  # type: ignore[valid-type]
    calls: whole("calls", 1, 2**20) | None = Field(  # type: ignore[valid-type]
        description="a whole number of calls in a block, from 1 to 1,048,576, or null for as many as it takes"
    )
    warmup_blocks: whole("blocks", 0, 1000)  # type: ignore[valid-type]
    interval_width: number("the ratio", above=0, at_most=10)  # type: ignore[valid-type]
    processes: whole("processes", 1, 100)  # type: ignore[valid-type]
    cores: whole("cores", 1, 4096) | None = Field(  # type: ignore[valid-type]
        description="a whole number of cores, from 1, or null for all"
    )
    max_idle_fraction: number("the time of a block", at_least=0, at_most=1)  # type: ignore[valid-type]
    min_rounds: Rounds  # type: ignore[valid-type]
    max_rounds: Rounds  # type: ignore[valid-type]
    budget_seconds: number("seconds", above=0, at_most=1e6)  # type: ignore[valid-type]


class Limits(_Block):
    """Seconds for one request to a worker, after which it is killed."""

    start_seconds: Limit  # type: ignore[valid-type]
    prepare_seconds: Limit  # type: ignore[valid-type]
    gate_seconds: Limit  # type: ignore[valid-type]
    block_seconds: Limit  # type: ignore[valid-type]


class Worker(_Block):
    """The life of worker processes."""

    recycle_after: whole("programs", 1, 1_000_000)  # type: ignore[valid-type]


class Skip(_Block):
    """Stages that are left out."""

    run: Flag
    figures: Flag
    export: Flag
    report: Flag


class Run(_Block):
    """The settings of a whole run."""

    seed: whole("a generator's state", 0, SEEDS)  # type: ignore[valid-type]
    dtype: Literal["float32", "float64"] = Field(description="float32 or float64")
    remeasure: Names = None
    results: Folder
    figs: Folder
    skip: Skip
    timing: Timing
    limits: Limits
    worker: Worker


class Task(_Block):
    """The settings of one task of a study, beside its timing, which are those of `Timing`."""

    replicates: whole("replicates", 1, 1_000_000) = 1  # type: ignore[valid-type]
    gate_calls: whole("calls", 1, 100_000) | None = Field(  # type: ignore[valid-type]
        None, description="a whole number of calls, from 1, or null"
    )
    budget_share: number("the budget", above=0, at_most=1000) = 1.0  # type: ignore[valid-type]
    skip: Flag = False
    keep: Names = None
    reports: Names = None
    frameworks: Names = None
    exclude: dict[str, str] | None = Field(None, description="a mapping from names of frameworks to reasons")
    program: str | None = Field(None, description="the name of a function of the model files")


def faults_of(model: type[BaseModel], values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One sentence for every value that its schema refuses: the key, what was given, and what is allowed."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        found = []
        for one in error.errors(include_url=False):
            path = [part for part in one["loc"] if isinstance(part, str) and not part[:1].isupper()]
            names = [name for name in path if name not in ("int", "float", "none", "constrained-int")]
            key = ".".join([*filter(None, [prefix]), *names])
            if one["type"] == "missing":
                found.append(f"{key} is missing: {described(model, names)}.")
            else:
                found.append(f"{key}={_shown(one['input'])}: must be {described(model, names)}.")
        return list(dict.fromkeys(found))
    return []


def faults_of_some(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> list[str]:
    """The faults of values that replace some of a model's: those that are not given are not missing."""
    return [text for text in faults_of(model, values, prefix) if " is missing: " not in text]


def described(model: type[BaseModel], path: list[str]) -> str:
    """What the setting at a path may be, in words."""
    field: Any = None
    for name in path:
        if name not in model.model_fields:
            break
        field = model.model_fields[name]
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return (field.description if field is not None else None) or "a mapping"


def covers(key: str) -> bool:
    """Whether the schema of a run has a setting of that dotted name."""
    model: Any = Run
    for name in key.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or name not in model.model_fields:
            return False
        model = model.model_fields[name].annotation
    return not (isinstance(model, type) and issubclass(model, BaseModel))


def _shown(value: object) -> str:
    text = "null" if value is None else str(value) if isinstance(value, int | float) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
