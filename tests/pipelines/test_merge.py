"""Folders of records joined and pruned, and cells that are measured again because somebody asks."""

import json

import pytest

from pipelines.results import merge as module
from pipelines.results.compare import tasks
from pipelines.results.store import Store
from pipelines.testing.toy import Toy


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path / "checkout")


def keys(folder):
    store = Store(folder)
    return {record["key"] for study, task in tasks(store) for record in store.records(study, task)}


def test_records_of_two_folders_are_joined(toy, tmp_path, capsys):
    a, b, c = (tmp_path / name for name in "abc")
    assert toy.run("stages=[run]", "frameworks=[first]", f"results={a}") == 0
    assert toy.run("stages=[run]", "frameworks=[first,second]", "seed=4", f"results={b}") == 0
    assert module.main(["merge", str(a), str(b), "into", str(c)]) == 0
    assert keys(c) == keys(a) | keys(b) and len(keys(c)) == 3
    assert "3 records added, 0 were there" in capsys.readouterr().out
    assert module.main(["merge", str(a), str(b), "into", str(c)]) == 0
    assert "0 records added, 3 were there" in capsys.readouterr().out
    assert toy.run("stages=[run]", "frameworks=[first]", f"results={c}") == 0
    assert "Nothing to measure" in capsys.readouterr().out


def test_other_machines_keep_their_own_records(toy, tmp_path):
    """The machine is a part of the key, so a record from elsewhere stands beside this machine's."""
    a, c = tmp_path / "a", tmp_path / "c"
    assert toy.run("stages=[run]", "frameworks=[first]", f"results={c}") == 0
    (path,) = c.glob("toy/total/*/record.json")
    record, arrays = Store(c).load("toy", "total", path.parent.name)
    record["provenance"]["host"] = "elsewhere"
    record["key"] = "0" * 24
    Store(a).save(record, arrays)
    assert module.main(["merge", str(a), "into", str(c)]) == 0
    assert keys(c) == {"0" * 24, path.parent.name}
    assert module.replaced(Store(c)) == []


def test_the_newer_of_two_records_of_a_cell_stays(toy, tmp_path):
    a, c = tmp_path / "a", tmp_path / "c"
    for folder in (c, a):
        assert toy.run("stages=[run]", "frameworks=[first]", f"results={folder}") == 0
    (key,) = keys(a)
    record, arrays = Store(a).load("toy", "total", key)
    record["provenance"]["started"] = "2001-01-01T00:00:00+00:00"
    record["order"] = 0
    Store(a).save(record, {**arrays, "more": arrays["samples_s"]})
    before = Store(c).load("toy", "total", key)[0]["provenance"]["started"]
    counts = module.merge([Store(a)], Store(c))
    assert (counts.added, counts.equal, counts.older) == (0, 0, 1)
    assert Store(c).load("toy", "total", key)[0]["provenance"]["started"] == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["merge", "a"], "merge A B into C"),
        (["merge", "c", "into", "c"], "name only the others"),
        (["prune", "x"], "'x'"),
    ],
)
def test_what_cannot_be_meant_is_said(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert module.main(words) != 0
    assert message in capsys.readouterr().err


def test_replaced_records_are_shown_and_then_removed(toy, tmp_path, capsys):
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    toy.model("first", before="1 + 1")
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    results = toy.root / "results"
    assert len(keys(results)) == 2
    assert module.main(["prune", f"results={results}"]) == 0
    assert "1 records have newer ones" in capsys.readouterr().out
    assert len(keys(results)) == 2
    assert module.main(["prune", f"results={results}", "yes"]) == 0
    assert len(keys(results)) == 1
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    assert "Nothing to measure" in capsys.readouterr().out


@pytest.mark.parametrize(("asked", "count"), [("first", 1), ("total", 3), ("all", 3)])
def test_chosen_cells_are_measured_again(toy, capsys, asked, count):
    assert toy.run("stages=[run]") == 0
    before = {path: json.loads(path.read_text()) for path in toy.records()}
    capsys.readouterr()
    assert toy.run("stages=[run]", f"remeasure=[{asked}]") == 0
    out = capsys.readouterr().out
    assert f"{count} cell{'s' if count > 1 else ''}: asked for again" in out
    assert set(toy.records()) == set(before)


def test_misspelled_cell_to_measure_again_is_named(toy, capsys):
    assert toy.run("remeasure=[frist]") == 2
    assert "first" in capsys.readouterr().err
