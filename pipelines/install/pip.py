"""pip in the environment: called, watched, ended as a whole, and not believed until its work was looked at."""

import collections
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TextIO

from pipelines.install.fault import InstallationFault, say
from pipelines.install.hashes import MISMATCH, refusal
from pipelines.install.requirements import REQUIRED_GROUPS, names_of, read_groups, without_also, write_lines

HEARTBEAT_S = 15.0
# What pip prints when it has no network, and when a file system is full. Matched against its whole output.
NO_NETWORK = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Connection refused",
    "Connection reset by peer",
    "ConnectTimeoutError",
    "Read timed out",
    "ProxyError",
)
DISK_FULL = ("No space left on device", "Disk quota exceeded")
# Settings with which pip installs somewhere else, or nothing at all. Left out of the environment of pip where they are
# variables, refused by name where they are in a file of pip's.
REDIRECTS = ("target", "prefix", "root", "user", "python", "dry-run", "no-deps", "report", "download", "src")
# Packages that build others from source, with the versions of requirements.txt.
BUILD_TOOLS = ("setuptools", "wheel")


def refuse_redirects(venv: str) -> None:
    """Raise InstallationFault if a file of pip's settings sends packages elsewhere: pip would report success."""
    command = [os.path.join(venv, "bin", "python"), "-I", "-m", "pip", "--disable-pip-version-check", "config", "list"]
    done = subprocess.run(
        command, env=pip_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        key = line.partition("=")[0].strip()
        if not key.startswith(":env:.") and key.rpartition(".")[2] in REDIRECTS:
            raise InstallationFault(
                f"pip's configuration sets {line.strip()}, so it would not install into {venv}. Remove that line "
                f"(python -m pip config debug names the file), or run with PIP_CONFIG_FILE={os.devnull}"
            )


def require_pinned(venv: str, group: str, requirements: str) -> None:
    """Raise InstallationFault unless the environment now holds exactly the versions that the requirements pin."""
    # pip brings a reader of requirement lines, with their markers; this file has none.
    code = (
        "import sys, importlib.metadata as m\n"
        "from pip._vendor.packaging.requirements import Requirement\n"
        "for line in open(sys.argv[1], encoding='utf-8'):\n"
        "    if not line.strip(): continue\n"
        "    r = Requirement(line)\n"
        "    if r.marker and not r.marker.evaluate(): continue\n"
        "    try: found = m.version(r.name)\n"
        "    except m.PackageNotFoundError: found = 'missing'\n"
        "    if found == 'missing' or not r.specifier.contains(found, prereleases=True):\n"
        "        print(r.name, str(r.specifier).lstrip('='), found)\n"
    )
    python = os.path.join(venv, "bin", "python")
    done = subprocess.run([python, "-I", "-c", code, requirements], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallationFault(
            f"what pip installed for {group} could not be checked: {last_line(done.stderr.splitlines())}"
        )
    wrong = [line.split() for line in done.stdout.splitlines()]
    if wrong:
        name, pinned, found = wrong[0]
        raise InstallationFault(
            f"pip ended well, but {venv} holds {name} {found} instead of {pinned}"
            + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")
            + ". Look for a setting of pip's that sends packages elsewhere (env | grep PIP_), then run the same again."
        )


def pip_environment() -> dict[str, str]:
    """Return the variables of pip: the caller's, without those that would make it install elsewhere or not at all."""
    dropped = {
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        *("PIP_" + name.upper().replace("-", "_") for name in REDIRECTS),
    }
    return {name: value for name, value in os.environ.items() if name not in dropped}


def pip(venv: str, group: str, arguments: list[str], title: str, lock: TextIO) -> None:
    """Run pip in the environment; on failure, raise Stop with the cause in one line."""
    # -I: neither PYTHONPATH nor a file in the current folder may take pip's place.
    command = [os.path.join(venv, "bin", "python"), "-I", "-m", "pip", *arguments]
    command += ["--disable-pip-version-check", "--no-input", "--no-color"]
    command += ["--progress-bar", "off"] if arguments[0] == "install" else []
    status, lines = watch(command, title, lock, build_variables(venv))
    if status == 0:
        return
    log = os.path.join(venv, f"pip-{group}.log")
    text = "\n".join(lines)
    if any(sign in text for sign in DISK_FULL):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write_lines(log, lines)
    if MISMATCH in text:
        raise InstallationFault(refusal(group, text))
    leave_out = "" if group in REQUIRED_GROUPS else f" Or leave it out: {without_also([group])} ./run TASK"
    if any(sign in text for sign in NO_NETWORK):
        raise InstallationFault(
            f"pip could not reach a package index while installing {group}; is there a network? It said: "
            f"{last_line(lines)}. What is installed so far is kept: run the same command again.{leave_out}"
        )
    raise InstallationFault(f"pip could not install {group}: {last_line(lines)}. All that pip said: {log}.{leave_out}")


def build_variables(venv: str) -> dict[str, str]:
    """Return the variables that pin what builds packages from source; pip before 25.3 reads PIP_CONSTRAINT."""
    pins = [line for lines in read_groups().values() for line in lines if names_of([line]) & set(BUILD_TOOLS)]
    if not pins:
        return {}
    path = os.path.join(venv, "wanted", "build-constraints.txt")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_lines(path, pins)
    return {"PIP_CONSTRAINT": path, "PIP_BUILD_CONSTRAINT": path}


def last_line(lines: list[str]) -> str:
    """Return the line that says most: the last that starts with ERROR, else the last one."""
    errors = [line for line in lines if line.startswith("ERROR:")]
    said = [line for line in lines if line.strip()]
    return (errors or said or ["nothing"])[-1].strip().rstrip(".")


def watch(
    command: list[str], title: str, lock: TextIO, variables: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run a command and show that it is alive. Returns (exit status, last 2,000 output lines)."""
    say(title)
    started = time.monotonic()
    lines: collections.deque[str] = collections.deque(maxlen=2000)
    ended = threading.Event()
    # A thread, because pip is silent for a minute while it unpacks.
    progress = threading.Thread(target=show_progress, args=(lines, started, ended), daemon=True)
    # The child inherits the lock: if this process is killed, the next ./run still waits for the child to end.
    process = subprocess.Popen(
        command, env={**pip_environment(), **(variables or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=[lock.fileno()], start_new_session=True,
    )  # fmt: skip
    try:
        progress.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
        status = process.wait()
    except BaseException:
        # The whole group: what pip started (a compiler, say) does not hold the lock, and would go on without it.
        end_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        end_group(process, signal.SIGKILL)
        process.wait()
        raise
    finally:
        ended.set()
        progress.join()
    print(
        f"    {time.monotonic() - started:4.0f} s  {'done' if status == 0 else 'failed'}", file=sys.stderr, flush=True
    )
    return status, list(lines)


def end_group(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process that leads a group, and to all of the group; nothing if none is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def show_progress(lines: collections.deque[str], started: float, ended: threading.Event) -> None:
    """Show a command's latest line: every second in place on a terminal, else now and then on a line of its own."""
    terminal = sys.stderr.isatty()
    while not ended.wait(1.0 if terminal else HEARTBEAT_S):
        text = f"    {time.monotonic() - started:4.0f} s  {lines[-1].strip() if lines else ''}"
        if terminal:
            text = "\r\033[K" + text[: shutil.get_terminal_size().columns - 1]
        print(text[:120], end="" if terminal else "\n", file=sys.stderr, flush=True)
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
