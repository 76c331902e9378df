"""`./run export` and `./run bundle`: stored measurements for use elsewhere.

    ./run export [overrides]              tables, macros and citation, in figs/export/
    ./run bundle [overrides] [FILE.zip]   store, figures, page and versions in one archive; the default is bundle.zip

`results=FILE.zip` reads such an archive wherever stored results are read: `./run report results=bundle.zip`.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.atomic import replacing_folder
from pipelines.config.configuration import Configuration, configure
from pipelines.config.paths import typed_path
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults
from pipelines.output import claims
from pipelines.output.archive import opened, write_bundle
from pipelines.output.numbers import numbers
from pipelines.output.page.build import CITATION
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.extensions import tree_of
from pipelines.plan.tree import Tree
from pipelines.results.store import Store, store_error
from pipelines.results.tables import data_dictionary, tables

KINDS = ("export", "bundle")


def write_export(configurations: Sequence[Configuration], store: Store, folder: Path) -> list[Path]:
    """Writes both tables in three formats, the data dictionary, `numbers.tex` and `citation.bib`.

    Raises:
        StoreError: the folder cannot be written.
    """
    rows, rounds = tables(store)
    studies = {one.study: claims.stored_rows(one, store) for one in configurations}
    judged = claims.judge_all(list(configurations), store, studies)
    try:
        with replacing_folder(folder) as fresh:
            for name, table in (("rows", rows), ("rounds", rounds)):
                table.to_csv(fresh / f"{name}.csv", index=False)
                table.to_json(fresh / f"{name}.json", orient="records", indent=1, double_precision=15)
                table.to_parquet(fresh / f"{name}.parquet", index=False)
            for name, text in (
                ("columns.md", data_dictionary()),
                ("numbers.tex", numbers(judged, studies)),
                ("citation.bib", CITATION + "\n"),
            ):
                (fresh / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise store_error(error, folder.parent, "figs") from error
    return sorted(folder.iterdir())


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """The first word is the kind; the rest are overrides and, for a bundle, the file."""
    if not arguments or arguments[0] not in KINDS or any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0 if any(word in ("--help", "-h") for word in arguments) else 2
    kind, *words = arguments
    files = [word for word in words if word.endswith(".zip") and "=" not in word]

    def run() -> int:
        if len(files) > (kind == "bundle"):
            takes = "overrides and one file" if kind == "bundle" else "overrides"
            raise ConfigurationFaults([f"{' '.join(files)}: {kind} takes {takes}."])
        found, left = tree_of([word for word in words if word not in files], tree)
        configurations = configure(left, found)
        reporter = Reporter(Terminal())
        first = configurations[0]
        with opened(first.results) as results:
            configurations = [replace(one, results=results) for one in configurations]
            if kind == "export":
                written = write_export(configurations, Store(results, reporter.say), first.figs / "export")
                reporter.say(f"export: {written[0].parent} ({', '.join(path.name for path in written)})")
                return 0
            target = typed_path(files[0] if files else "bundle.zip", first.tree.root)
            count = write_bundle(results, first.figs, first.tree.root, target)
            reporter.say(f"bundle: {target} ({count} files, {target.stat().st_size / 2**20:.1f} MiB)")
        return 0

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
