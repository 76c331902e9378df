"""The archive that a reviewer uploads: store, figures, page and the lock of versions in one zip that commands read."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.atomic import replacing
from pipelines.errors import UserError
from pipelines.results import provenance
from pipelines.results.store import store_error

LOCK = ("requirements.txt", "requirements-optional.txt", "pyproject.toml", "pixi.toml", "LICENSE", "README.md")
MARK = "bundle.json"
"""Its first entry: what the archive is, and of which commit."""


def write_bundle(results: Path, figs: Path, root: Path, target: Path) -> int:
    """Writes the archive in one step and returns the number of its files.

    Args:
        results: the store; what it has set aside and its lock stay out.
        figs: figures and page.
        root: the checkout, for the files of `LOCK` and its commit.
        target: the zip.

    Raises:
        UserError: there are no results.
        StoreError: it cannot be written.
    """
    stored = _files(results)
    if not any(path.name == "record.json" for path in stored):
        raise UserError(f"{results} holds no results to bundle. Measure first: ./run paper-figures")
    entries = [(path, f"results/{path.relative_to(results)}") for path in stored]
    entries += [(path, f"figs/{path.relative_to(figs)}") for path in _files(figs)]
    entries += [(root / name, name) for name in LOCK if (root / name).is_file()]
    facts = {"bundle": 1, "written": provenance.now(), "commit": provenance.commit(root)}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MARK, json.dumps(facts, indent=1) + "\n")
            for path, name in entries:
                archive.write(path, name)
    except OSError as error:
        raise store_error(error, target.parent, "target") from error
    return len(entries) + 1


@contextmanager
def opened(results: Path) -> Iterator[Path]:
    """The folder of a store: itself, or that of an archive, unpacked for the length of the block.

    Raises:
        UserError: the file is not an archive that `./run bundle` made, or an entry of it would land elsewhere.
    """
    if not results.is_file():
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="genjax-artifact-bundle-") as folder:
        try:
            with zipfile.ZipFile(results) as archive:
                names = archive.namelist()
                if MARK not in names:
                    raise UserError(f"{results} is a zip, but `./run bundle` did not make it: it lacks {MARK}.")
                for name in names:
                    if name.startswith(("/", "\\")) or ".." in Path(name).parts:
                        raise UserError(f"{results}: the entry {name!r} would land outside its folder.")
                archive.extractall(folder)
        except zipfile.BadZipFile as error:
            raise UserError(f"{results} is a file, and not a zip that can be read: {error}.") from error
        yield Path(folder) / "results"


def _files(folder: Path) -> list[Path]:
    """Complete files below a folder: no hidden ones, nothing that was set aside."""
    if not folder.is_dir():
        return []
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return [
        path
        for path in found
        if not any(part.startswith(".") or part.endswith(".corrupt") for part in path.relative_to(folder).parts)
    ]
