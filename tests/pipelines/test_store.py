"""The store: atomic, strict JSON, versioned; nothing half-written or corrupt is read."""

import json

import numpy as np
import pytest

from pipelines import atomic
from pipelines.errors import StoreError
from pipelines.results import record as schema
from pipelines.results import store as module
from pipelines.results.record import encode_record
from pipelines.results.store import Store


def record(key="k1", status="ok", **more):
    identity = {
        **{"study": "toy", "task": "total", "framework": "first"},
        **{"parameters": {}, "seed": 1, "device": "cpu", "dtype": "float32"},
    }
    own = {"key": key, "identity": identity, "inputs": {}, "status": status, "provenance": {"started": "x"}}
    return {**own, **more}


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return Store(tmp_path, said.append)


def test_round_trip_keeps_dtypes_and_nonfinite_numbers(store):
    arrays = {"output/y": np.array([1e-9, 2.0]), "output/x": np.arange(3, dtype=np.float32)}
    store.save(record(diagnostics={"a": float("nan"), "b": [1.0, float("-inf")], "c": 1}), arrays)
    loaded, found = store.load("toy", "total", "k1")
    assert np.isnan(loaded["diagnostics"]["a"]) and loaded["diagnostics"]["b"] == [1.0, -np.inf]
    assert loaded["diagnostics"]["c"] == 1 and loaded["schema"] == schema.SCHEMA
    assert found["output/x"].dtype == np.float32 and found["output/y"].dtype == np.float64


def test_json_is_strict_and_says_what_stood_there():
    text = encode_record({"a": {"b": float("nan"), "c": np.float64("inf")}})

    def refuse(name):
        raise AssertionError(name)

    strict = json.loads(text, parse_constant=refuse)
    assert strict["a"] == {"b": None, "c": None}
    assert strict["nonfinite"] == {'["a", "b"]': "nan", '["a", "c"]': "inf"}


def test_replacing_leaves_one_folder(store, tmp_path):
    store.save(record(note=1), {})
    store.save(record(note=2), {})
    assert [path.name for path in (tmp_path / "toy/total").iterdir()] == ["k1"]
    assert store.load("toy", "total", "k1")[0]["note"] == 2


def test_the_newest_row_counts_whatever_its_status(store):
    store.save(record(note=1), {})
    store.save(record(status="skipped", reason="not installed"), {})
    assert store.load("toy", "total", "k1")[0]["note"] == 1
    store.save(record(status="invalid", reason="wrong"), {})
    assert store.load("toy", "total", "k1")[0]["status"] == "invalid"
    store.save(record("k2", status="failed"), {})
    store.save(record("k2", status="ok"), {})
    assert store.load("toy", "total", "k2")[0]["status"] == "ok"


@pytest.mark.parametrize("step", range(6))
def test_kill_at_any_step_leaves_the_old_record_or_the_new_one(store, tmp_path, monkeypatch, step):
    """Steps: write, rename and flush of the arrays, then of the record."""
    store.save(record(note=1), {"x": np.ones(2)})
    steps = []

    def killing(function):
        def wrapped(*arguments):
            steps.append(function)
            if len(steps) == step + 1:
                raise KeyboardInterrupt
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(atomic, "_flush_file", killing(atomic._flush_file))
    monkeypatch.setattr(atomic, "flush_folder", killing(atomic.flush_folder))
    monkeypatch.setattr(atomic.os, "replace", killing(atomic.os.replace))
    with pytest.raises(KeyboardInterrupt):
        store.save(record(note=2), {"x": np.zeros(3)})
    monkeypatch.undo()
    loaded, arrays = Store(tmp_path, pytest.fail).load("toy", "total", "k1")
    assert (loaded["note"], len(arrays["x"])) == ((2, 3) if step == 5 else (1, 2))
    store.save(record(note=3), {"x": np.zeros(4)})
    assert len(list((tmp_path / "toy/total/k1").iterdir())) == 2, "left-overs are cleared"
    assert store.load("toy", "total", "k1")[0]["note"] == 3


def test_failed_write_keeps_the_old_record(store, monkeypatch, tmp_path):
    store.save(record(note=1), {})

    def broken(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_flush_file", broken)
    with pytest.raises(StoreError, match="is full"):
        store.save(record(note=2), {})
    assert store.load("toy", "total", "k1")[0]["note"] == 1
    assert [path.name for path in (tmp_path / "toy/total").iterdir()] == ["k1"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting"),
        ("[1]", "holds no object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"schema": 1}', "lacks or misstates key (field required), identity"),
        ('{"schema": 2}', "has no checksum"),
        (encode_record({"schema": 2, "key": "k1"}), "lacks or misstates identity"),
        (json.dumps({"schema": 1, **record(), "nonfinite": []}), "nonfinite numbers does not fit"),
        (json.dumps({"schema": 1, **record(), "nonfinite": {'["gone", 1]': "nan"}}), "nonfinite numbers does not fit"),
        (json.dumps({"schema": 0, **record()}), "schema 0 is too old"),
        (json.dumps({"schema": True, **record()}), "no schema version"),
        (json.dumps({"schema": 1, **record("other"), "arrays_sha256": "x"}), "it is the record of other"),
        (json.dumps({"schema": 1, **record(status="great"), "arrays_sha256": "x"}), "misstates status"),
        (
            encode_record({"schema": 2, **record(), "arrays_sha256": "x", "arrays": "../other.npz"}),
            "names '../other.npz'",
        ),
    ],
)
def test_bad_records_count_as_missing_and_stay_until_the_cell_is_measured_again(store, said, tmp_path, content, why):
    store.save(record(), {})
    (tmp_path / "toy/total/k1/record.json").write_text(content)
    assert store.load("toy", "total", "k1") is None
    assert len(said) == 1 and why in said[0] and "counts as missing" in said[0]
    assert store.load("toy", "total", "k1") is None and len(said) == 1
    assert list(store.records("toy", "total")) == []
    assert (tmp_path / "toy/total/k1/record.json").read_text() == content, "readers change nothing"
    store.save(record(note=2), {})
    assert store.load("toy", "total", "k1")[0]["note"] == 2
    assert (tmp_path / "toy/total/k1.corrupt/record.json").read_text() == content
    assert [one["note"] for one in store.records("toy", "total")] == [2]


def test_newer_schema_is_left_alone(store, said, tmp_path):
    store.save(record(), {})
    path = tmp_path / "toy/total/k1/record.json"
    path.write_text(path.read_text().replace('"schema":2', '"schema":99'))
    assert store.load("toy", "total", "k1") is None
    assert "later version (schema 99" in said[0] and path.exists()
    store.save(record(status="failed", reason="x"), {})
    assert '"schema":99' in path.read_text(), "a failure never replaces what may be an ok row"
    store.save(record(), {})
    assert '"schema":99' in (tmp_path / "toy/total/k1.newer/record.json").read_text()
    assert store.load("toy", "total", "k1")[0]["status"] == "ok"


def test_migration_turns_an_old_record_into_a_new_one(store, tmp_path, monkeypatch):
    store.save(record(), {})
    path = tmp_path / "toy/total/k1/record.json"
    old = json.loads(path.read_text())
    del old[schema.CHECKSUM]
    path.write_text(json.dumps({**old, "schema": 1}))
    assert store.load("toy", "total", "k1")[0]["schema"] == schema.SCHEMA, "version 1 had no checksum"
    path.write_text(json.dumps({**old, "schema": 0, "state": old.pop("status")}))
    monkeypatch.setitem(schema.MIGRATIONS, 0, lambda one: {**one, "schema": 1, "status": one["state"]})
    assert store.load("toy", "total", "k1")[0]["status"] == "ok"


def test_records_are_ordered_by_their_count_and_not_by_the_clock():
    later = record(provenance={"started": "2026-01-01"}, order=2)
    dated_ahead = record(provenance={"started": "2099-01-01"}, order=1)
    of_an_earlier_version = record(provenance={"started": "2098-01-01"})
    assert max([of_an_earlier_version, later, dated_ahead], key=module.by_age) is later
