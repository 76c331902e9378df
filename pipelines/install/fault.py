"""How an installation speaks to the user: a line while it works, a line when it cannot go on."""

import sys
from pathlib import Path

from pipelines.errors import UserError

ROOT = str(Path(__file__).resolve().parents[2])


class InstallationFault(UserError):
    """The environment cannot be made or completed; the message is all that the user needs."""

    def __init__(self, message: str, exit_status: int = 1):
        super().__init__(message)
        self.exit_status = exit_status


def say(message: str) -> None:
    """Print one line for the user. On standard error: standard output belongs to the task."""
    print(f"run: {message}", file=sys.stderr, flush=True)
