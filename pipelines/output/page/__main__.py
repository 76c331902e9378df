"""`./run report [overrides]`: the page of what is stored, without measuring or drawing anything."""

import sys
from dataclasses import replace
from pathlib import Path

from pipelines.config.configuration import Configuration, configure
from pipelines.entry import guarded
from pipelines.output import claims
from pipelines.output.archive import opened
from pipelines.output.page.build import figure_entries, write_page
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.extensions import tree_of
from pipelines.plan.tree import Tree
from pipelines.results.store import Store


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """Writes `figs/report/index.html` from stored rows and drawn figures, and says where it is."""
    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0

    def run() -> int:
        found, words = tree_of(arguments, tree)
        configurations = configure(words, found)
        reporter = Reporter(Terminal())
        with opened(configurations[0].results) as results:
            store = Store(results, reporter.say)
            drawn_in = None if results == configurations[0].results else results.with_name("figs")
            return _write([replace(one, results=results) for one in configurations], store, reporter, drawn_in)

    return guarded(run)


def _write(configurations: list[Configuration], store: Store, reporter: Reporter, drawn_in: Path | None) -> int:
    rows = {one.study: claims.stored_rows(one, store) for one in configurations}
    judged = claims.judge_all(configurations, store, rows)
    figures = {one.study: figure_entries(one, drawn_in) for one in configurations}
    reporter.say(f"report: {write_page(configurations, rows, judged, figures, drawn_in=drawn_in)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
