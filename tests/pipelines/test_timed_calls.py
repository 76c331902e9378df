"""Programs that cheat the clock, each through a real worker in a real race, and caught by name.

Every one of them gives the right answer at the gate. The honest program draws numbers and sums a matrix product, so
that there is work to save.
"""

import time

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.plan.plan import Problems, make_plan
from pipelines.race import timed_calls
from pipelines.race.timed_calls import TimedCalls
from pipelines.race.timing import ContestantFailure
from pipelines.results.rows import read_rows
from pipelines.results.store import Store
from pipelines.testing.toy import FAST
from pipelines.workers.digest import MAX_VALUES, digest

PROBLEM = """
import numpy as np
from studies.base import Problem, Verdict

def make_problem(parameters):
    return Problem({"values": np.zeros(3, np.float32)}, {})

def check(task, problem, parameters, outputs):
    draws = outputs["draws"]
    error = abs(draws.mean()) / (draws.std() / len(draws) ** 0.5)
    return Verdict(None if error < 6 else f"the mean is off by {error:.1f} standard errors", {"error": error})
"""

MODEL = """
import time
import numpy as np
from frameworks.base import Program

def work(seed):
    time.sleep(0.0005)
    return {{"draws": np.random.default_rng(seed).standard_normal(2000, np.float32)}}

def total(framework, data, parameters):
    state = {{"calls": 0}}
{body}
    return Program(prepare, run)
"""

HONEST = """
    def prepare(seed):
        return seed
    def run(inputs):
        return work(inputs)
"""

CHEATS = {
    "work moved into prepare": (
        """
    def prepare(seed):
        return work(seed)
    def run(inputs):
        return inputs
""",
        "ok",
        "preparing the inputs of a call took",
    ),
    "results remembered per input": (
        """
    def prepare(seed):
        return seed
    def run(inputs):
        if inputs not in state:
            state[inputs] = work(inputs)
        return state[inputs]
""",
        "ok",
        "results are remembered",
    ),
    "the first outputs for ever": (
        """
    def prepare(seed):
        return seed
    def run(inputs):
        if "first" not in state:
            state["first"] = work(inputs)
        return state["first"]
""",
        "invalid",
        "returned the outputs of an earlier call",
    ),
    "the first outputs of a block for ever": (
        """
    def prepare(seed):
        state.pop("first", None)
        return seed
    def run(inputs):
        if "first" not in state:
            state["first"] = work(inputs)
        return state["first"]
""",
        "invalid",
        "returned the outputs of an earlier call",
    ),
    "outputs of the call before": (
        """
    def prepare(seed):
        return seed
    def run(inputs):
        before, state["now"] = state.get("now"), work(inputs)
        return before or work(inputs)
""",
        "invalid",
        "timed call",  # outputs that its inputs do not give, or those of the last call of the block before
    ),
    "NaN from the third call on": (
        """
    def prepare(seed):
        return seed
    def run(inputs):
        state["calls"] += 1
        return work(inputs) if state["calls"] < 3 else {"draws": np.full(2000, np.nan, np.float32)}
""",
        "invalid",
        "NaN among 2000 values of draws",
    ),
    "draws of no use from the tenth call on": (
        """
    def prepare(seed):
        return seed
    def run(inputs):
        state["calls"] += 1
        late = {"draws": 1 + np.random.default_rng(inputs).random(2000, np.float32)}
        return work(inputs) if state["calls"] < 10 else late
""",
        "invalid",
        "a timed call in process 1: the mean is off by",
    ),
    "the seed ignored": (
        """
    generator = np.random.default_rng()
    def prepare(seed):
        return None
    def run(inputs):
        time.sleep(0.0005)
        return {"draws": generator.standard_normal(2000, np.float32)}
""",
        "invalid",
        "that its inputs do not give",
    ),
    "work after the clock": (
        """
    import threading
    def spin():
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            pass
    def prepare(seed):
        return seed
    def run(inputs):
        if time.perf_counter() - state.get("started", 0) > 0.04:
            state["started"] = time.perf_counter()
            threading.Timer(0.01, spin).start()
        return work(inputs)
""",
        "ok",
        "it went on computing after its blocks",
    ),
}

NO_WAITING = """
def synchronize(self, values):
    pass

def to_numpy(self, outputs):
    if "later" in outputs:
        outputs["later"].join()
    return {"draws": outputs["draws"]}
"""
IN_A_THREAD = """
    import threading
    def prepare(seed):
        return seed
    def run(inputs):
        time.sleep(0.0002)
        outputs = {"draws": np.random.default_rng(inputs).standard_normal(2000, np.float32)}
        return {**outputs, "later": later()}
    def later():
        thread = threading.Thread(target=time.sleep, args=(0.0 if state["calls"] == 0 else 0.1,))
        state["calls"] += 1
        thread.start()
        return thread
"""


@pytest.fixture
def honest(toy):
    toy.write("studies/toy/problem.py", PROBLEM)
    for name in ("first", "second", "third"):
        toy.write(f"studies/toy/models/{name}.py", MODEL.format(body=HONEST))
    return toy


def rows_of(toy, *words):
    words = ["stages=[run]", *words]
    toy.run(*words)
    (configuration,) = configure([*FAST, *words], toy.tree)
    store = Store(toy.root / "results")
    rows = read_rows(make_plan(configuration, store, Problems(toy.tree)), store)
    return {row.framework: row for _, row in rows}


def seen_outside(row):
    """The flags about what a program did outside its blocks; others depend on what else the machine does."""
    marks = ("preparing the inputs", "remembered", "after its blocks")
    return [flag for flag in row.flags if any(mark in flag for mark in marks)]


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheat_is_caught_by_name(honest, cheat):
    body, status, reason = CHEATS[cheat]
    honest.write("studies/toy/models/second.py", MODEL.format(body=body))
    rows = rows_of(honest, "timing.calls=8")
    assert rows["second"].status == status
    assert reason in (" ".join(seen_outside(rows["second"])) if status == "ok" else rows["second"].reason)
    for name in ("first", "third"):
        assert rows[name].status == "ok" and seen_outside(rows[name]) == []
        assert rows[name].record["timing"]["timed_calls"]["judged"] == 1


def test_synchronisation_that_waits_for_nothing_is_invalid(honest):
    honest.framework("second", NO_WAITING)
    honest.write("studies/toy/models/second.py", MODEL.format(body=IN_A_THREAD))
    rows = rows_of(honest, "timing.calls=2")
    assert rows["second"].status == "invalid" and "its synchronisation does not wait" in rows["second"].reason


def test_a_gate_that_fails_once_in_a_while_gets_a_second_timed_call(honest):
    # The first look at a timed call fails, all others pass: chance, not a wrong program.
    text = PROBLEM.replace(
        "    draws = outputs", "    global LOOKS\n    LOOKS += 1\n    draws = outputs"
    ).replace("if error < 6", "if LOOKS != 2").replace("def make", "LOOKS = 0\n\ndef make")  # fmt: skip
    honest.write("studies/toy/problem.py", text)
    row = rows_of(honest, "frameworks=[first]")["first"]
    assert row.status == "ok" and row.record["timing"]["timed_calls"]["judged"] == 1


def test_digest_moves_with_any_value_and_with_the_order():
    array = np.random.default_rng(3).standard_normal((40, 5))
    (first,) = digest({"x": array}).values()
    assert (first["shape"], first["dtype"], first["values"]) == ([40, 5], "float64", 200)
    assert first == digest({"x": array.copy()})["x"]
    assert abs(first["checksum"]) <= first["magnitude"]
    changed = array.copy()
    changed[7, 3] += 1e-6
    for other in (changed, array[::-1], array.T):
        assert digest({"x": other})["x"]["checksum"] != first["checksum"]


def test_digest_counts_what_is_not_finite_and_samples_large_arrays():
    (found,) = digest({"x": np.array([1.0, np.nan, np.inf, -np.inf])}).values()
    assert (found["nan"], found["infinite"]) == (1, 2) and np.isfinite(found["checksum"])
    assert digest({"x": np.zeros(0, np.int32)})["x"]["values"] == 0
    assert digest({"x": np.array(True)})["x"]["values"] == 1
    large = digest({"x": np.ones(3 * MAX_VALUES + 1, np.float32)})["x"]
    assert MAX_VALUES // 2 < large["values"] <= MAX_VALUES


def reply(array, **others):
    found = digest({"x": array})
    return {"seconds": 1.0, "late_s": 0.0, "kept": found, "last": digest({"x": array + 1}), **others}


def test_shapes_and_types_must_be_those_of_the_gate():
    calls = TimedCalls(digest({"x": np.zeros(3)}))
    with pytest.raises(ContestantFailure, match=r"timed call 2 of 4 returned x of shape \[4\], the call at the gate"):
        calls.look(reply(np.ones(4)), 4, 1, 0.0)
    with pytest.raises(ContestantFailure, match="of dtype float32"):
        calls.look(reply(np.ones(3, np.float32)), 4, 1, 0.0)
    with pytest.raises(ContestantFailure, match="returned y, the call at the gate x"):
        calls.look({**reply(np.ones(3)), "kept": digest({"y": np.ones(3)})}, 4, 1, 0.0)


def test_infinities_may_come_and_go_but_not_everywhere():
    calls = TimedCalls(digest({"x": np.array([0.0, 1.0])}))
    calls.look(reply(np.array([-np.inf, 2.0])), 1, 0, 0.0)
    with pytest.raises(ContestantFailure, match="no finite value of x"):
        calls.look(reply(np.array([-np.inf, np.inf])), 1, 0, 0.0)


def test_a_repeat_may_differ_by_rounding_only():
    calls = TimedCalls(digest({"x": np.ones(10)}))
    timed = digest({"x": np.arange(10.0)})
    calls.repeated(timed, digest({"x": np.arange(10.0) * (1 + 1e-7)}), 1.0)
    with pytest.raises(ContestantFailure, match="the same inputs again gave another"):
        calls.repeated(timed, digest({"x": np.arange(10.0) * (1 + 1e-4)}), 1.0)


def test_preparation_is_compared_with_that_of_the_others():
    def facts(prepare_s, call_s):
        return {"prepare_s": prepare_s, "call_s": call_s}

    def flagged(*seen):
        return [bool(timed_calls.flags(one, 0.02)) for one in timed_calls.with_peers(list(seen), 0)]

    assert flagged(facts(7e-6, 20e-6), facts(30e-6, 1e-6), facts(9e-6, 25e-6)) == [False, True, False]
    assert flagged(facts(7e-6, 20e-6), facts(20e-6, 90e-6), facts(9e-6, 25e-6)) == [False, False, False]
    assert flagged(facts(3e-4, 2.0), facts(1.9, 0.1)) == [False, True]
    assert flagged(facts(0.5, 1e-6)) == [False], "nobody to compare with"


def test_threads_that_wait_are_a_flag_only_where_others_used_the_cores():
    def flagged(**facts):
        return timed_calls.flags({"prepare_s": None, "call_s": None, **facts}, 0.02)

    assert flagged(waited_fraction=0.5, contention=0.3) == [
        "its threads waited for a core that others had during 50% of its blocks"
    ]
    assert flagged(waited_fraction=0.5, contention=0.001) == []
    assert flagged(waited_fraction=0.5, contention=None), "a system that cannot tell"
    assert flagged(waited_fraction=0.01, contention=0.3) == []


def test_a_digest_leaves_no_thread_behind_that_works_on():
    # A product by BLAS of as many values wakes threads, which spin for tens of milliseconds after it.
    values = np.random.default_rng(0).standard_normal(MAX_VALUES)
    digest({"values": values})
    begin = time.process_time()
    time.sleep(0.02)
    assert time.process_time() - begin < 0.005, "at most 0.1 ms by the bookkeeping of the process itself"
