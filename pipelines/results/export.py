"""A study's own data files, for readers without this program: what its `export.py` makes of the stored rows.

`studies/<study>/export.py` has `files(rows, problem) -> {relative path: text}`; its files take the place of those of an
earlier export in `<results>/<study>/export_<device>`. Reads the store only, like the figures; an edit of it measures
nothing.
"""

import traceback
from pathlib import Path

from pipelines.atomic import replacing_folder
from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.errors import UserError
from pipelines.output.progress import Reporter
from pipelines.plan import fingerprint
from pipelines.plan.plan import Problems
from pipelines.results.rows import rows_digest
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
    path = configuration.tree.study_folder(configuration.study) / "export.py"
    if not path.is_file():
        return False
    target = configuration.results / configuration.study / f"export_{configuration.device}"
    inputs = _inputs(configuration, rows, problems)
    if problems.kept.known(inputs) == _content(target):
        if target.exists():
            reporter.say(f"  data     {target} (unchanged)")
        return False
    try:
        module = configuration.tree.export_module(configuration.study)
        assert module is not None
        files = module.files(Rows(rows), lambda parameters: problems.get(configuration.study, parameters))
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 an export is the study's code; other studies go on
        traceback.print_exc()
        reporter.say(f"  FAILED export: {type(error).__name__}: {error}")
        return True
    if files:
        _write(configuration, target, files)
        reporter.say(f"  data     {target}")
    problems.kept.add(inputs, _content(target))
    return False


def _inputs(configuration: Configuration, rows: list[Row], problems: Problems) -> str:
    """What decides the files: rows, data, sources and versions."""
    study = configuration.study
    points = {id(row.parameters): row.parameters for row in rows if row.status == "ok"}.values()
    data = [problems.digest(study, point) for point in points]
    sources = [fingerprint.study_digest(configuration.tree, study), fingerprint.content_digest(Path(__file__))]
    return canonical(["export", study, rows_digest(rows), data, sources, fingerprint.computing_versions()])


def _content(folder: Path) -> str:
    """A hash of the files of a folder; of none, if it is not there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return canonical([[path.relative_to(folder).as_posix(), fingerprint.content_digest(path)] for path in paths])


def _write(configuration: Configuration, target: Path, files: dict[str, str]) -> None:
    try:
        with replacing_folder(target) as fresh:
            for name, text in files.items():
                path = fresh / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise store_error(error, configuration.results) from error
