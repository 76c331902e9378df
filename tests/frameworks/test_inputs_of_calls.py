"""Contract of the inputs of a block: a key of its own for each call, all else shared, and nothing compiled for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frameworks.base import Program
from frameworks.jax_base import JaxFramework

PROGRAM = Program(
    lambda seed: {"key": jax.random.key(seed), "lanes": jax.random.split(jax.random.key(seed), 3), "xs": XS},
    lambda inputs: inputs,
)
XS = jnp.arange(4.0)


class Plain(JaxFramework):
    """A system on JAX with nothing of its own."""

    name, label, colour = "plain", "Plain", "#000000"


def calls_of(n, seed=3):
    return Plain().inputs_of_calls(PROGRAM, seed, n)


def words(key):
    return np.asarray(jax.random.key_data(key)).tolist()


@pytest.fixture
def compiled():
    """The programs that XLA has compiled since."""
    events = []

    def note(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield events
    jax.monitoring.unregister_event_duration_listener(note)


def test_every_call_has_keys_of_its_own_and_shares_the_arrays():
    found = calls_of(40)
    assert len(found) == 40
    assert len({str(words(one["key"])) for one in found}) == 40
    assert len({str(row) for one in found for row in words(one["lanes"])}) == 120
    assert all(one["lanes"].shape == (3,) and one["xs"] is XS for one in found)
    assert words(found[0]["key"]) == words(jax.random.key(3))


def test_fewer_calls_get_the_inputs_that_they_get_among_more():
    few, many = calls_of(7), calls_of(30)
    assert [words(one["lanes"]) for one in few] == [words(one["lanes"]) for one in many[:7]]
    assert words(few[1]["key"]) != words(calls_of(7, seed=4)[1]["key"])


def test_a_new_number_of_calls_compiles_nothing(compiled):
    calls_of(2)
    compiled.clear()
    calls_of(5), calls_of(333)
    assert compiled == []
    jax.jit(lambda x: x * 3 + 1)(jnp.float32(2))
    assert compiled, "the listener hears nothing, so the line above could not fail"
