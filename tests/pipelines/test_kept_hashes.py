"""Hashes that are kept from run to run: right whatever is edited, and damaged ones count as absent."""

import json
import os

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan import fingerprint, kept
from pipelines.plan import plan as planning
from pipelines.plan.kept import NAME, KeptHashes
from pipelines.plan.plan import Problems, make_plan
from pipelines.results.store import Store
from pipelines.testing.toy import CONFIG, PROBLEM

READING = PROBLEM.replace(
    "values = np.arange(parameters[\"n_points\"], dtype=np.float32)",
    "values = np.loadtxt(parameters[\"points\"], dtype=np.float32)",
)  # fmt: skip


@pytest.fixture
def found(monkeypatch):
    """What was computed and not found: meanings of sources, and data."""
    names = []
    for name in ("_meaning", "data_digest"):
        real = getattr(fingerprint, name)
        monkeypatch.setattr(fingerprint, name, lambda *given, real=real, name=name: names.append(name) or real(*given))
    return names


def keys(toy, *words):
    """The keys of a new process's plan, whose hashes are kept in the results."""
    fingerprint._source_digest.cache_clear()
    hashes = KeptHashes(toy.root / "results")
    (configuration,) = configure(["size=smoke", *words], toy.tree, study="toy")
    plan = make_plan(configuration, Store(toy.root / "results"), Problems(toy.tree, hashes))
    hashes.save()
    return [one.key for one in plan.cells]


def keys_of_a_new_store(toy, *words):
    """The same without anything kept."""
    path = toy.root / "results" / NAME
    text = path.read_bytes()
    path.unlink()
    fresh = keys(toy, *words)
    path.write_bytes(text)
    return fresh


def rewrite(path, text):
    """Edits a file without changing what the system tells of it: size and time of its last change."""
    state = path.stat()
    assert len(text.encode()) == state.st_size
    path.write_text(text)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_second_plan_computes_no_hash(toy, found):
    first = keys(toy)
    assert {"_meaning", "data_digest"} == set(found)
    found.clear()
    assert keys(toy) == first
    assert found == []


@pytest.mark.parametrize("file", ["problem.py", "models/second.py"])
def test_an_edit_that_leaves_size_and_time_of_a_source_is_noticed(toy, file):
    first = keys(toy)
    path = toy.root / "studies" / "toy" / file
    text = path.read_text()
    rewrite(path, text.replace("float32", "float16"))
    edited = keys(toy)
    assert edited == keys_of_a_new_store(toy) and edited != first
    rewrite(path, text)
    assert keys(toy) == first


def test_data_of_an_edited_problem_are_made_again(toy, found):
    keys(toy)
    found.clear()
    toy.write("studies/toy/problem.py", PROBLEM.replace("np.arange(", "7 + np.arange("))
    edited = keys(toy)
    assert "data_digest" in found
    assert edited == keys_of_a_new_store(toy)


def test_data_are_made_again_on_another_processor(toy, found, monkeypatch):
    keys(toy)
    found.clear()
    monkeypatch.setattr(planning, "cpu_model", lambda: "another")
    keys(toy)
    assert "data_digest" in found


def test_an_edit_of_a_file_that_a_parameter_names_is_noticed(toy):
    points = toy.root / "points.txt"
    points.write_text("1 2 3")
    toy.write("studies/toy/problem.py", READING)
    toy.write("configs/study/toy.yaml", CONFIG.replace("{n_points: 4}", f"{{n_points: 4, points: {points}}}"))
    first = keys(toy)
    assert keys(toy) == first
    rewrite(points, "1 2 4")
    assert keys(toy) == keys_of_a_new_store(toy) != first


def test_random_data_are_refused_by_every_plan(toy):
    toy.write(
        "studies/toy/problem.py", PROBLEM.replace("values = np.arange(", "values = np.random.random() * np.arange(")
    )
    for _ in range(2):
        with pytest.raises(ConfigurationFaults, match="two calls of make_problem"):
            keys(toy)


def test_every_flipped_bit_and_every_cut_leaves_the_keys_as_they_are(toy):
    first = keys(toy)
    path = toy.root / "results" / NAME
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    known = json.loads(whole)["hashes"]
    for place in generator.integers(0, 8 * len(whole), 300):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        assert kept._read(path) in ({}, known)
    for content in (b"", b"[]", b"null", whole[: len(whole) // 2], b'{"hashes": 3, "sha256": "0"}'):
        path.write_bytes(content)
        assert keys(toy) == first


def test_what_was_used_last_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 3)
    for names in ("abc", "da", "ef"):
        hashes = KeptHashes(tmp_path)
        for name in names:
            hashes.get(name, lambda name=name: f"of {name}")
        hashes.save()
    again = KeptHashes(tmp_path)
    assert [name for name in "abcdef" if again.known(name) == f"of {name}"] == ["a", "e", "f"]


def test_data_files_are_written_again_only_if_something_has_changed(toy, capsys):
    export = """
    def files(rows, problem):
        print("made")
        return {"totals.csv": str(problem(rows[0].parameters).truth["total"])}
    """
    toy.write("studies/toy/export.py", export)

    def made(*words):
        assert toy.run(*words) == 0
        return capsys.readouterr().out.count("made")

    written = toy.root / "results" / "toy" / "export_cpu" / "totals.csv"
    assert [made(), made()] == [1, 0] and written.read_text() == "3.0"
    written.unlink()
    assert [made(), made()] == [1, 0] and written.read_text() == "3.0"
    written.write_text("4.0")
    assert [made(), made()] == [1, 0] and written.read_text() == "3.0"
    toy.write("studies/toy/export.py", export + "# another\n")
    assert [made(), made()] == [1, 0]
    assert made("remeasure=[first]") == 1
