"""Children that a program leaves behind: call these from a model, and see that nothing of them survives its worker."""

import os
import subprocess
import sys
import time

LIFE_SECONDS = 120
"""After which a child ends by itself, should the test fail to end it."""


def leave_child(own_session: bool = False, empty_environment: bool = False) -> None:
    """Starts a process that lives on, holds this process's standard output, and is nobody's child any more.

    Args:
        own_session: in a session of its own, out of reach of a signal to the group.
        empty_environment: without the variables of this process.
    """
    life = f"import time; time.sleep({LIFE_SECONDS})"
    middle = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {life!r}], "
        f"start_new_session={own_session})"
    )
    environment: dict[str, str] | None = {} if empty_environment else None
    subprocess.run([sys.executable, "-S", "-c", middle], env=environment, check=True, start_new_session=own_session)


def leave_respawning_child(own_session: bool = False) -> None:
    """Starts a process that never multiplies but replaces itself by its own child every few milliseconds."""
    if os.fork():
        return
    end = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < end:
        time.sleep(0.005)
        if os.fork():
            os._exit(0)
        if own_session:
            os.setsid()
    os._exit(0)
