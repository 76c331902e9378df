"""What signatures say about shapes is checked in the tests, and costs users nothing."""

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from genjax.inference.bijectors import StickBreaking
from genjax.inference.resampling import log_mean_weight

ROOT = Path(__file__).resolve().parents[2]


def test_an_argument_of_another_rank_is_found():
    with pytest.raises(TypeCheckError, match="log_mean_weight"):
        log_mean_weight(jnp.zeros(()))


def test_an_argument_of_another_dtype_is_found():
    with pytest.raises(TypeCheckError, match="log_mean_weight"):
        log_mean_weight(jnp.zeros(3, int))


def test_a_result_that_does_not_fit_the_argument_is_found(monkeypatch):
    monkeypatch.setattr("genjax.inference.bijectors._log_pieces_left", lambda n, dtype: jnp.zeros((2, n), dtype))
    with pytest.raises(TypeCheckError, match="return value"):
        StickBreaking().forward(jnp.zeros(3))


def test_users_need_no_checker():
    code = """
import sys
import genjax.inference, jax.numpy as jnp
assert not {"jaxtyping", "beartype", "typeguard"} & set(sys.modules)
print(genjax.inference.resampling.relative_weights(jnp.zeros(3, int)).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "(3,)\n"), done.stderr
