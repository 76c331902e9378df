"""`./run compare OLD [NEW]`: two folders of results on the terminal and as a page."""

import argparse
import sys
from pathlib import Path

from pipelines.config.paths import typed_path
from pipelines.entry import guarded
from pipelines.output.archive import opened as unpacked
from pipelines.output.page.compared import write_comparison
from pipelines.output.terminal import Terminal
from pipelines.plan.tree import REPOSITORY
from pipelines.results.compare import WORSE, compare, opened, show


def main(arguments: list[str]) -> int:
    """Compares; the exit status is 1 with `--strict` if a cell is slower or broke."""
    parser = argparse.ArgumentParser(prog="compare", description="Two results side by side: folders, or bundles.")
    parser.add_argument("old", metavar="OLD", help="the results to compare with")
    parser.add_argument("new", metavar="NEW", nargs="?", help="default: results")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a cell is slower or broke")
    parser.add_argument("--page", metavar="FOLDER", help="where the page and comparison.json go; figs/compare")
    options = parser.parse_args(arguments)

    def run() -> int:
        old_place = typed_path(options.old, REPOSITORY)
        new_place = typed_path(options.new, REPOSITORY) if options.new else REPOSITORY / "results"
        page = typed_path(options.page, REPOSITORY) if options.page else REPOSITORY / "figs" / "compare"
        console = Terminal()
        with unpacked(old_place) as old_folder, unpacked(new_place) as new_folder:
            old, new = opened(Path(old_folder)), opened(Path(new_folder))
            comparisons = compare(old, new)
            show(comparisons, old, new, console)
            path = write_comparison(comparisons, old, new, page)
        console.print(f"page: {path}", highlight=False, soft_wrap=True)
        return int(options.strict and any(one.verdict in WORSE for one in comparisons))

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
