"""A program in a worker, as the gate meets it: built there, called, its outputs fetched with care and stacked.

Runs and `./run gates` share this path, so that a mutant is built, called and read as the program of a cell is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Limits
from pipelines.plan import fingerprint
from pipelines.plan.cells import Cell
from pipelines.race.timing import ContestantFailure
from pipelines.workers.arrays import collect
from pipelines.workers.client import WorkerClient

Outputs = dict[str, np.ndarray]


@dataclass
class Program:
    """One program in one worker.

    Args:
        client: the worker.
        handle: its name there.
        limits: seconds for each request.
        folder: where its outputs travel; made for each call and removed after it.
        seconds_at_gate: of its latest call at the gate, as the worker told; None if that was its first.
    """

    client: WorkerClient
    handle: str
    limits: Limits
    folder: Path
    seconds_at_gate: float | None = None
    _was_called: bool = False

    def build(self, cell: Cell, task: str, model: Path, data: Mapping[str, str]) -> dict[str, Any]:
        """The worker's reply to `prepare`.

        Args:
            cell: study, parameters and seed.
            task: the function of the model that makes the program.
            model: file of the model.
            data: files of the problem's arrays, see `DataFiles`.
        """
        self.client.programs += 1
        return self.client.request(
            "prepare",
            self.limits.prepare_seconds,
            handle=self.handle,
            study=cell.study,
            task=task,
            model=str(model),
            parameters=dict(cell.parameters),
            data=dict(data),
            seed=cell.seed,
        )

    def prepare(self, seed: int, calls: int = 1) -> dict[str, Any]:
        """The reply to new inputs, untimed."""
        return self.client.request("prepare", self.limits.prepare_seconds, handle=self.handle, seed=seed, calls=calls)

    def gate(self, **which: int) -> dict[str, Any]:
        """The reply to one call whose outputs are held; `seed` and `call` repeat a call of a block."""
        reply = self.client.request("gate", self.limits.gate_seconds, handle=self.handle, **which)
        self.seconds_at_gate = float(reply["first_call_s"]) if self._was_called else None
        self._was_called = True
        return reply

    def outputs(self, announced: Mapping[str, Any]) -> Outputs:
        """The outputs that the worker holds, which are of the announced forms, through files.

        Raises:
            ContestantFailure: a file is not what it should be.
        """
        self.folder.mkdir()
        reply = self.client.request("outputs", self.limits.gate_seconds, handle=self.handle, folder=str(self.folder))
        return collect(self.folder, reply["arrays"], announced)

    def call(self, seed: int) -> Outputs:
        """The outputs of one call with inputs of that seed."""
        self.prepare(seed)
        return self.outputs(self.gate()["outputs"])

    def forget(self) -> None:
        """Frees it, if its worker still lives."""
        if self.client.alive:
            self.client.request("forget", self.limits.prepare_seconds, handle=self.handle)


def stacked(calls: Iterable[Outputs]) -> Outputs:
    """(n_calls, ...) arrays of several calls.

    Raises:
        ContestantFailure: names, shapes or types of the outputs differ between two calls.
    """
    found = list(calls)
    forms = [{name: (array.shape, array.dtype.name) for name, array in call.items()} for call in found]
    for index, form in enumerate(forms):
        if form != forms[0]:
            names = {*form, *forms[0]}
            different = ", ".join(sorted(name for name in names if form.get(name) != forms[0].get(name)))
            raise ContestantFailure(
                "failed", f"call {index + 1} at the gate returned another shape or type of {different}"
            )
    return {name: np.stack([call[name] for call in found]) for name in found[0]}


class DataFiles:
    """The arrays of problems as files in a folder, each problem's written once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._written: dict[str, dict[str, str]] = {}

    def paths(self, data: Mapping[str, np.ndarray]) -> dict[str, str]:
        """The file of each array."""
        name = fingerprint.data_digest(dict(data))[:16]
        if name not in self._written:
            folder = self.folder / f"data_{name}"
            folder.mkdir(exist_ok=True)
            paths = {item: str(folder / f"{index}.npy") for index, item in enumerate(data)}
            for item, array in data.items():
                np.save(paths[item], array, allow_pickle=False)
            self._written[name] = paths
        return self._written[name]
