"""Paths that a user types. They begin where the user is, though `./run` and pixi work from the checkout."""

import os
from pathlib import Path


def callers_folder(root: Path) -> Path:
    """The folder from which typed relative paths begin.

    `./run` and pixi change into the checkout and leave the caller's folder in `INIT_CWD`. Under a plain
    `python -m pipelines` the current folder is the user's own.
    """
    here = Path.cwd()
    told = os.environ.get("INIT_CWD")
    return Path(told) if told and here == root else here


def typed_path(value: str | Path, root: Path) -> Path:
    """The absolute path that a user means by a typed one; `~` is the home folder."""
    return callers_folder(root) / Path(value).expanduser()


def typed_file(value: str, root: Path) -> str:
    """A value that names a file which exists, as an absolute path; any other value as it is.

    A name without a suffix or a separator is never taken for a file: it may name an entry of the configuration.
    """
    if os.sep not in value and not Path(value).suffix:
        return value
    path = typed_path(value, root)
    return str(path) if path.is_file() else value


def quoted(path: str | Path) -> str:
    """A path as a value in Hydra's grammar, whatever characters it has."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
