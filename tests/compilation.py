"""Compiling as the tests need it: they compile thousands of small programs and run each of them once.

The thorough tier compiles as users do. All others take XLA's older code generator, which compiles in half the time, in
one piece: XLA cuts a program for up to 32 threads, and a worker of the suite has one core. They also keep compiled
programs in a folder of this process: caches in memory are cleared after each module, since XLA's CPU compiler can crash
after some hundreds of programs, and the next module needs the same small programs again.
"""

import contextlib
import os
import shutil
import tempfile

import pytest

from tests.tiers import tier

OLDER_GENERATOR = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
QUICKEST = f"{OLDER_GENERATOR} --xla_backend_optimization_level=0"


def compiles_quickly(config):
    # The controller of several workers imports and runs no test.
    is_controller = not hasattr(config, "workerinput") and getattr(config.option, "numprocesses", None)
    return tier(config) != "thorough" and not is_controller


def pytest_configure(config):
    if compiles_quickly(config):
        config.add_cleanup(compile_quickly())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What modules compute when they are imported is small."""
    with optimisation_disabled(True) if compiles_quickly(session.config) else contextlib.nullcontext():
        return (yield)


def quick_variables(config, flags=QUICKEST):
    """Environment variables for a program that a test starts, where what is tested does not depend on its compiling."""
    return {} if tier(config) == "thorough" else {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}


@contextlib.contextmanager
def variable(name, value):
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def compile_quickly():
    """Set JAX up for this process, before it has compiled anything. Returns what removes the folder."""
    import jax

    # XLA reads its flags once, with the first device. Programs that tests start are to have those of their user.
    with variable("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {OLDER_GENERATOR}".strip()):
        jax.devices()
    folder = tempfile.mkdtemp(prefix="compiled-programs-")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return lambda: shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def optimisation_disabled(disabled):
    """Most of XLA's and LLVM's optimisations left out of what this process compiles meanwhile."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", disabled)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def unoptimised(pytestconfig):
    """Quick compilation for modules whose programs compile for longer than they run, except in the thorough tier."""
    with optimisation_disabled(tier(pytestconfig) != "thorough"):
        yield


@pytest.fixture
def optimised():
    """For tests that read the cost or the memory of a compiled program: it is to be the one that users run."""
    with optimisation_disabled(False):
        yield


@pytest.fixture
def quick_programs(monkeypatch, pytestconfig):
    """Quick compilation, except in the thorough tier, in programs that a test starts for what they compute."""
    for name, value in quick_variables(pytestconfig).items():
        monkeypatch.setenv(name, value)
