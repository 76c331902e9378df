"""Frameworks and studies from folders outside the checkout run like those inside; what is broken is a line."""

import importlib.metadata
import json
import textwrap

import pytest

from pipelines.cli import main
from pipelines.plan import extensions
from pipelines.plan.extensions import tree_of
from pipelines.testing import toy as checkout


class Extension:
    """A folder outside the checkout."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        return target

    def framework(self, name, extra="contract = 1"):
        text = checkout.FRAMEWORK.format(name=name, title=name.title()) + textwrap.indent(extra, "    ") + "\n"
        return self.write(f"frameworks/{name}.py", text)

    def model(self, name, study="toy"):
        return self.write(f"studies/{study}/models/{name}.py", checkout.MODEL.format(before="pass", wrong=0.0))

    def flags(self, name, text="FLAGS = {'points': Flag(('study.parameters.n_points={value}',))}\n"):
        return self.write(f"studies/{name}/flags.py", "from studies.base import Flag\n\n" + text)

    def study(self, name):
        self.write(f"studies/{name}/problem.py", checkout.PROBLEM)
        self.write(f"studies/{name}/figures.py", checkout.FIGURES.replace("toy_times", f"{name}_times"))
        text = checkout.CONFIG.replace("name: toy", f"name: {name}")
        self.write(f"configs/study/{name}.yaml", text.replace("    frameworks: [first, second, third]\n", ""))


@pytest.fixture
def outside(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(extensions.EXTENSIONS, "")
    return Extension(tmp_path_factory.mktemp("outside"))


@pytest.fixture
def free(toy):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace("    frameworks: [first, second, third]\n", ""))
    return toy


def test_framework_models_and_study_from_outside_run_like_those_inside(free, outside, capsys):
    outside.framework("guest")
    outside.model("guest")
    outside.study("visit")
    outside.model("guest", study="visit")
    outside.model("first", study="visit")
    words = (f"extensions=[{outside.root}]", "frameworks=[first,guest]")
    assert free.run(*words) == 0, capsys.readouterr().err
    records = [json.loads(path.read_text()) for path in (free.root / "results").glob("*/total/[!.]*/record.json")]
    found = {(record["identity"]["study"], record["identity"]["framework"]): record for record in records}
    assert found.keys() == {(study, name) for study in ("toy", "visit") for name in ("first", "guest")}
    assert all(record["status"] == "ok" for record in records)
    assert "frameworks/guest.py" in found["toy", "guest"]["inputs"], "the key counts its sources"
    assert {"studies/visit/problem.py", "studies/visit/models/guest.py"} <= found["visit", "guest"]["inputs"].keys()
    assert (free.root / "figs/smoke/visit_times_points3.pdf").exists()
    capsys.readouterr()
    outside.model("guest").write_text(checkout.MODEL.format(before="inputs = dict(inputs)", wrong=0.0))
    assert free.run(*words, "stages=[plan]") == 0
    out = capsys.readouterr().out
    assert "run    toy/total [guest] 1 cell: stale: studies/toy/models/guest.py changed" in out
    assert "cached visit/total [first, guest] 2 cells" in out


@pytest.mark.parametrize(
    ("break_it", "line"),
    [
        (lambda o: o.framework("first"), "there is a framework first already"),
        (
            lambda o: o.framework("newer", "contract = 99"),
            "written for version 99 of the contract, and this is version 1",
        ),
        (lambda o: o.framework("computed", "sources = tuple(open('x'))"), "cannot tell what"),
        (lambda o: o.write("frameworks/typo.py", "class X:\n  name = = 1\n"), "typo.py is not valid Python"),
        (
            lambda o: o.write("frameworks/latin.py", "").write_bytes(b"name = 'caf\xe9'\n"),
            "latin.py is not valid Python: byte 11 is not UTF-8. Save it as UTF-8.",
        ),
        (
            lambda o: o.write("frameworks/torn.py", "").write_bytes(b"x = 1\n\0"),
            "torn.py is not valid Python: source code string cannot contain null bytes",
        ),
        (lambda o: o.write("frameworks/other.py", "X = 1\n"), "defines no class with name = 'other'"),
        (lambda o: o.study("toy"), "there is a study toy already"),
        (
            lambda o: (o.study("open"), o.write("studies/open/problem.py", "def make_problem(p):\n    return None\n")),
            "defines no check (the gate)",
        ),
        (
            lambda o: (
                o.study("torn"),
                o.write("studies/torn/problem.py", "import no_such_thing\n" + checkout.PROBLEM),
            ),
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_thing'",
        ),
        (lambda o: o.write("studies/bare/problem.py", checkout.PROBLEM), "has no configuration"),
    ],
)
def test_what_is_broken_is_refused_in_one_line_and_the_rest_goes_on(free, outside, capsys, break_it, line):
    outside.framework("guest")
    outside.model("guest")
    break_it(outside)
    assert free.run(f"extensions=[{outside.root}]", "stages=[plan]") == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("refused: ") and line in captured.err
    assert "run    toy/total [first, guest, second, third] 4 cells: missing" in captured.out


def test_a_framework_that_fails_to_import_is_a_row_and_the_others_go_on(free, outside, capsys):
    path = outside.framework("guest")
    path.write_text("import no_such_thing\n" + path.read_text())
    outside.model("guest")
    assert free.run(f"extensions=[{outside.root}]", "frameworks=[first,guest]", "stages=[run]") == 0
    out = capsys.readouterr().out
    assert "skipped  total guest: no_such_thing is not installed" in out and "total first" in out


@pytest.mark.parametrize(
    "words",
    [
        ("study=visit", "--points", "5"),
        ("--study", "visit", "--points", "5"),
        ("--points=5", "--study=visit"),
        ("study=[visit]", "--points", "5"),
    ],
)
def test_flags_of_a_study_from_outside_act_however_the_study_is_named(free, outside, capsys, words):
    outside.study("visit")
    outside.flags("visit")
    outside.model("first", study="visit")
    assert free.run(f"extensions=[{outside.root}]", "stages=[run]", *words) == 0, capsys.readouterr().err
    (path,) = (free.root / "results").glob("visit/total/[!.]*/record.json")
    assert json.loads(path.read_text())["identity"]["parameters"]["n_points"] == 5


@pytest.mark.parametrize("words", [("study=visit",), ("--study", "visit"), ("--study=visit", "size=smoke")])
def test_help_of_a_study_from_outside_has_its_flags_and_what_to_type(free, outside, capsys, words):
    outside.study("visit")
    outside.flags("visit")
    assert main([f"extensions=[{outside.root}]", *words, "--help"], tree=free.tree) == 0
    out = capsys.readouterr().out
    assert "--points" in out and "study.parameters.n_points=VALUE" in out
    assert "usage: python -m pipelines study=visit [KEY=VALUE" in out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FLAGS = {'points': undefined}\n", "cannot be imported: NameError: name 'undefined' is not defined"),
        ("FLAGS = = 1\n", "cannot be imported: SyntaxError"),
        ("FLAGS = [Flag()]\n", "FLAGS must be a dict by name, got list"),
        ("FLAGS = {'points': 'n_points'}\n", "FLAGS['points'] must be a Flag (see studies/base.py), got 'n_points'"),
        ("FLAGS = {'points': Flag(('n={points}',))}\n", "FLAGS['points'] must be a Flag"),
        ("WORDS = {'fast': 'size=smoke'}\n", "WORDS['fast'] must be a tuple of overrides"),
    ],
)
def test_broken_flags_of_a_study_are_one_line_and_all_cells_go_on(free, outside, capsys, text, line):
    outside.study("visit")
    outside.model("first", study="visit")
    path = outside.flags("visit", text)
    assert free.run(f"extensions=[{outside.root}]", "frameworks=[first]", "stages=[run]") == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith(f"refused: {path}") and line in captured.err
    assert {one.parts[-4] for one in (free.root / "results").glob("*/total/[!.]*/record.json")} == {"toy", "visit"}


def test_broken_flags_of_a_study_of_the_checkout_are_one_line(free, capsys):
    free.write("studies/toy/flags.py", "FLAGS = undefined\n")
    assert free.run("study=toy", "stages=[plan]") == 2
    error = capsys.readouterr().err
    assert "flags.py cannot be imported: NameError" in error and "Traceback" not in error
    free.write("studies/toy/flags.py", "")


@pytest.mark.parametrize(("folder", "line"), [("absent", "is not a folder"), (".", "has neither a folder frameworks/")])
def test_a_folder_that_is_no_extension_is_an_error(free, outside, capsys, folder, line):
    assert free.run(f"extensions=[{outside.root / folder}]", "stages=[plan]") == 2
    assert line in capsys.readouterr().err


def test_installed_packages_are_found_by_their_entry_points(free, outside, monkeypatch, capsys):
    outside.write("visitors/__init__.py", "")
    inner = Extension(outside.root / "visitors")
    inner.framework("guest")
    monkeypatch.syspath_prepend(str(outside.root))

    def entry_points(group):
        named = {"guest": "visitors", "lost": "no_such_package.at_all"}
        return [importlib.metadata.EntryPoint(n, v, group) for n, v in named.items()] if "frameworks" in group else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    tree, words = tree_of(["seed=3"], free.tree)
    assert words == ["seed=3"] and tree.frameworks()["guest"] == outside.root / "visitors/frameworks/guest.py"
    assert len(tree.refused) == 1 and "lost = no_such_package.at_all" in tree.refused[0]
