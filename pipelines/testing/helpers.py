"""Programs of the system that hang, fail or cannot be executed, in place of git, nvidia-smi and others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from pipelines.results import helpers, machine, provenance

HANGS = "#!/bin/sh\nsleep 120 & sleep 120\n"
FAILS = "#!/bin/sh\necho 'fatal: out of order' >&2\nexit 3\n"
FOREIGN = "\x7fELF of another architecture"
SILENT = "#!/bin/sh\nexit 0\n"


@contextmanager
def program(folder: Path, name: str, content: str, limit_seconds: float = 0.3) -> Iterator[None]:
    """Puts a program of that name first on the PATH, and forgets what programs have answered so far."""
    (folder / name).write_text(content)
    (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
    with mock.patch.dict(os.environ, {"PATH": path}), mock.patch.object(helpers, "LIMIT_SECONDS", limit_seconds):
        forget()
        try:
            yield
        finally:
            forget()


def forget() -> None:
    """Lets every program be asked again."""
    helpers.forget()
    for function in (machine.cpu_model, machine.gpus, provenance.commit):
        function.cache_clear()
