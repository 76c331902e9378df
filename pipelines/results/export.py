"""A study's own data files, for readers without this program: what its `export.py` makes of the stored rows.

`studies/<study>/export.py` has `files(rows, problem) -> {relative path: text}`; its files take the place of those of an
earlier export in `<results>/<study>/export_<device>`. Reads the store only, like the figures; an edit of it measures
nothing.
"""

import traceback
from pathlib import Path

from pipelines.atomic import replacing_folder
from pipelines.config.configuration import Configuration
from pipelines.errors import UserError
from pipelines.output.progress import Reporter
from pipelines.plan.plan import Problems
from pipelines.results.store import store_error
from studies.base import Row, Rows


def export(configuration: Configuration, rows: list[Row], problems: Problems, reporter: Reporter) -> bool:
    """Writes a study's data files, all or none of them, and says where they are.

    Args:
        configuration: the study's.
        rows: all of its planned rows, those that are not ok too.
        problems: data and truth.
        reporter: gets the folder's path.

    Returns:
        Whether the export failed: the fault is the study's code, and its traceback is printed.

    Raises:
        StoreError: if the folder cannot be written; what was there stays.
    """
    module = configuration.tree.export_module(configuration.study)
    if module is None:
        return False
    try:
        files = module.files(Rows(rows), lambda parameters: problems.get(configuration.study, parameters))
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 an export is the study's code; other studies go on
        traceback.print_exc()
        reporter.say(f"  FAILED export: {type(error).__name__}: {error}")
        return True
    if files:
        reporter.say(f"  data     {_write(configuration, files)}")
    return False


def _write(configuration: Configuration, files: dict[str, str]) -> Path:
    target = configuration.results / configuration.study / f"export_{configuration.device}"
    try:
        with replacing_folder(target) as fresh:
            for name, text in files.items():
                path = fresh / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise store_error(error, configuration.results) from error
    return target
