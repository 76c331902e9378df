"""Keys: equal for equal inputs, different for anything that decides a measurement, and able to say what changed."""

import numpy as np
import pytest

from pipelines.plan.fingerprint import changed, data_digest, key, source_digest


def test_key_does_not_depend_on_order():
    assert key({"a": "1", "b": "2"}) == key({"b": "2", "a": "1"})
    assert key({"a": "1", "b": "2"}) != key({"a": "2", "b": "1"})


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.array([1.0, 2.0])},
        {"x": np.array([1.0, 2.0], np.float32).reshape(1, 2)},
        {"y": np.array([1.0, 2.0], np.float32)},
        {"x": np.array([1.0, 2.5], np.float32)},
        {},
    ],
)
def test_data_differ_by_name_type_shape_and_value(other):
    data = {"x": np.array([1.0, 2.0], np.float32)}
    assert data_digest(data) == data_digest({"x": np.array([1.0, 2.0], np.float32)})
    assert data_digest(data) != data_digest(other)


def test_source_counts_by_meaning(tmp_path):
    def digest(name, text):
        path = tmp_path / name
        path.write_text(text)
        return source_digest(path)

    plain = digest("a.py", "def f(x):\n    return x + 1\n")
    assert digest("b.py", '"""Text."""\n\ndef f( x ):\n    "doc"\n    # why\n    return x+1') == plain
    assert digest("c.py", "def f(x):\n    return x + 2\n") != plain
    assert digest("d.jl", "# one") != digest("e.jl", "# two"), "only Python is read by meaning"
    assert digest("f.py", "def (") != digest("g.py", "def ("[:-1]), "broken sources still count"


def test_changes_are_named_with_readable_values_and_grouped_files():
    old = {"version of jax": "0.10.2", "device": "cpu", "parameters": "a" * 64}
    assert changed(old, {**old, "version of jax": "0.12"}) == ["version of jax 0.10.2 -> 0.12"]
    assert changed(old, {**old, "parameters": "b" * 64}) == ["parameters"]
    assert changed(old, old) == []
    files = {f"genjax/{name}.py": name * 64 for name in "abcde"}
    models = {"studies/toy/models/first.py": "c" * 64}
    assert changed({}, {**files, **models}) == ["studies/toy/models/first.py", "genjax/ (5 files)"]
