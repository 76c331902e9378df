"""What became faster, slower or wrong, on the terminal and as a page.

`./run compare OLD [NEW]` compares two folders of results, or bundles. `./run compare --commits REV1 REV2
[KEY=VALUE ...]` checks two revisions out and races them against each other.
"""

import argparse
import sys
from pathlib import Path

from pipelines.bench.commits import chosen_words, race_commits
from pipelines.config.configuration import configure
from pipelines.config.paths import typed_path
from pipelines.entry import guarded
from pipelines.errors import UserError
from pipelines.output.archive import opened as unpacked
from pipelines.output.page.compared import write_comparison
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.revisions import checked_out, uncommitted
from pipelines.plan.tree import Tree
from pipelines.race import statistics
from pipelines.results.compare import WORSE, Comparison, Sides, compare, opened, show, sides_of
from pipelines.run import require_device
from pipelines.scratch import scratch_folder

DIRTY = (
    "This checkout has uncommitted changes. They are part of neither revision; its configuration, data, gates and "
    "clock serve both."
)
ONE_COMMIT = "Both are the same commit: any difference is an error of the measurement."


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """Compares; the exit status is 1 with `--strict` if a cell is slower or broke."""
    parser = argparse.ArgumentParser(
        prog="compare", description="Two results side by side, or two revisions raced against each other."
    )
    parser.add_argument("words", metavar="OLD [NEW]", nargs="*", help="folders of results or bundles; NEW: results")
    parser.add_argument(
        "--commits", nargs=2, metavar=("REV1", "REV2"), action="store",
        help="race two revisions; study=, tasks=[], frameworks=[], size= (small) choose cells, as for paper-figures",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a cell is slower or broke")
    parser.add_argument("--page", metavar="FOLDER", help="where the page and comparison.json go; figs/compare")
    options = parser.parse_intermixed_args(arguments)
    checkout = tree or Tree()

    def run() -> int:
        console = Terminal()
        page = typed_path(options.page, checkout.root) if options.page else checkout.root / "figs" / "compare"
        if options.commits:
            comparisons, sides = _commits(options.commits, options.words, checkout, console)
        else:
            comparisons, sides = _folders(options.words, checkout)
        show(comparisons, sides, console)
        path = write_comparison(comparisons, sides, page)
        console.print(f"page: {path}", highlight=False, soft_wrap=True)
        return int(options.strict and any(one.verdict in WORSE for one in comparisons))

    return guarded(run)


def _folders(words: list[str], tree: Tree) -> tuple[list[Comparison], Sides]:
    if len(words) not in (1, 2):
        raise UserError(
            f"compare got {len(words)} folders. Name one or two, as in ./run compare OLD NEW, or two revisions: "
            "./run compare --commits REV1 REV2."
        )
    old_place = typed_path(words[0], tree.root)
    new_place = typed_path(words[1], tree.root) if len(words) == 2 else tree.root / "results"
    with unpacked(old_place) as old_folder, unpacked(new_place) as new_folder:
        old, new = opened(Path(old_folder)), opened(Path(new_folder))
        return compare(old, new), sides_of(old, new)


def _commits(names: list[str], words: list[str], tree: Tree, console: Terminal) -> tuple[list[Comparison], Sides]:
    configurations = configure(list(chosen_words(words)), tree)
    require_device(configurations[0])
    reporter = Reporter(console)
    with scratch_folder() as scratch, checked_out(tree.root, names, scratch) as (old, new):
        notes = (*([DIRTY] if uncommitted(tree.root) else []), *([ONE_COMMIT] if old.commit == new.commit else []))
        for line in (f"old: {old.title}", f"new: {new.title}", *notes):
            reporter.say(line)
        return race_commits(configurations, old, new, scratch, reporter), Sides(
            old.title, new.title, statistics.ESTIMATOR, notes
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
