"""Tables of studies, figures and flags against the configuration: nothing missing, nothing extra."""

import re
import shlex
import tomllib
from functools import cache

from pipelines.config import flags
from pipelines.config.configuration import Configuration, configure
from pipelines.output.figures import file_name
from pipelines.plan.tree import REPOSITORY, Tree

TREE = Tree()
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
RESULTS, RUNNING = ((REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("results", "running"))
TASKS = tomllib.loads((REPOSITORY / "pixi.toml").read_text(encoding="utf-8"))["tasks"]


def table(page: str, *header: str) -> list[list[str]]:
    """The cells of the only table of the page with that header."""
    (found,) = re.findall(rf"^\| {re.escape(' | '.join(header))} \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def configured(*words: str, study: str | None = None) -> Configuration:
    """The configuration of a study from the words of a command; several tests and rows ask for the same."""
    (found,) = configure(list(words), TREE, study)
    return found


def drawn_by(task: str) -> tuple[str, list[str]]:
    """The study of a task, and the figures that it draws."""
    words = shlex.split(TASKS[task]["cmd"])[2:]
    study = words[0].removeprefix("studies.") if words[0].startswith("studies.") else None
    configuration = configured(*words[1:], study=study)
    return configuration.study, list(configuration.figures)


def test_every_figure_has_its_row_and_every_row_its_figure():
    rows = table(RESULTS, "figure", "file", "shows", "command")
    listed = {}
    for figure, file, shows, command in rows:
        name = re.search(r"\[(\w+)\]$", figure).group(1)
        study, drawn = drawn_by(*(word.removeprefix("./run ") for word in quoted(command)))
        assert name in drawn, f"{command} does not draw {study}/{name}"
        assert shows
        listed[study, name] = quoted(file)
    expected = {}
    for study in TREE.studies():
        declared = TREE.figures(study)
        for name in declared:
            configuration = configured(f"study={study}")
            if name not in configuration.figures:
                configuration = configured(f"study={study}", f"figures=[{name}]")
            values = {**configuration.parameters, **configuration.figures[name]}
            expected[study, name] = [file_name(declared[name], values)]
    assert listed == expected
    assert len(listed) == len(rows)


def test_every_parameter_and_flag_of_a_study_is_listed_and_nothing_else():
    rows = table(RUNNING, "study", "parameters", "flags of the artifact")
    assert [row[0] for row in rows] == list(TREE.studies())
    for study, parameters, accepted in rows:
        configuration = configured(f"study={study}")
        assert quoted(parameters) == list(configuration.parameters)
        own = [*(f"--{name}" for name in flags.flags_of(TREE, study)), *flags.words_of(TREE, study)]
        assert quoted(accepted) == own


def test_flags_of_every_study_are_listed():
    (sentence,) = re.findall(r"Every study also takes (.*?)\.\n", RUNNING, re.DOTALL)
    assert quoted(sentence) == [f"--{name}" for name in flags.COMMON]


def test_what_to_expect_counts_as_the_configuration_does():
    rows = table(RESULTS, "study", "figures", "minutes")
    expected = []
    for study in TREE.studies():
        configuration = configured(f"study={study}")
        expected.append([study, str(len(configuration.figures))])
    assert [row[:2] for row in rows] == expected
    for *_, minutes in rows:
        assert re.fullmatch(r"\d+(\.\d)?( \(alone\))?", minutes)


def test_minutes_add_up_to_what_the_pages_say():
    minutes = [row[2] for row in table(RESULTS, "study", "figures", "minutes")]
    total = round(sum(float(one) for one in minutes if "alone" not in one))
    assert f"takes about {total} minutes" in README and f"({total} minutes in total)" in RESULTS


def test_spellings_of_systems_are_listed():
    (sentence,) = re.findall(r"that the artifact gave them, also with hyphens: (.*?)\.\n", RUNNING, re.DOTALL)
    declared = [other for name in TREE.frameworks() for other in TREE.describe(name).spellings]
    assert sorted(quoted(sentence)) == sorted(declared)
    assert set(declared) <= set(flags.spellings(TREE))
