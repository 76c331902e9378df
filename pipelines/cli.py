"""The command line: `python -m pipelines [overrides and flags]`, and the same with a study preset.

What a run needs is imported when there is one: the help, which lists what exists, takes a moment.
"""

import importlib.metadata

from pipelines.config import flags
from pipelines.config.stages import STAGES
from pipelines.entry import CELLS_ARE_KEPT, guarded
from pipelines.plan.extensions import tree_of
from pipelines.plan.tree import Tree

HELP = """\
Proves every answer right, times it fairly, and draws the figures of the paper.

usage: {command} [KEY=VALUE ...] [--flag VALUE ...]

  study=NAME|all               one of: {studies}
  size=NAME                    one of: {sizes}
  device=NAME                  one of: {devices}
  frameworks=[A,B]             among: {frameworks}
  stages=[A,B]                 among: {stages}; stages=[plan] shows what would run and why
  tasks=[A]  figures=[A]       parts of a study
  extensions=[DIR]             folders with frameworks and studies of others; see docs/extending.md
  seed=N                       replicate i uses seed N + i
  results=FOLDER  figs=FOLDER  where rows are kept and figures are written
  timing.budget_seconds=S      timed seconds of one race; also timing.interval_width, timing.min_rounds, ...
  study.parameters.NAME=VALUE  any value of configs/study/NAME.yaml

Flags of the published artifact{preset}, and the setting of each:
{flags}

Exit status: 0 if every cell is ok or an expected skip, 1 if one is not, 2 if the request cannot be understood.
A second run measures only what is missing; a killed run goes on where it stopped."""


def main(arguments: list[str], study: str | None = None, tree: Tree | None = None) -> int:
    """Runs the pipeline.

    Args:
        arguments: command-line words.
        study: the study of an entry point that presets one.
        tree: the checkout; this one by default.

    Returns:
        The exit status.
    """
    if "--version" in arguments:
        print(version())
        return 0
    return guarded(lambda: _main(arguments, study, tree), CELLS_ARE_KEPT)


def _main(arguments: list[str], study: str | None, tree: Tree | None) -> int:
    tree, arguments = tree_of(arguments, tree)
    if any(word in ("--help", "-h", "help") for word in arguments):
        named = flags.named_study(arguments)
        print(help_text(tree, study or (named if named in tree.studies() else None)))
        return 0
    from pipelines.run import run_words  # and with it Hydra, and all that measures and draws

    status = run_words(arguments, tree, study)
    return status or int(bool(tree.refused))


def help_text(tree: Tree, study: str | None) -> str:
    """The text of --help, with the names that exist in this checkout."""
    preset = f" for {study}" if study else ""
    return HELP.format(
        command=_command(tree, study),
        studies=", ".join(tree.studies()),
        sizes=", ".join(tree.choices("size")),
        devices=", ".join(tree.choices("device")),
        frameworks=", ".join(tree.frameworks()),
        stages=", ".join(STAGES),
        preset=preset,
        flags="\n".join(f"  --{name:26} {flag.meaning}" for name, flag in flags.table(tree, study).items()),
    )


def _command(tree: Tree, study: str | None) -> str:
    """What to type: `python -m` does not find a study of an extension."""
    if study is None:
        return "python -m pipelines"
    is_module = (tree.root / "studies" / study / "__main__.py").is_file()
    return f"python -m studies.{study}" if is_module else f"python -m pipelines study={study}"


def version() -> str:
    """Name and version, from the installed package or, in a bare checkout, the commit."""
    try:
        return f"genjax-artifact {importlib.metadata.version('genjax-artifact')}"
    except importlib.metadata.PackageNotFoundError:
        from pipelines.results import provenance

        return f"genjax-artifact, commit {provenance.commit(Tree().root)['id'] or 'unknown'}"
