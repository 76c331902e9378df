"""A worker that breaks the protocol, in each of a hundred ways, fails its own cell with a reason; the others go on."""

import json
import math
import random
import sys

import pytest

from pipelines.results.store import Store
from pipelines.testing.misbehaving_worker import DEATHS, FAULTS, FILE_FAULTS, RAW_FAULTS, REPLY_FAULTS
from pipelines.testing.scripted_worker import scripted
from pipelines.testing.toy import Toy
from pipelines.workers.replies import REPLIES, InvalidReply, Refused, json_schema, read_reply
from tests.tiers import slow_except

WORKS = {"two replies"}
"""Faults that come to light only at the request after the one that they answer; that fails the cell as well."""


def identifier(fault: str) -> str:
    return f"fault_{FAULTS.index(fault):03}"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """One run in which every fault has a framework of its own, beside one that is honest."""
    toy = Toy(tmp_path_factory.mktemp("misbehaving"))
    names = [identifier(fault) for fault in FAULTS]
    for fault, name in zip(FAULTS, names, strict=True):
        toy.framework(
            name, f"command = ({sys.executable!r}, '-m', 'pipelines.testing.misbehaving_worker', '--fault', {fault!r})"
        )
        toy.model(name)
    listed = ", ".join(["first", *names])
    config = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", config.replace("[first, second, third]", f"[{listed}]"))
    with pytest.MonkeyPatch.context() as patch:
        # They import NumPy alone; with the estimate for JAX, a hundred of them would not fit this machine.
        patch.setattr("pipelines.workers.memory.WORKER_BYTES", 32 * 2**20)
        status = toy.run("stages=[run]", "limits.block_seconds=3")
    records = {one["identity"]["framework"]: one for one in Store(toy.root / "results").records("toy", "total")}
    return status, records, toy


def test_the_honest_worker_among_them_is_measured(outcome):
    status, records, _ = outcome
    assert status == 1 and records["first"]["status"] == "ok"
    assert len(records) == len(FAULTS) + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_the_failure_of_its_cell_with_a_reason(outcome, fault):
    record = outcome[1][identifier(fault)]
    expected = {"silence": "timeout"}.get(fault, "failed")
    assert record["status"] == expected, record["reason"]
    assert 20 < len(record["reason"]) < 1000 and "Traceback" not in record["reason"]
    assert "while it was measured" not in record["reason"], "a fault that the protocol knows has a sentence of its own"


def test_a_file_that_is_not_the_workers_to_name_is_neither_read_nor_removed(outcome):
    assert "is not in the folder that it was given" in outcome[1][identifier("file elsewhere")]["reason"]


def test_reasons_name_what_was_wrong(outcome):
    reasons = {fault: outcome[1][identifier(fault)]["reason"] for fault in FAULTS}
    assert "`seconds`: input should be greater than 0, got -1.0" in reasons["seconds negative"]
    assert "`pid`: field required" in reasons["hello without pid"]
    assert "killed by signal 3" in reasons["killed by a real-time signal"]
    assert "more than 8 MiB" in reasons["endless line"] and "more than 8 MiB" in reasons["line of 9 MB"]
    assert "longer than its limit of 3 s" in reasons["silence"]
    assert "closed its output" in reasons["closed output"]
    assert "but it took" in reasons["seconds longer than the wait"]


def test_there_are_at_least_a_hundred_faults():
    assert len(set(FAULTS)) == len(FAULTS) == sum(map(len, (REPLY_FAULTS, RAW_FAULTS, FILE_FAULTS, DEATHS))) >= 95


DIGESTS = {
    "x": {"shape": [3], "dtype": "float32", "values": 3, "nan": 0, "infinite": 1, "checksum": -0.5, "magnitude": 1.5}
}  # fmt: skip
HONEST = {
    "hello": {
        "protocol": 2, "repeatable": True, "framework": "first", "pid": 7, "import_s": 0.5, "device_name": "",
        "versions": {"numpy": "2"},
        "unavailable": None,
    },
    "prepare": {"phases": {"trace": 0.1}, "cost": {"flops": 3.0, "temporary_bytes": None}, "notes": {"a": [1, None]},
                "seconds": 0.1},
    "renew": {"seconds": 0.1},
    "gate": {"first_call_s": 0.1, "outputs": DIGESTS, "peak_host_bytes": 5, "peak_device_bytes": None},
    "outputs": {"arrays": {"x": "/x/x.npy"}},
    "time": {
        "seconds": 0.25, "late_s": 0.0, "kept": DIGESTS, "last": DIGESTS, "peak_host_bytes": None,
        "peak_device_bytes": 3,
    },
    "forget": {},
    "quit": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", REPLIES)
def test_an_honest_reply_is_read_as_it_is(kind):
    line = json.dumps({"id": 3, "ok": True, "more": [1], **HONEST[kind]}).encode()
    assert read_reply(line, 3, kind) == HONEST[kind]


def test_a_refusal_keeps_its_status_reason_and_traceback():
    fields = {"status": "oom", "reason": "no memory", "traceback": "where"}
    with pytest.raises(Refused) as refused:
        read_reply(json.dumps({"id": 3, "ok": False, **fields}).encode(), 3, "time")
    assert refused.value.refusal.model_dump() == fields


def test_the_schema_is_there_for_authors_in_other_languages():
    schema = json_schema()
    assert schema.keys() == {*REPLIES, "refusal"}
    assert schema["time"]["properties"]["seconds"]["exclusiveMinimum"] == 0


JUNK = (
    None, True, False, -1, 0, 1, 1.5, -0.0, 1e300, 10**30, float("inf"), float("nan"), "", "x", "1", "\x1b[31m", "\0",
    "y" * 5000, [], [1], [[]], {}, {"a": 1}, {"": None}, [None], {"shape": [1], "dtype": "float32"},
)  # fmt: skip


def mangled(line: bytes, generator: random.Random) -> bytes:
    """A random thing that a broken worker could write for a line."""
    message = json.loads(line)
    for _ in range(generator.choice([0, 1, 1, 2])):
        place = message
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = generator.choice(keys)
            if isinstance(place[key], dict | list) and generator.random() < 0.6:
                place = place[key]
                continue
            if generator.random() < 0.25:
                del place[key]
            else:
                place[key] = generator.choice(JUNK)
            break
    text = bytearray(json.dumps(message).encode())
    if generator.random() < 0.3:
        for _ in range(generator.randint(1, 4)):
            text[generator.randrange(len(text))] = generator.randrange(256)
    if generator.random() < 0.1:
        del text[generator.randrange(len(text)) :]
    return bytes(text)


def numbers(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float | int):
        yield value


@pytest.mark.parametrize("seed", slow_except([0], range(4)))
def test_a_thousand_random_replies_are_refused_or_keep_to_the_schema(seed):
    """250 for each seed; a reply that passes has the right types, and no number that a clock or a meter cannot give."""
    generator = random.Random(seed)
    passed = refused = 0
    for _ in range(250):
        kind = generator.choice(["hello", "prepare", "gate", "outputs", "time"])
        line = mangled(json.dumps({"id": 3, "ok": True, **HONEST[kind]}).encode(), generator)
        try:
            reply = read_reply(line, 3, kind)
        except InvalidReply as error:
            assert kind in str(error) and len(str(error)) < 3000
            refused += 1
            continue
        except Refused:
            refused += 1
            continue
        passed += 1
        assert reply.keys() == HONEST[kind].keys()
        assert all(math.isfinite(number) for number in numbers(reply))
        if kind == "time":
            assert type(reply["seconds"]) is float and 0 < reply["seconds"] <= 1e7
    assert refused > 100 and passed > 10


def test_random_replies_to_a_whole_run_invent_and_lose_nothing(tmp_path, capsys, monkeypatch):
    """A thousand, in cells of one system without a process, beside records of an honest one."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no disk is to fail here
    toy = Toy(tmp_path)
    config = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", config.replace("baseline: first", "baseline: first\n    replicates: 5"))
    honest = {name: lambda operation, line: line for name in ("first",)}
    words = ("stages=[run]", "timing.calls=1", "timing.warmup_blocks=0")
    with scripted(honest):
        toy.run("frameworks=[first]", *words)
    good = {path: path.read_bytes() for path in toy.records()}
    assert len(good) == 5
    toy.write("configs/study/toy.yaml", config.replace("baseline: first", "baseline: first\n    replicates: 1000"))
    generator, changed = random.Random(7), []

    def misbehave(operation, line):
        if operation == "hello" or generator.random() < 0.5:  # a system that cannot start fails all cells at once
            return line
        broken = mangled(line, generator).replace(b"\n", b" ")
        changed.append(broken != line)
        return broken

    capsys.readouterr()
    with scripted({"second": misbehave}):
        assert toy.run("frameworks=[second]", *words) == 1
    shown = capsys.readouterr()
    assert sum(changed) >= 1000, sum(changed)
    assert "Traceback" not in shown.out + shown.err
    assert {path: path.read_bytes() for path in good} == good
    store = Store(toy.root / "results")
    found = [one for one in store.records("toy", "total") if one["identity"]["framework"] == "second"]
    assert len(found) == 1000
    for record in found:
        assert record["status"] in ("ok", "failed", "invalid", "timeout", "oom", "skipped")
        assert record["status"] == "ok" or "while it was measured" not in record["reason"], record["traceback"]
        _, arrays = store.load("toy", "total", record["key"])
        if "samples_s" in arrays:
            assert record["status"] == "ok" and arrays["output/total"] == 3
            assert all(0 < seconds < 10 for seconds in arrays["samples_s"].tolist())
