"""Makes or refreshes the environment: group by group, one process at a time, and safe to interrupt.

A state file in it records each group when it is complete, so an interrupted installation goes on where it stopped, and
which packages were there at the end, so that a later change by other hands is seen.
"""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

from pipelines.atomic import write_atomically
from pipelines.install.fault import ROOT, InstallationFault, say
from pipelines.install.hashes import HASHES, known_hashes, require_groups, unhashed, with_hashes
from pipelines.install.packages import broken_packages, installed_packages, missing_needs, remove_torn_packages
from pipelines.install.pip import DISK_FULL, last_line, pip, refuse_redirects, require_pinned, watch
from pipelines.install.requirements import (
    OPTIONAL_REQUIREMENTS,
    REQUIRED_GROUPS,
    all_groups,
    fingerprint,
    left_out,
    names_of,
    read_groups,
    with_dependents,
    without_also,
    write_lines,
)

STATE_FILE = "made-by-run.json"
MINIMUM_PYTHON = (3, 11)

Groups = dict[str, list[str]]
"""Requirement lines by group."""

State = dict[str, Any]
"""The state file: `python`, `groups` (name to fingerprint) and `packages` (of all that is installed)."""


def environment_folder() -> str:
    """Return the absolute path of the environment, from RUN_VENV (relative to the caller's folder) or .venv."""
    chosen = os.environ.get("RUN_VENV")
    return os.path.abspath(os.path.expanduser(chosen)) if chosen else os.path.join(ROOT, ".venv")


def wanted_groups(venv: str) -> Groups:
    """Return the groups to install: all but those that RUN_WITHOUT names or implies, and those of RUN_WITH.

    Without RUN_WITH, optional groups that the environment holds stay wanted: they cost gigabytes to fetch again.
    """
    groups = all_groups()
    without = left_out()
    optional = [name for name in groups if name not in REQUIRED_GROUPS]
    unknown = [name for name in without if name not in optional]
    if unknown:
        raise InstallationFault(
            f"RUN_WITHOUT={','.join(without)}: {unknown[0]!r} can't be left out. Choose from {optional}.", 2
        )
    without = with_dependents(without)
    wanted = {name: lines for name, lines in groups.items() if name not in without}
    extra = read_groups(OPTIONAL_REQUIREMENTS)
    if "RUN_WITH" in os.environ:
        chosen = [name.strip() for name in os.environ["RUN_WITH"].split(",") if name.strip() not in ("", "none")]
    else:
        chosen = [name for name in (read_state(venv) or {"groups": {}})["groups"] if name in extra]
    unknown = [name for name in chosen if name not in extra]
    if unknown:
        raise InstallationFault(
            f"RUN_WITH={','.join(chosen)}: there is no optional group {unknown[0]!r}. Choose from {list(extra)}.", 2
        )
    require_groups([*groups, *extra])
    return {**wanted, **{name: extra[name] for name in extra if name in chosen}}


def ensure_environment(venv: str, wanted: Groups) -> None:
    """Make the environment current. One process at a time; the others wait and then find it done."""
    if is_current(venv, wanted):
        return
    try:
        os.makedirs(os.path.dirname(venv), exist_ok=True)
        # A name of ours, and never truncated: RUN_VENV=uv must not touch a uv.lock that lies beside it.
        lock = open(venv + ".run-lock", "a")  # noqa: SIM115  held open until the installation ends
    except OSError as error:
        raise cannot_write(venv, error) from None
    with lock:
        acquire(lock, venv)
        # Checked again: whoever held the lock may have done the work.
        if not is_current(venv, wanted):
            try:
                refresh(venv, wanted, lock)
            except OSError as error:
                raise cannot_write(venv, error) from None


def is_current(venv: str, wanted: Groups) -> bool:
    """Whether this environment holds exactly the wanted groups, for this Python."""
    state = read_state(venv)
    return (
        state is not None
        and state["python"] is not None
        and state["groups"] == {name: fingerprint(lines) for name, lines in wanted.items()}
        # The interpreter is a link to the Python that made the environment, which may be gone.
        and os.path.exists(os.path.join(venv, "bin", "python"))
        and state["packages"] == installed_packages(venv)
    )


def acquire(lock: TextIO, venv: str) -> None:
    """Take the exclusive lock, saying so if that means waiting."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another ./run is preparing {venv}; waiting for it to end.")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        say(f"this file system has no locks ({error.strerror}): don't start a second ./run until this one is ready.")


def refresh(venv: str, wanted: Groups, lock: TextIO) -> None:
    """Create the environment if needed, remove groups that are no longer wanted, install those that are missing."""
    state = read_state(venv)
    if state is None and os.path.lexists(venv) and (not os.path.isdir(venv) or os.listdir(venv)):
        raise InstallationFault(
            f"{venv} exists and ./run did not make it. Move it away, or choose another place: RUN_VENV=DIR"
        )
    python = os.path.join(venv, "bin", "python")
    if state is None or state["python"] is None or not is_supported(python):
        create(venv, state, lock)
        installed, version = {}, this_python()
    else:
        installed, version = dict(state["groups"]), state["python"]
        if version != this_python():
            # Gigabytes that another Python fetched, and that it still runs: of use to this caller too.
            say(f"{venv} was made with {version}, which still works; using that instead of {this_python()}.")
    refuse_redirects(venv)
    damaged = remove_torn_packages(venv) | broken_packages(venv)
    if damaged:
        say(f"to be installed again, since files of them are missing or changed: {', '.join(sorted(damaged))}")
    installed = {name: known for name, known in installed.items() if not damaged & names_of(wanted.get(name, []))}
    if state is not None and state["packages"] not in (None, installed_packages(venv)):
        # Somebody else's hand: which packages changed is known only to pip, so every group is looked at.
        say("packages were installed or removed by other means than ./run; checking all of them.")
        installed = {}
    everything = all_groups()
    for name in [name for name in installed if name not in wanted]:
        del installed[name]
        write_state(venv, version, installed)
        lines = everything.get(name) or read_groups(OPTIONAL_REQUIREMENTS).get(name, [])
        # What another group needs too stays, or that group would be broken.
        gone = names_of(lines) - {package for group in wanted.values() for package in names_of(group)}
        if gone:
            pip(
                venv,
                name,
                ["uninstall", "--yes", *sorted(gone)],
                f"removing {name}, which is no longer wanted",
                lock,
            )
    missing = [name for name in wanted if installed.get(name) != fingerprint(wanted[name])]
    folder = os.path.join(venv, "wanted")
    os.makedirs(folder, exist_ok=True)
    optional = [name for name in missing if name in everything and name not in REQUIRED_GROUPS]
    if optional:
        say(f"to install: {', '.join(missing)}. {without_also(optional)} would leave the systems among them out.")
    hashes = known_hashes()
    if missing and not hashes:
        say(f"{HASHES} is missing: versions are checked, files are not.")
    for position, name in enumerate(missing, 1):
        title = f"[{position}/{len(missing)}] installing {name} ({len(wanted[name])} packages)"
        again = ["--force-reinstall", "--no-deps"] if damaged & names_of(wanted[name]) else []
        install_group(venv, name, wanted[name], with_hashes(name, wanted[name], hashes), again, title, lock)
        installed[name] = fingerprint(wanted[name])
        write_state(venv, version, {group: installed[group] for group in wanted if group in installed})
    damaged = broken_packages(venv)
    if damaged:
        raise InstallationFault(
            f"pip installed {', '.join(sorted(damaged))}, and files of them are missing or changed already."
        )
    write_state(venv, version, installed, installed_packages(venv))
    say(f"the environment is ready: {venv}")


def install_group(
    venv: str, name: str, lines: list[str], hashed: list[str], again: list[str], title: str, lock: TextIO
) -> None:
    """Install one group: first the lines with hashes, from files that have them, then what is left of it, if any."""
    folder = os.path.join(venv, "wanted")
    requirements = os.path.join(folder, name + ".txt")
    write_lines(requirements, lines)
    if hashed:
        checked = os.path.join(folder, name + "-hashes.txt")
        write_lines(checked, hashed)
        # Without dependencies: pip demands hashes of those too, and the group's lines name what has any.
        words = [*(word for word in again if word != "--no-deps"), "--no-deps", "--require-hashes"]
        pip(venv, name, ["install", *words, "--requirement", checked], title, lock)
        known = known_hashes()
        left = sorted({*names_of([line for line in lines if line not in known]), *missing_needs(venv, names_of(lines))})
        if not left:
            require_pinned(venv, name, requirements)
            return
        title = f"    {name} needs besides, from files without known hashes: {', '.join(left)}"
    elif known_hashes():
        why = "as asked for" if name in unhashed() else f"there are none in {HASHES}"
        say(f"{name}: versions are checked, hashes of files are not ({why}).")
    # The other groups' versions hold for what this group pulls in. Not its own: pip would call a version that it
    # can't find a conflict between the two files.
    constraints = os.path.join(folder, name + "-constraints.txt")
    everything = all_groups()
    write_lines(constraints, [line for group in everything if group != name for line in everything[group]])
    pip(venv, name, ["install", *again, "--requirement", requirements, "--constraint", constraints], title, lock)
    require_pinned(venv, name, requirements)


def create(venv: str, state: State | None, lock: TextIO) -> None:
    """Make an empty environment, in place of an unusable one of ours."""
    if state is not None:
        why = f"was made for {state['python']}" if state["python"] not in (None, this_python()) else "is not complete"
        say(f"{venv} {why}; making it again.")
        # The state file goes last: a removal that is interrupted still leaves a folder known to be ours.
        for entry in os.listdir(venv):
            path = os.path.join(venv, entry)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif entry != STATE_FILE:
                os.remove(path)
    try:
        import ensurepip
    except ImportError:
        raise InstallationFault(
            f"the Python at {sys.executable} has no ensurepip, which makes environments. Install it "
            "(Debian and Ubuntu: the python3-venv package), or use another Python: /path/to/python3 run TASK"
        ) from None
    del ensurepip
    os.makedirs(venv, exist_ok=True)
    write_state(venv, None, {})
    status, lines = watch([sys.executable, "-I", "-m", "venv", venv], f"making {venv} (Python {this_python()})", lock)
    if status != 0:
        if any(sign in line for line in lines for sign in DISK_FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise InstallationFault(f"Python could not make an environment in {venv}: {last_line(lines)}")
    write_state(venv, this_python(), {})


def read_state(venv: str) -> State | None:
    """Return what is recorded about this environment, or None if ./run did not make it."""
    try:
        with open(os.path.join(venv, STATE_FILE), encoding="utf-8") as file:
            state = json.load(file)
        return {"python": state["python"], "groups": dict(state["groups"]), "packages": state.get("packages")}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError):
        # Not what write_state wrote: damaged since. The folder is ours, and unusable.
        return {"python": None, "groups": {}, "packages": None}


def write_state(venv: str, python: str | None, groups: dict[str, str], packages: str | None = None) -> None:
    """Record the state in one step. `packages` is None until they have been checked."""
    state = {"python": python, "groups": groups, "packages": packages}
    write_atomically(Path(venv, STATE_FILE), json.dumps(state, indent=1), durable=True)


def this_python() -> str:
    """Return the version that decides which packages fit, such as "cpython 3.11"."""
    return f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"


def is_supported(python: str) -> bool:
    """Whether this interpreter starts and is new enough."""
    check = f"import sys; sys.exit(sys.version_info[:2] < {MINIMUM_PYTHON})"
    try:
        return subprocess.call([python, "-c", check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def cannot_write(venv: str, error: OSError) -> InstallationFault:
    """Return the one line for a file system that refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        optional = ",".join(name for name in all_groups() if name not in REQUIRED_GROUPS)
        return InstallationFault(
            f"the disk of {venv} is full. The environment takes 1 to 6 GB; RUN_WITHOUT={optional} takes the least, "
            "and RUN_VENV=DIR puts it on another disk. Then run the same command again."
        )
    reason = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename not in (None, venv) else ""
    return InstallationFault(
        f"can't write the environment to {venv}: {reason}{where}. Put it elsewhere: RUN_VENV=DIR ./run TASK"
    )
