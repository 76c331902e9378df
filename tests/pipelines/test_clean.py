"""`clean` removes output and nothing else."""

from pathlib import Path

import pytest

from pipelines.results import clean


@pytest.fixture
def checkout(tmp_path) -> Path:
    for name in (
        "figs/a.pdf",
        "figs/sub/b.png",
        "figs/gallery/kept.png",
        "results/faircoin/record.json",
        "genjax/__pycache__/x.pyc",
        "genjax/core.py",
        ".venv/lib/__pycache__/kept.pyc",
        ".ruff_cache/x",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("figs", {"figs/a.pdf", "figs/sub/b.png"}),
        ("results", {"results/faircoin/record.json"}),
        ("caches", {"genjax/__pycache__/x.pyc", ".ruff_cache/x"}),
    ],
)
def test_removes_its_kind_only(checkout, kind, gone):
    before = files(checkout)
    clean.clean([kind], checkout)
    assert before - files(checkout) == gone


def test_a_study_goes_with_the_figures_that_are_drawn_from_it(checkout):
    for name, study in (("bars", "gol"), ("bars_cpu", "gol"), ("lines", "faircoin")):
        (checkout / "figs" / f"{name}.json").write_text(f'{{"figure": "{study}/x"}}')
        (checkout / "figs" / f"{name}.pdf").write_text("")
    (checkout / "figs" / "notes.json").write_text("[1]")
    before = files(checkout)
    clean.clean(["study=gol"], checkout)
    assert before - files(checkout) == {f"figs/bars{end}" for end in (".json", ".pdf", "_cpu.json", "_cpu.pdf")}
    clean.clean(["study=faircoin"], checkout)
    assert not (checkout / "results/faircoin").exists() and not (checkout / "figs/lines.pdf").exists()
    assert {"figs/notes.json", "figs/gallery/kept.png"} <= files(checkout)


def test_link_goes_but_not_what_it_points_to(checkout, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "record.json").write_text("kept")
    (checkout / "figs" / "link").symlink_to(elsewhere)
    clean.clean(["figs"], checkout)
    assert not (checkout / "figs" / "link").is_symlink()
    assert (elsewhere / "record.json").read_text() == "kept"


def test_nothing_to_remove(tmp_path):
    assert clean.clean(["figs", "results", "caches"], tmp_path) == []


@pytest.mark.parametrize("words", [[], ["everything"]])
def test_unknown_kind(words, capsys):
    assert clean.main(words) == 2
    assert "Name some of: figs, results, caches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "folder"), [("figs", "figs"), ("study=perfbench", "figs"), ("study=perfbench", "results")]
)
def test_folder_that_is_a_link_keeps_what_it_points_to(tmp_path, tmp_path_factory, capsys, kind, folder):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "perfbench").mkdir()
    (elsewhere / "perfbench" / "record.json").write_text("kept")
    (elsewhere / "perfbench_a.pdf").write_text("kept")
    (tmp_path / folder).symlink_to(elsewhere)
    before = files(elsewhere)
    assert clean.clean([kind], tmp_path) == []
    assert files(elsewhere) == before and (tmp_path / folder).is_symlink()
    assert "is a link: what it points to is left alone" in capsys.readouterr().err
