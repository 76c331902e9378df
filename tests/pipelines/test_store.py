"""The store: atomic, strict JSON, versioned; nothing half-written or corrupt is read."""

import json
import os

import numpy as np
import pytest

from pipelines.errors import StoreError
from pipelines.results import store as module
from pipelines.results.store import Store, decode_record, encode_record


def record(key="k1", status="ok", **more):
    identity = {"study": "toy", "task": "total", "framework": "first"}
    return {"key": key, "identity": identity, "inputs": {}, "status": status, "provenance": {"started": "x"}, **more}


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return Store(tmp_path, said.append)


def test_round_trip_keeps_dtypes_and_nonfinite_numbers(store):
    arrays = {"samples_s": np.array([1e-9, 2.0]), "output/x": np.arange(3, dtype=np.float32)}
    store.save(record(diagnostics={"a": float("nan"), "b": [1.0, float("-inf")], "c": 1}), arrays)
    loaded, found = store.load("toy", "total", "k1")
    assert np.isnan(loaded["diagnostics"]["a"]) and loaded["diagnostics"]["b"] == [1.0, -np.inf]
    assert loaded["diagnostics"]["c"] == 1 and loaded["schema"] == module.SCHEMA
    assert found["output/x"].dtype == np.float32 and found["samples_s"].dtype == np.float64


def test_json_is_strict_and_says_what_stood_there():
    text = encode_record({"a": {"b": float("nan"), "c": np.float64("inf")}})

    def refuse(name):
        raise AssertionError(name)

    strict = json.loads(text, parse_constant=refuse)
    assert strict["a"] == {"b": None, "c": None}
    assert strict["nonfinite"] == {'["a", "b"]': "nan", '["a", "c"]': "inf"}
    assert decode_record(text)["a"]["c"] == np.inf


def test_replacing_leaves_one_folder(store, tmp_path):
    store.save(record(note=1), {})
    store.save(record(note=2), {})
    assert [path.name for path in (tmp_path / "toy/total").iterdir()] == ["k1"]
    assert store.load("toy", "total", "k1")[0]["note"] == 2


def test_failure_never_replaces_an_ok_row(store):
    store.save(record(note=1), {})
    store.save(record(status="timeout", reason="slow"), {})
    assert store.load("toy", "total", "k1")[0]["note"] == 1
    store.save(record("k2", status="failed"), {})
    store.save(record("k2", status="ok"), {})
    assert store.load("toy", "total", "k2")[0]["status"] == "ok"


def test_kill_between_the_two_renames_loses_nothing(store, tmp_path, monkeypatch):
    store.save(record(note=1), {"x": np.ones(2)})
    renamed = []
    real = os.rename

    def killed(source, target):
        if renamed:
            raise KeyboardInterrupt
        renamed.append(source)
        real(source, target)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(record(note=2), {})
    monkeypatch.undo()
    assert not (tmp_path / "toy/total/k1").exists()
    assert store.load("toy", "total", "k1")[0]["note"] == 1
    with store.exclusive():
        assert [path.name for path in (tmp_path / "toy/total").iterdir()] == ["k1"], "left-overs are cleared"


def test_failed_write_keeps_the_old_record(store, monkeypatch, tmp_path):
    store.save(record(note=1), {})

    def broken(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", broken)
    with pytest.raises(StoreError, match="is full"):
        store.save(record(note=2), {})
    assert store.load("toy", "total", "k1")[0]["note"] == 1
    assert [path.name for path in (tmp_path / "toy/total").iterdir()] == ["k1"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting"),
        ("[1]", "holds no object"),
        ('{"schema": 1}', "lacks key, identity"),
        (json.dumps({"schema": 0, **record()}), "schema 0 is too old"),
        (json.dumps({"schema": 1, **record("other")}), "it is the record of other"),
        (json.dumps({"schema": 1, **record(status="great")}), "unknown status 'great'"),
    ],
)
def test_bad_records_are_set_aside(store, said, tmp_path, content, why):
    store.save(record(), {})
    (tmp_path / "toy/total/k1/record.json").write_text(content)
    assert store.load("toy", "total", "k1") is None
    assert len(said) == 1 and why in said[0] and "Kept as k1.corrupt" in said[0]
    assert store.load("toy", "total", "k1") is None and len(said) == 1
    assert list(store.records("toy", "total")) == []


def test_newer_schema_is_left_alone(store, said, tmp_path):
    store.save(record(), {})
    path = tmp_path / "toy/total/k1/record.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    assert store.load("toy", "total", "k1") is None
    assert "later version (schema 99" in said[0] and path.exists()


def test_migration_turns_an_old_record_into_a_new_one(store, tmp_path, monkeypatch):
    store.save(record(), {})
    path = tmp_path / "toy/total/k1/record.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0').replace('"status"', '"state"'))

    def rename_state(old):
        return {**old, "schema": 1, "status": old["state"]}

    monkeypatch.setitem(module.MIGRATIONS, 0, rename_state)
    assert store.load("toy", "total", "k1")[0]["status"] == "ok"
