"""The contract between the pipeline and one system under comparison. Standard library and NumPy only.

A framework is one file, `frameworks/<name>.py`, with one class that derives from `Framework` and whose `name` is the
file's name. It is found by presence; nothing is registered. The class holds that system's generic inference
(`importance_sampling`, `hmc`, ...) in that system's own idiom; the models of a study live in
`studies/<study>/models/<name>.py`, one function per task:

    def importance_sampling(framework, data, parameters) -> Program

All systems return the same names and shapes for a task, in the space of the model: a state that is transformed says so
in its name (`log_scale`), and a study may declare the supports of its outputs. Nothing is printed on standard output.
`./run contract framework=<name>` checks all of this.

A system may have several ways of writing a program. The function with the task's name is the one that is published;
the others are functions named `<task>__<form>`. `@form` says of each how it is written and where the system's users
write it that way; `./run race-forms framework=<name>` times all of them against each other.

Planning reads the class attributes below from the source text without importing the file, so that a plan never loads
a framework. Base classes and constants of other `frameworks/` files are followed; see `pipelines/attributes.py`
for what an attribute may be made of. `configs/framework/<name>.yaml` may override any of them by the same name.
A file whose name ends in `_base` holds what several systems share and is not a framework.
"""

import importlib.metadata
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

CONTRACT = 1
"""The version of this contract and of `studies/base.py`: it changes when a plug-in must be changed with it."""

Inputs: TypeAlias = Any
"""What a program prepares and takes again, in whatever form suits it; the pipeline only hands it on."""

Outputs: TypeAlias = dict[str, Any]
"""Arrays of the system, by name."""


@dataclass(frozen=True)
class Program:
    """What a model gives for one cell.

    Args:
        prepare: `prepare(seed) -> inputs`. Untimed: puts arrays on the device and makes keys; its time is recorded, and
            flagged where it does work that other systems do in `run`. Called again with a fresh seed before every timed
            block, so two calls with one seed must give equal inputs of equal shapes. The calls of a block get inputs
            that differ in their random state, see `Framework.inputs_of_calls`.
        run: `run(inputs) -> outputs`, the timed part. `outputs` is a flat dict from name to an array of that system.
            For JAX systems it must be traceable by `jax.jit`, and everything that it reads must come through `inputs`:
            an array that it closes over becomes a compile-time constant which XLA may fold away.
        notes: facts worth keeping beside the row, JSON values only (gradient evaluations per call, ...).
    """

    prepare: Callable[[int], Inputs]
    run: Callable[[Inputs], Outputs]
    notes: dict[str, Any] = field(default_factory=dict)


Make = TypeVar("Make", bound=Callable[..., Program])
"""A function of a model file: `(framework, data, parameters) -> Program`."""


class Unavailable(Exception):
    """Raised by a model or framework whose program cannot run on this machine: the cell is skipped with the reason."""


def with_outputs(program: Program, change: Callable[[Outputs], Outputs]) -> Program:
    """The program whose outputs are `change(outputs)`; the change is timed with it."""
    return replace(program, run=lambda inputs: change(program.run(inputs)))


@dataclass(frozen=True)
class Built:
    """A program ready to be called.

    Args:
        run: the compiled form of `Program.run`, called as `run(inputs)`.
        phases: seconds of each phase before the first call, such as `trace` and `compile`; empty if there is none.
        cost: the compiler's own count of one call, if it has one: `flops`, `bytes_accessed`, `temporary_bytes`.
    """

    run: Callable[[Inputs], Outputs]
    phases: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Mutation:
    """What is wrong with a mutant; see `mutant`."""

    task: str
    effect: str
    parameters: dict[str, Any] = field(default_factory=dict)
    size: str = "paper"
    cheap: bool = False
    strengths: tuple[float, ...] = ()
    not_reported: tuple[str, ...] = ()


def mutant(
    *,
    task: str,
    effect: str,
    parameters: dict[str, Any] | None = None,
    size: str = "paper",
    cheap: bool = False,
    strengths: tuple[float, ...] = (),
    not_reported: tuple[str, ...] = (),
) -> Callable[[Make], Make]:
    """Marks a program that is wrong on purpose, which the study's gate must call invalid.

    Mutants live in `studies/<study>/mutants/<framework>.py`, functions `name(framework, data, parameters) -> Program`
    like those of a model file. `./run gates` runs them in the framework's own worker and judges them by the study's own
    gate. The arguments are *literals*: planning reads them from the source text.

    Args:
        task: the task whose gate judges it.
        effect: what is wrong, in a few words; `{strength}` in it, with a format if need be, is the strength.
        parameters: of the cell, in place of the first of the task's grid.
        size: the size of the configuration at which it must be caught.
        cheap: whether it runs on every push, too: it takes a second or two.
        strengths: how wrong, for a mutant that reads `parameters["strength"]`. It must be caught at the first; the
            others, smaller ones, measure the power of the gate.
        not_reported: outputs that it need not return, to measure the gate of a system that is excused from them.
    """
    mutation = Mutation(task, effect, parameters or {}, size, cheap, strengths, not_reported)

    def mark(make: Make) -> Make:
        make.mutation = mutation  # type: ignore[attr-defined]
        return make

    return mark


@dataclass(frozen=True)
class Form:
    """One way of writing a program in a system.

    Args:
        name: a Python identifier, told apart from the other forms of the task.
        idiom: how it is written, in one sentence.
        source: where the system's users write it that way: a page of its documentation, a tutorial.
        mark: what a figure must say beside the system's label, such as "eager" or "gradient written out"; may be empty.
        aside: why it is measured and never published, however fast it is; empty for all others.
    """

    name: str
    idiom: str
    source: str = ""
    mark: str = ""
    aside: str = ""


def form(name: str, idiom: str, *, source: str = "", mark: str = "", aside: str = "") -> Callable[[Make], Make]:
    """Registers a function of a model file as a form of a program; see `Form` for the arguments.

    The arguments must be literals: planning reads them from the text. In a Julia file the same call stands in a comment
    directly above the function, `# form("name", "idiom", ...)`, on as many comment lines as it needs.
    """

    def register(function: Make) -> Make:
        function.form = Form(name, idiom, source, mark, aside)  # type: ignore[attr-defined]
        return function

    return register


class Framework(ABC):
    """One system under comparison. Instantiated once, in its own worker process.

    Attributes:
        name: identifier, equal to the file's name.
        label: name in figures and tables.
        contract: the version of the contract that it was written for; a plug-in from outside should say it.
        color: its colour in every figure; empty for a free one of a palette for all kinds of colour vision.
        marker: its marker in every figure, by matplotlib's name; empty for a free one.
        requirements: exact versions of what it needs beside `requirements.txt`, as lines of such a file. `./run`
            installs them as a group with the framework's name, which `RUN_WITHOUT` may leave out.
        spellings: other names by which it may be asked for, in lower case; hyphens for underscores always may.
        distributions: the packages whose versions enter a cell's key; the framework is skipped where one is missing.
        devices: devices that it can run on; elsewhere its cells are expected skips.
        command: the worker's command line; empty for this interpreter with `-m pipelines.workers.worker`. A command
            speaks the protocol of `pipelines/workers/protocol.py` and gets `--framework NAME --root FOLDER` appended.
        version_command: a command whose output enters the key, for systems that are not Python packages.
        environment: variables set in the worker before anything is imported.
        not_reported: what a task's gate demands beside the answer (`reports` in the study's configuration) and the
            system does not tell its users, with the reason. What it can tell must be returned: a gate needs it.
        model_path: where the model of a study is, relative to the repository root.
        sources: globs, relative to the root, of further files that decide what is measured, such as the GenJAX tree
            or a Julia project. The model, this file and the `frameworks/` files that it imports always count.

        repeatable: whether a call draws from its inputs alone, so that equal inputs give equal outputs. False where the
            system draws from a global generator: then only the first call after `prepare(seed)` can be repeated.

    A framework whose first start takes long, since it installs something, may say how long: `start_seconds`, where that
    is more than `limits.start_seconds` of the configuration.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    contract: ClassVar[int] = CONTRACT
    color: ClassVar[str] = ""
    marker: ClassVar[str] = ""
    requirements: ClassVar[tuple[str, ...]] = ()
    spellings: ClassVar[tuple[str, ...]] = ()
    distributions: ClassVar[tuple[str, ...]] = ()
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    command: ClassVar[tuple[str, ...]] = ()
    version_command: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[dict[str, str]] = {}
    not_reported: ClassVar[dict[str, str]] = {}
    model_path: ClassVar[str] = "studies/{study}/models/{framework}.py"
    sources: ClassVar[tuple[str, ...]] = ()
    repeatable: ClassVar[bool] = True

    def versions(self) -> dict[str, str]:
        """Versions of the system's packages, by distribution name."""
        return {name: importlib.metadata.version(name) for name in self.distributions}

    def unavailable(self, device: str) -> str | None:
        """Why this system cannot run on `device` ("cpu" or "cuda") here, or None. Never falls back."""
        return None if device in self.devices else f"{self.label} runs on {' and '.join(self.devices)} only"

    @abstractmethod
    def start(self, device: str, dtype: str) -> None:
        """Selects the device and the default float type; called once, before any model is loaded.

        Args:
            device: "cpu" or "cuda".
            dtype: "float32" or "float64".
        """

    def device_name(self) -> str:
        """The device's own name for provenance, such as "NVIDIA H200"; empty when there is nothing to add."""
        return ""

    def inputs_of_calls(self, program: Program, seed: int, calls: int) -> Sequence[Inputs]:
        """Inputs for `calls` calls, each with random state that no other call has; untimed, but should be quick.

        The first are `program.prepare(seed)`. By default the others are prepared one by one from seeds that derive from
        `seed`; a system that can replace the random state alone, and share the rest, should do that. Where calls draw
        from a global generator (`repeatable` is False), the same inputs may stand for all calls.

        Args:
            program: the program.
            seed: of the block.
            calls: how many.
        """
        return [program.prepare(one) for one in call_seeds(seed, calls)]

    def build(self, program: Program, inputs: Inputs) -> Built:
        """Makes `program.run` ready for `inputs`; by default there is nothing to trace or compile."""
        del inputs
        return Built(run=program.run)

    @abstractmethod
    def synchronize(self, values: Inputs | Outputs) -> None:
        """Waits until every array in `values` (outputs, or prepared inputs) is computed and on its device."""

    @abstractmethod
    def to_numpy(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """The outputs as NumPy arrays, same names, dtypes as computed."""

    def device_memory_bytes(self) -> int | None:
        """Peak bytes in use on the device, or None where the system does not say."""
        return None


def call_seeds(seed: int, calls: int) -> list[int]:
    """Distinct seeds of the calls of a block, below 2**31; the first is `seed` itself, for seeds below 2**31."""
    step = int(np.random.SeedSequence(seed).generate_state(1)[0]) | 1  # odd: a bijection modulo 2**31
    return [(seed + index * step) % 2**31 for index in range(calls)]


@contextmanager
def phase(phases: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds spent inside the block to `phases[name]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        phases[name] = phases.get(name, 0.0) + time.perf_counter() - start
