"""The store under faults: turned bits, disks that fail or are slow, readers beside a writer, locks that are missing."""

import errno
import json
import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from pipelines.errors import StoreError
from pipelines.plan.tree import REPOSITORY
from pipelines.results import clean, lock
from pipelines.results.lock import Locked, locked
from pipelines.results.store import Store
from pipelines.testing import disks
from tests.pipelines.test_store import record
from tests.tiers import slow_except


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def filled(tmp_path):
    """Five records as runs write them, with what each holds."""
    store = Store(tmp_path, print)
    for index in range(5):
        times = np.linspace(1e-3, 2e-3, 20 + index)
        timing = {"rounds": 20 + index, "load_average": 0.5, "idle_fraction": 1e-4, "is_baseline": index == 0}
        extra = {"timing": timing, "diagnostics": {"error": 1e-7, "missing": float("nan")}}
        store.save(record(f"k{index}", **extra), {"samples_s": times, "output/x": np.arange(4, dtype=np.float32)})
    return tmp_path


@pytest.mark.parametrize("seed", slow_except([0], range(4)))
def test_ten_thousand_flipped_bits_invent_nothing_and_lose_nothing(filled, seed):
    """2,500 for each seed. No traceback and no changed number; the other records and all files stay as they are."""
    generator = random.Random(seed)
    good = {f"k{index}": Store(filled, pytest.fail).load("toy", "total", f"k{index}") for index in range(5)}
    paths = sorted(content(filled))
    before, noticed = content(filled), 0
    for trial in range(2500):
        path = generator.choice(paths)
        key, said = path.parent.name, []
        store = Store(filled, said.append)
        with disks.flipped_bit(path, generator):
            found = store.load("toy", "total", key)
            if found is None:
                noticed += 1
                assert len(said) == 1 and key in said[0]
            else:  # white space between the fields of the JSON, or a zero that stays a zero
                assert json.dumps(found[0], sort_keys=True) == json.dumps(good[key][0], sort_keys=True)
                assert all(np.array_equal(found[1][name], array) for name, array in good[key][1].items())
            if trial % 50 == 0:
                assert {one["key"] for one in store.records("toy", "total")} >= good.keys() - {key}
    assert noticed > 2000
    assert content(filled) == before
    for key, (kept, _) in good.items():
        assert json.dumps(Store(filled, pytest.fail).load("toy", "total", key)[0]) == json.dumps(kept)


def test_a_listing_names_what_it_leaves_out(filled):
    """The page of results reads a whole store through it."""
    broken, later = sorted(filled.rglob("record.json"))[:2]
    broken.write_text(broken.read_text()[:100])
    later.write_text(later.read_text().replace('"schema":2', '"schema":99'))
    said = []
    store = Store(filled, said.append)
    for _ in range(2):
        assert len(list(store.records("toy", "total"))) == 3
    assert len(said) == 2, said
    assert "Corrupt record" in said[0] and broken.parent.name in said[0]
    assert "written by a later version (schema 99" in said[1] and later.parent.name in said[1]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT])
@pytest.mark.parametrize("name", ["record.json", "arrays.npz"])
def test_what_cannot_be_read_now_is_not_called_corrupt(filled, number, name):
    before, said = content(filled), []
    store = Store(filled, said.append)
    with disks.failing_reads(number, name):
        with pytest.raises(StoreError, match=r"Cannot read .*Nothing was changed"):
            store.load("toy", "total", "k1")
        with pytest.raises(StoreError, match="Cannot read"):
            store.save(record("k1", status="failed"), {})
        listed = list(store.records("toy", "total"))
    assert len(listed) == (0 if name == "record.json" else 5)
    assert content(filled) == before and not any("Corrupt" in line for line in said)
    assert store.load("toy", "total", "k1") is not None


def test_disk_that_fills_up_during_any_write_keeps_the_old_record(filled):
    for writes in range(4):
        with disks.full_disk(writes), pytest.raises(StoreError, match="is full"):
            Store(filled, print).save(record("k1", note="new"), {"output/x": np.zeros(9)})
        loaded, arrays = Store(filled, pytest.fail).load("toy", "total", "k1")
        assert ("note" in loaded) == (len(arrays["output/x"]) == 9)
        assert ("note" in loaded) == (writes == 3), "only the flush of the folder came after the record was replaced"


WRITER = """
import sys
from pathlib import Path
import numpy as np
from pipelines.results.store import Store
from tests.pipelines.test_store import record
store = Store(Path(sys.argv[1]), print)
for note in range(1, 301):
    store.save(record(note=note), {"x": np.full(50, note)})
"""


def test_readers_beside_a_writer_always_see_one_whole_record(tmp_path):
    """300 replacements by another process; the reader never finds less than a record, nor a mixture of two."""
    Store(tmp_path, pytest.fail).save(record(note=0), {"x": np.full(50, 0)})
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    store, seen = Store(tmp_path, pytest.fail), set()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], env=environment) as writer:
        while writer.poll() is None:
            loaded, arrays = store.load("toy", "total", "k1")
            assert set(arrays["x"].tolist()) == {loaded["note"]}
            assert [one["key"] for one in store.records("toy", "total")] == ["k1"]
            seen.add(loaded["note"])
        assert writer.returncode == 0
    assert store.load("toy", "total", "k1")[0]["note"] == 300 and len(seen) > 5
    assert len(list((tmp_path / "toy/total/k1").iterdir())) == 2


def test_slow_disk_shows_the_old_record_until_the_new_one_is_whole(tmp_path):
    store = Store(tmp_path, pytest.fail)
    store.save(record(note=0), {"x": np.zeros(3)})
    seen = []
    with disks.slow_disk(0.05):
        saving = threading.Thread(target=store.save, args=(record(note=1), {"x": np.ones(3)}))
        saving.start()
        while saving.is_alive():
            loaded, arrays = Store(tmp_path, pytest.fail).load("toy", "total", "k1")
            assert set(arrays["x"].tolist()) == {loaded["note"]}
            seen.append(loaded["note"])
        saving.join()
    assert seen[0] == 0 and store.load("toy", "total", "k1")[0]["note"] == 1


def test_lock_where_the_file_system_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "POLL_SECONDS", 0.001)
    with disks.no_file_locks():
        with locked(tmp_path, None):
            assert json.loads((tmp_path / lock.OWNER).read_text())["process"] == os.getpid()
            with pytest.raises(Locked), locked(tmp_path, None):
                pass
        assert not (tmp_path / lock.OWNER).exists()
        (tmp_path / lock.OWNER).write_text(json.dumps({"host": "another", "process": 1}))
        with pytest.raises(Locked), locked(tmp_path, None):
            pass
        waited = []
        with locked(tmp_path, lambda: (waited.append(1), (tmp_path / lock.OWNER).unlink())):
            assert waited == [1]


def test_lock_of_a_dead_owner_is_taken_over(tmp_path):
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    (tmp_path / lock.OWNER).write_text(json.dumps({"host": lock.socket.gethostname(), "process": gone.pid}))
    with disks.no_file_locks(), locked(tmp_path, None):
        assert json.loads((tmp_path / lock.OWNER).read_text())["process"] == os.getpid()


def test_the_run_works_where_the_file_system_has_no_locks(toy):
    with disks.no_file_locks():
        assert toy.run("stages=[run]") == 0
    assert not (toy.root / "results" / lock.OWNER).exists()


def test_clean_beside_a_run_removes_nothing(tmp_path, capsys):
    store = Store(tmp_path / "results", print)
    with store.exclusive():
        store.save(record(), {})
        before = content(tmp_path)
        assert clean.clean(["results", "study=perfbench"], tmp_path) == []
        assert content(tmp_path) == before
    assert capsys.readouterr().err.count("a run is writing into") == 2
    assert clean.clean(["results"], tmp_path) == [tmp_path / "results"]
    assert not (tmp_path / "results").exists()


def test_a_run_that_waited_for_clean_starts_with_a_lock_that_others_see(tmp_path):
    """The lock file that it had opened is gone: it takes the one that is there."""
    (tmp_path / lock.LOCK).touch()
    with (tmp_path / lock.LOCK).open("a+") as held:
        lock.fcntl.flock(held, lock.fcntl.LOCK_EX)

        def cleaned():
            (tmp_path / lock.LOCK).unlink()
            lock.fcntl.flock(held, lock.fcntl.LOCK_UN)

        with locked(tmp_path, cleaned), pytest.raises(Locked), locked(tmp_path, None):
            pass


def test_a_run_removes_nothing_that_is_not_its_own(toy):
    others = [
        toy.root / "results" / name for name in ("a/b/.new-mine/file", "notes/x/.old-k1/file", "toy/total/mine.txt")
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert toy.run("stages=[run]") == 0
    assert [path.read_text() for path in others] == ["mine"] * 3
