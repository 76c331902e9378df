"""`./run report [overrides]`: the page of what is stored, without measuring or drawing anything."""

import sys

from pipelines.config.configuration import configure
from pipelines.entry import guarded
from pipelines.output import claims
from pipelines.output.page.build import figure_entries, write_page
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.tree import Tree
from pipelines.results.store import Store


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """Writes `figs/report/index.html` from stored rows and drawn figures, and says where it is."""
    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0

    def run() -> int:
        configurations = configure(arguments, tree or Tree())
        reporter = Reporter(Terminal())
        store = Store(configurations[0].results, reporter.say)
        rows = {one.study: claims.stored_rows(one, store) for one in configurations}
        judged = claims.judge_all(configurations, store, rows)
        figures = {one.study: figure_entries(one) for one in configurations}
        reporter.say(f"report: {write_page(configurations, rows, judged, figures)}")
        return 0

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
