"""The faults that are the user's to mend: each ends the run with its text, without a traceback, and an exit status."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """A fault with a message for the user; `exit_status` is the status of the process."""

    exit_status = 2


class ConfigurationFaults(UserError):
    """Everything wrong with a request, gathered and reported together."""

    def __init__(self, faults: Sequence[str]):
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(self.faults))


class StoreError(UserError):
    """The results folder cannot be read or written."""

    exit_status = 1


class DeviceError(UserError):
    """The requested device is not there; nothing falls back to another."""


def unknown(kind: str, given: str, allowed: Iterable[str]) -> str:
    """The one sentence about a name that does not exist: what was given, the nearest valid names, and the rest."""
    names = sorted(set(allowed))
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    # A dotted key is often right except for its prefix.
    near += [name for name in names if name.rpartition(".")[2] == given.rpartition(".")[2] and name not in near]
    if near:
        rest = f" Valid: {', '.join(names)}." if kind == "study" else ""  # few, and a study may not be here yet
        return f"Unknown {kind} {given!r}. Did you mean {' or '.join(near[:3])}?{rest}"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"Unknown {kind} {given!r}. Valid: {shown or 'none here'}."
