"""A worker without a process: the ordinary worker's replies in this process, each as a script wants to change it.

A thousand misbehaving replies would need a thousand processes, since a worker that breaks the protocol is ended. Here
the whole of a run around the process is the real one: requests, limits of time, the schema, gate, race and store.

    with scripted({"second": lambda operation, reply: reply.replace(b"0", b"-")}):
        run(...)
"""

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pipelines.plan.tree import FrameworkDescription, Tree
from pipelines.workers import client, pool, worker

Script = Callable[[str, bytes], bytes]
"""From the operation and the honest line to the line that is written."""


class ScriptedClient(client.WorkerClient):
    """A client whose worker is an object in this process; see the module."""

    def __init__(self, description: FrameworkDescription, tree: Tree, script: Script):
        self.label = description.name
        self.log = Path(tempfile.gettempdir()) / "no log of a scripted worker"
        self.programs, self.hello, self.cores, self.confined = 0, {}, None, False
        self._honest = worker.Worker(tree.home_of(description.name), description.name)
        self._script, self._ended = script, False
        self._ids = itertools.count(1)
        self._channel = self  # type: ignore[assignment]  # `exchange` is all that a request needs of it

    def exchange(self, line: bytes, limit_seconds: float) -> bytes:
        """The scripted reply to a request."""
        request = json.loads(line)
        operation = request["op"]
        fields = {"ok": True} if operation == "quit" else worker._answer(getattr(self._honest, operation), request)
        return self._script(operation, json.dumps({"id": request["id"], **fields}).encode())

    @property
    def pid(self) -> int:
        """That of this process."""
        return os.getpid()

    @property
    def alive(self) -> bool:
        """Whether it was not ended."""
        return not self._ended

    def kill(self) -> None:
        """Ends it: no further request is answered."""
        self._ended = True

    def close(self, limit_seconds: float = 5.0) -> None:
        """The same."""
        self.kill()


@contextmanager
def scripted(scripts: Mapping[str, Script]) -> Iterator[None]:
    """Gives frameworks workers without processes, by name; the others have real ones."""
    real = client.WorkerClient

    def make(description: FrameworkDescription, tree: Tree, *rest: Any) -> client.WorkerClient:
        if description.name in scripts:
            return ScriptedClient(description, tree, scripts[description.name])
        return real(description, tree, *rest)

    # What a worker collects before its clock starts would be the garbage of this whole process.
    with mock.patch.object(pool, "WorkerClient", make), mock.patch.object(worker, "gc"):
        yield
