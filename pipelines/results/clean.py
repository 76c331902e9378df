"""Removes what runs leave behind: `python -m pipelines.results.clean figs results caches`. Standard library only.

The environment stays, and so does `figs/gallery`, which is committed. A folder that is a link belongs to whoever made
the link: nothing behind it is removed. Results that a run is writing into stay as well.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from pipelines.entry import guarded
from pipelines.results.lock import LOCK, Locked, locked

REPOSITORY = Path(__file__).resolve().parents[2]
CACHES = (".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis", "outputs", "multirun")
FIRST_PARTY = ("genjax", "frameworks", "studies", "pipelines", "tests")


def rendered_figures(root: Path) -> Iterator[Path]:
    """Everything in `figs/` but the gallery."""
    return (path for path in _own(root / "figs").glob("*") if path.name != "gallery")


def measurements(root: Path) -> Iterator[Path]:
    """The store of results, if there is one."""
    return (path for path in [root / "results"] if path.exists())


def caches(root: Path) -> Iterator[Path]:
    """Caches of the tools, and compiled Python files of this project's folders."""
    yield from (root / name for name in CACHES if (root / name).exists())
    for folder in FIRST_PARTY:
        for parent, folders, _ in os.walk(root / folder):  # does not follow links
            yield from (Path(parent) / name for name in folders if name == "__pycache__")


def of_study(root: Path, study: str) -> Iterator[Path]:
    """The measurements of one study, and its figures: the files named like one whose `.json` says that it is drawn."""
    for sidecar in sorted(_own(root / "figs").rglob("*.json")):
        if "gallery" not in sidecar.relative_to(root).parts and _figure_of(sidecar).partition("/")[0] == study:
            yield from sorted(path for path in sidecar.parent.iterdir() if path.stem == sidecar.stem)
    yield from (path for path in [_own(root / "results") / study] if path.exists())


def studies(root: Path) -> list[str]:
    """The studies of the checkout, and those of which there are measurements."""
    here = (path.parent.name for path in (root / "studies").glob("*/problem.py"))
    measured = (path.name for path in (root / "results").glob("[!.]*") if path.is_dir())
    return sorted({*here, *measured})


def _figure_of(sidecar: Path) -> str:
    """The study and name of a figure, by the file beside it; empty for other files."""
    try:
        return str(json.loads(sidecar.read_text(encoding="utf-8"))["figure"])
    except (ValueError, KeyError, TypeError):
        return ""


STUDY = "study="

KINDS: dict[str, Callable[[Path], Iterator[Path]]] = {
    "figs": rendered_figures,
    "results": measurements,
    "caches": caches,
}


def clean(kinds: list[str], root: Path = REPOSITORY) -> list[Path]:
    """Removes the named kinds of output.

    Args:
        kinds: names from `KINDS`, and `study=NAME`.
        root: the checkout.

    Returns:
        The paths that were removed.
    """
    removed = []
    with ExitStack() as stack:
        for kind in kinds:
            study = kind.removeprefix(STUDY) if kind.startswith(STUDY) else None
            if (study or kind == "results") and not _lock(root / "results", stack):
                continue
            found = KINDS[kind](root) if study is None else of_study(root, study)
            removed += [path for path in list(found) if _remove(path)]
    return removed


def _own(folder: Path) -> Path:
    """The folder; if it is a link, a folder that does not exist, after saying so."""
    if folder.is_symlink():
        print(f"{folder} is a link: what it points to is left alone", file=sys.stderr)
        return folder / "..." / "nothing"
    return folder


def _lock(results: Path, stack: ExitStack) -> bool:
    """Locks the results, if there are any, until the stack ends; says so and returns False if a run has the lock."""
    if not results.is_dir() or results.is_symlink():
        return True
    try:
        stack.enter_context(locked(results, None))
    except Locked:
        print(f"a run is writing into {results}: nothing there is removed", file=sys.stderr)
        return False
    return True


def _remove(path: Path) -> bool:
    """Removes a file, a folder or a link, never what a link points to. Whether it was there."""
    if not path.is_symlink() and not path.exists():
        return False  # inside another that was removed
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return True
    for inner in path.iterdir():
        if inner.name != LOCK:  # the lock goes last: a run that starts now waits for it
            _remove(inner)
    shutil.rmtree(path)
    return True


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    known = [*KINDS, *(f"{STUDY}{name}" for name in studies(REPOSITORY))]
    if not arguments or not set(arguments) <= set(known):
        print(f"clean got {' '.join(arguments) or 'nothing'}. Name some of: {', '.join(known)}.", file=sys.stderr)
        return 2

    def run() -> int:
        removed = clean(arguments)
        for path in removed:
            if path.name != "__pycache__":
                print(f"removed {path.relative_to(REPOSITORY)}")
        if not removed:
            print("nothing to remove")
        return 0

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
