"""Removes what runs leave behind: `python -m pipelines.results.clean figs results caches`. Standard library only.

The environment stays, and so does `figs/gallery`, which is committed.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHES = (".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis", "outputs", "multirun")
FIRST_PARTY = ("genjax", "frameworks", "studies", "pipelines", "tests")


def rendered_figures(root: Path) -> Iterator[Path]:
    """Everything in `figs/` but the gallery."""
    return (path for path in (root / "figs").glob("*") if path.name != "gallery")


def measurements(root: Path) -> Iterator[Path]:
    """The store of results, if there is one."""
    return (path for path in [root / "results"] if path.exists())


def caches(root: Path) -> Iterator[Path]:
    """Caches of the tools, and compiled Python files of this project's folders."""
    yield from (root / name for name in CACHES if (root / name).exists())
    for folder in FIRST_PARTY:
        yield from (root / folder).rglob("__pycache__")


def perfbench(root: Path) -> Iterator[Path]:
    """The figures and measurements of one study."""
    yield from (path for path in (root / "figs").rglob("perfbench_*") if "gallery" not in path.parts)
    yield from (path for path in [root / "results" / "perfbench"] if path.exists())


KINDS: dict[str, Callable[[Path], Iterator[Path]]] = {
    "figs": rendered_figures,
    "results": measurements,
    "caches": caches,
    "perfbench": perfbench,
}


def clean(kinds: list[str], root: Path = REPOSITORY) -> list[Path]:
    """Removes the named kinds of output.

    Args:
        kinds: names from `KINDS`.
        root: the checkout.

    Returns:
        The paths that were removed.
    """
    removed = [path for kind in kinds for path in list(KINDS[kind](root))]
    for path in removed:
        # A link is removed, never what it points to: a user may keep results on another disk.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return removed


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    unknown = [word for word in arguments if word not in KINDS]
    if unknown or not arguments:
        print(f"clean got {' '.join(arguments) or 'nothing'}. Name some of: {', '.join(KINDS)}.", file=sys.stderr)
        return 2
    removed = clean(arguments)
    for path in removed:
        if path.name != "__pycache__":
            print(f"removed {path.relative_to(REPOSITORY)}")
    if not removed:
        print("nothing to remove")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
