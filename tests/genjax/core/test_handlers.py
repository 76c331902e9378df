"""The stack of handlers: emptied by exceptions, one per thread."""

import threading

import jax
import pytest

from genjax import gen, normal
from genjax.core.handlers import current_handler


def test_handlers_do_not_outlive_exceptions():
    @gen
    def broken():
        normal(0.0, 1.0) @ "x"
        raise RuntimeError("from the body")

    for method in (broken.simulate, lambda: broken.assess({"x": 0.0}), lambda: broken.generate({"x": 0.0})):
        with pytest.raises(RuntimeError, match="from the body"):
            method()
        assert current_handler() is None
        assert isinstance(normal(0.0, 1.0), jax.Array)


def test_models_run_in_threads():
    failures, barrier = [], threading.Barrier(2)

    @gen
    def slow(name):
        normal(0.0, 1.0) @ f"{name}1"
        barrier.wait(timeout=30)
        normal(0.0, 1.0) @ f"{name}2"

    def work(name):
        choices = slow.simulate(name).get_choices()
        if set(choices) != {f"{name}1", f"{name}2"}:
            failures.append(choices)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
