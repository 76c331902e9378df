"""The edge of every command: which faults end in their text and an exit status instead of a traceback."""

import errno
import signal
import sys
import tempfile
from collections.abc import Callable

from pipelines.errors import ConfigurationFaults, UserError


def guarded(action: Callable[[], int]) -> int:
    """Runs an entry point; the faults that are the user's to mend end in their text and an exit status."""
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        return action()
    except ConfigurationFaults as faults:
        for fault in faults.faults:
            print(f"error: {fault}", file=sys.stderr)
        print("Run with --help for what is possible.", file=sys.stderr)
        return faults.exit_status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or tempfile.gettempdir()
        print(
            f"error: The disk is full ({place}). Free some space and run again: finished cells are kept.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Finished cells are kept; the same command goes on from here.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt
