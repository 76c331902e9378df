"""A study's own data files, for readers without this program: what its `export.py` makes of the stored rows.

`studies/<study>/export.py` has `files(rows, problem) -> {relative path: text}`; its files replace those of an earlier
export in `<results>/<study>/export_<device>`. Reads the store only, like the figures; an edit of it measures nothing.
"""

import os
import shutil
from pathlib import Path

from pipelines.configuration import Configuration
from pipelines.plan import Problems
from pipelines.store import store_error
from studies.base import Row, Rows


def export(configuration: Configuration, rows: list[Row], problems: Problems) -> Path | None:
    """Writes a study's data files in one step; returns their folder, or None if the study exports nothing.

    Raises:
        StoreError: if the folder cannot be written; what was there stays.
    """
    module = configuration.tree.export_module(configuration.study)
    if module is None:
        return None
    files = module.files(Rows(rows), lambda parameters: problems.get(configuration.study, parameters))
    if not files:
        return None
    target = configuration.results / configuration.study / f"export_{configuration.device}"
    fresh, old = (target.with_name(f".{kind}-{target.name}-{os.getpid()}") for kind in ("new", "old"))
    try:
        for name, text in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if target.exists():
            os.rename(target, old)
        os.rename(fresh, target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise store_error(error, configuration.results) from error
    return target
