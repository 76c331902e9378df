"""The worker on its own: what it imports, and the protocol as another language would have to speak it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pipelines.plan.tree import REPOSITORY
from pipelines.workers import protocol

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def test_worker_loads_nothing_heavy():
    program = (
        "import sys; import pipelines.workers.worker; "
        "heavy = 'hydra omegaconf pandas matplotlib scipy rich jax'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_loads_no_framework_and_no_matplotlib(toy):
    program = (
        "import sys; from pathlib import Path; from pipelines.cli import main; from pipelines.plan.tree import Tree; "
        "main(['stages=[plan]'], tree=Tree(Path(sys.argv[1]))); "
        "print([n for n in ('jax', 'matplotlib', 'frameworks.first', 'pandas') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(toy.root)], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert done.stderr.strip() == "[]"


@pytest.fixture
def talk(toy):
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "pipelines.workers.worker",
        "--framework",
        "first",
        "--root",
        str(toy.root),
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT) as process:

        def ask(**request):
            process.stdin.write(json.dumps({"id": 1, **request}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        ask.process = process
        yield ask
        process.kill()


def test_conversation(toy, talk, tmp_path):
    hello = talk(op="hello", protocol=2, device="cpu", dtype="float32")
    assert hello["ok"] and hello["framework"] == "first" and hello["pid"] == talk.process.pid
    assert hello["unavailable"] is None and hello["versions"] == {"numpy": np.__version__}
    assert hello["protocol"] == 2 and hello["repeatable"]
    path = tmp_path / "values.npy"
    np.save(path, np.array([1.0, 2.0], np.float32))
    program = {"handle": "a", "study": "toy", "task": "total", "parameters": {}, "data": {"values": str(path)}}
    model = str(toy.root / "studies/toy/models/first.py")
    assert talk(op="prepare", seed=1, model=model, **program)["notes"] == {"calls": "one sum"}
    gate = talk(op="gate", handle="a")
    facts = {"shape": [], "dtype": "float32", "values": 1, "nan": 0, "infinite": 0}
    assert gate["outputs"]["total"].items() >= facts.items() and gate["first_call_s"] >= 0
    arrays = talk(op="outputs", handle="a", folder=str(tmp_path))["arrays"]
    assert np.load(arrays["total"]) == 3.0
    assert talk(op="prepare", handle="a", seed=2, calls=3)["seconds"] >= 0
    timed = talk(op="time", handle="a", calls=3, keep=1)
    assert timed["seconds"] >= 0 and timed["late_s"] >= 0
    assert timed["kept"] == timed["last"] == gate["outputs"]
    again = talk(op="time", handle="a", calls=3, keep=1)
    assert "3 calls were asked for and 0 are prepared" in again["reason"], "inputs serve one call"
    assert talk(op="gate", handle="a", seed=2, call=1)["outputs"] == timed["kept"]
    assert talk(op="forget", handle="a")["ok"]
    refused = talk(op="time", handle="a", calls=3, keep=0)
    assert refused["status"] == "failed" and "KeyError" in refused["reason"] and "Traceback" in refused["traceback"]
    skipped = talk(op="prepare", seed=1, model=model, **{**program, "task": "other"})
    assert (skipped["status"], skipped["reason"]) == ("skipped", "no model of toy/other for first")
    assert talk(op="quit")["ok"] and talk.process.wait(30) == 0


def test_worker_ends_with_its_standard_input(talk):
    talk(op="hello", protocol=2, device="cpu", dtype="float32")
    talk.process.stdin.close()
    assert talk.process.wait(30) == 0


def test_messages_are_strict_json():
    assert protocol.encode({"a": float("nan"), "b": [float("inf"), 1.5]}) == '{"a":null,"b":[null,1.5]}'
    with pytest.raises(ValueError, match="not an object"):
        protocol.decode("[1]")
