"""Large stores: what a plan and the rows after it read, hash and encode for each record, by counts and not by times."""

import collections
import json
import os
import time
import zipfile

import numpy as np
import pytest

from pipelines import canonical as encoding
from pipelines.config.configuration import configure
from pipelines.plan import fingerprint
from pipelines.plan.plan import CACHED, RUN, Problems, make_plan
from pipelines.results import files, packed, provenance
from pipelines.results import record as schema
from pipelines.results import store as module
from pipelines.results.rows import Newest, read_rows
from pipelines.results.store import Store
from pipelines.testing import disks
from tests.pipelines.test_scale import with_replicates

REPLICATES = 40


def age(folder):
    """Makes files older than the time in which a change may not show."""
    for path in folder.rglob("*.*"):
        if path.is_file():
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10_000_000_000))


@pytest.fixture
def filled(toy):
    """A configuration of 120 cells, each with a right record of five processes."""
    with_replicates(toy, REPLICATES)
    (configuration,) = configure(["size=smoke"], toy.tree, study="toy")
    generator = np.random.default_rng(0)
    store = Store(toy.root / "results", pytest.fail)
    where = provenance.provenance(toy.root, {}, "cpu")
    with disks.no_flushing():
        for one in make_plan(configuration, store, Problems(toy.tree)).cells:
            times = np.exp(generator.normal(0, 0.02, 20)) * 1e-3
            arrays = {"samples_s": times, "baseline_samples_s": times, "processes": np.arange(20) % 5}
            record = {
                "key": one.key, "identity": one.cell.identity, "inputs": one.inputs, "order": 1, "status": "ok",
                "reason": None, "diagnostics": {"error": 0.0}, "timing": {"rounds": 20}, "provenance": where,
            }  # fmt: skip
            store.save(record, {**arrays, "output/total": np.float32(3)})
    age(toy.root / "results")
    return configuration, Store(toy.root / "results", pytest.fail), Problems(toy.tree)


@pytest.fixture
def counted(monkeypatch):
    """How often records are read, hashed and encoded, and headers of arrays parsed."""
    counts = collections.Counter()

    def count(owner, name, what):
        real = getattr(owner, name)

        def counting(*arguments, **options):
            counts[what] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    encoder = encoding._ENCODER

    class Encoder:
        def encode(self, value):
            counts["texts"] += 1
            return encoder.encode(value)

    monkeypatch.setattr(encoding, "_ENCODER", Encoder())
    count(files, "read_file", "reads")
    count(schema, "_checksum", "checksums of records")
    count(schema, "from_json", "parses")
    count(schema._Record, "model_validate", "validations")
    count(module.hashlib, "sha256", "hashes")
    count(np.lib.format, "read_array_header_1_0", "headers")
    packed._form.cache_clear()
    return counts


def test_a_plan_reads_and_hashes_each_file_once(filled, counted):
    configuration, store, problems = filled
    plan = make_plan(configuration, store, problems)
    n_cells = len(plan.cells)
    assert n_cells == 3 * REPLICATES and {one.action for one in plan.cells} == {CACHED}
    assert counted["reads"] == 2 * n_cells, "the record, and its arrays for their checksum"
    assert counted["parses"] == counted["validations"] == n_cells
    assert counted["checksums of records"] == 0, "the checksum is that of the text as it is"
    # Of the record for its checksum; of its arrays; of the key; and of the sources, however many cells there are.
    assert 3 * n_cells <= counted["hashes"] <= 3 * n_cells + 80
    # Its identity, and that of the cell; the inputs of the key are encoded one by one.
    assert counted["texts"] <= 2 * n_cells + 20


def test_rows_after_a_plan_hash_nothing_again(filled, counted):
    configuration, store, problems = filled
    plan = make_plan(configuration, store, problems)
    counted.clear()
    rows = [row for _, row in read_rows(plan, store)]
    assert {row.status for row in rows} == {"ok"} and all(row.n_processes == 5 for row in rows)
    assert counted["reads"] == len(rows), "arrays alone: the records are in memory"
    assert counted["hashes"] == counted["checksums of records"] == counted["validations"] == counted["parses"] == 0
    assert counted["headers"] <= 4, "as many as there are shapes and types"


def test_the_newest_records_are_found_without_checking_them_again(filled, counted):
    configuration, store, problems = filled
    cells = make_plan(configuration, store, problems).cells
    counted.clear()
    newest = Newest(store)
    assert all(newest.get({**one.cell.identity, "device": "cuda"}) is None for one in cells)
    assert counted["reads"] == counted["hashes"] == counted["parses"] == 0


@pytest.mark.parametrize("name", ["record.json", "arrays.npz"])
def test_a_file_that_changes_after_the_plan_is_noticed(filled, name):
    configuration, store, problems = filled
    said = []
    store._say = said.append
    plan = make_plan(configuration, store, problems)
    victim = plan.cells[7]
    path = store.root / "toy/total" / victim.key / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    rows = {planned.key: row for planned, row in read_rows(plan, store)}
    assert rows.pop(victim.key).status == "failed" and {row.status for row in rows.values()} == {"ok"}
    assert len(said) == 1 and "Corrupt record" in said[0] and victim.key in said[0]
    age(store.root)
    again = make_plan(configuration, Store(store.root, said.append), problems)
    assert [one.key for one in again.cells if one.action == RUN] == [victim.key]


def test_a_young_file_is_not_remembered(tmp_path):
    """A change within the resolution of the file system's clock leaves size and time as they were."""
    path = tmp_path / "arrays.npz"
    path.write_bytes(b"1")
    checked = files.Checked()
    content, state = files.read_file(str(path))
    checked.add(str(path), state, "one")
    assert content == b"1" and not checked.has(str(path), state, "one") and not checked.still_has(str(path), "one")
    os.utime(path, (0, time.time() - 10))
    _, state = files.read_file(str(path))
    checked.add(str(path), state, "one")
    assert checked.has(str(path), state, "one") and checked.still_has(str(path), "one")
    assert not checked.has(str(path), state, "two") and not checked.has(str(path), state._replace(inode=1), "one")
    path.unlink()
    assert not checked.still_has(str(path), "one")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.float32(3),
        np.zeros((0, 4)), np.array([True, False]), np.array([1 + 2j]), np.zeros(3, [("a", "f4"), ("b", "i8")]),
    ],
)  # fmt: skip
def test_unpacked_arrays_are_those_that_were_packed(array):
    (found,) = packed.unpack(packed.pack({"output/x": array})).values()
    assert found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array)
    assert found.flags.writeable and found.flags.f_contiguous == np.asarray(array).flags.f_contiguous


def test_objects_are_not_unpacked():
    content = packed.pack({"x": np.zeros(2)})
    assert list(packed.unpack(content)) == ["x"]
    with pytest.raises(ValueError, match="Object arrays cannot be|holds Python objects"):
        packed.unpack(packed.pack({"x": np.array([{}], dtype=object)}))
    with pytest.raises(ValueError, match="buffer is too small"):
        packed._array(content[content.index(b"\x93NUMPY") :][:130])


def test_keys_are_those_of_cells_planned_one_by_one(filled):
    configuration, store, problems = filled
    for one in make_plan(configuration, store, problems).cells[:5]:
        data = problems.get("toy", one.cell.parameters).data
        named = fingerprint.inputs(one.cell, configuration, one.description, data)
        assert fingerprint.key(named | {"identity": encoding.canonical(one.cell.identity)}) == one.key


def test_compressed_arrays_are_unpacked_too(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(100.0), y=np.ones(3))
    found = packed.unpack((tmp_path / "x.npz").read_bytes())
    assert np.array_equal(found["x"], np.arange(100.0)) and np.array_equal(found["y"], np.ones(3))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", packed.pack({"x": np.ones(3)})[:-9]])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(zipfile.BadZipFile):
        packed.unpack(content)


def stored_record(**fields):
    identity = {"study": "s", "task": "t", "framework": "f", "parameters": {}, "seed": 1, "device": "cpu"}
    return {
        "schema": schema.SCHEMA, "key": "k", "identity": identity, "inputs": {"a": "b"}, "status": "ok",
        "provenance": {}, "arrays_sha256": "0", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"notes": {"one": [], "two": {}, "three": [1, [2.5, -0.0, 1e-300, 2**70], {"x": None}]}},
        {"reason": 'he said "x": y, and left'}, {"reason": "line\nline\t\\"}, {"notes": {'a": b': 'c": d'}},
        {"reason": "\udc80 of a file name"}, {"diagnostics": {"error": float("nan")}}, {"reason": "é  \u2028 \x7f"},
    ],
)  # fmt: skip
def test_a_record_read_by_its_text_is_the_one_that_was_written(fields):
    text = schema.encode_record(stored_record(**fields)).encode()
    found = schema.decode_record(text)
    assert encoding._ENCODER.__class__(sort_keys=True).encode(found) == encoding._ENCODER.__class__(
        sort_keys=True
    ).encode(stored_record(**fields))
    laid_out_otherwise = json.dumps(json.loads(text)).encode()
    assert repr(schema.decode_record(laid_out_otherwise)) == repr(found), "a layout of its own is no damage"


def test_floats_survive_a_record_to_the_last_bit():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**63, 2000, dtype=np.int64).view(np.float64)
    values = [*values[np.isfinite(values)].tolist(), 5e-324, 0.1, 1 / 3, 1e22, 2.0**53 + 2]
    assert schema.decode_record(schema.encode_record(stored_record(notes={"x": values})).encode())["notes"] == {
        "x": values
    }


def test_every_flipped_bit_of_a_record_is_noticed():
    text = schema.encode_record(stored_record(notes={"x": [1.5, "two", None]}, reason="a: b")).encode()
    for place in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[place] ^= 1 << bit
            try:
                found = schema.decode_record(bytes(damaged))
            except ValueError:
                continue
            assert found == schema.decode_record(text), "only the layout may differ"
