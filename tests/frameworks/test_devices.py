"""Devices: nothing falls back, workers share a card, and memory that is not there is a status."""

import importlib.metadata

import pytest

from pipelines.config.configuration import configure
from pipelines.plan.tree import Tree, load_framework
from pipelines.workers import worker

TREE = Tree()


def test_workers_on_cuda_leave_the_card_to_each_other():
    for configuration in configure(["size=smoke", "device=cuda"], TREE):
        assert configuration.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
        assert configuration.environment["JAX_PLATFORMS"].split(",")[0] == "cuda"


@pytest.mark.parametrize("name", sorted(TREE.frameworks()))
def test_a_system_refuses_a_card_that_is_not_there(name):
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this machine has a CUDA device")
    if TREE.describe(name).command:
        pytest.skip(f"{name} runs in its own process")
    for distribution in TREE.describe(name).distributions:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{distribution} is not installed")
    framework = load_framework(TREE.root, name)
    assert framework.unavailable("cuda")
    if "jax" in TREE.describe(name).distributions:
        with pytest.raises(RuntimeError, match="gpu|cuda"):
            framework.start("cuda", "float32")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 85899345920 bytes."),  # XLA
        RuntimeError("CUDA out of memory. Tried to allocate 80.00 GiB."),  # PyTorch
    ],
)
def test_running_out_of_memory_is_a_status(error):
    def operation(request):
        raise error

    reply = worker._answer(operation, {})
    assert (reply["ok"], reply["status"]) == (False, "oom")


def test_another_error_is_no_lack_of_memory():
    def operation(request):
        raise RuntimeError("INTERNAL: no kernel image is available")

    assert worker._answer(operation, {})["status"] == "failed"
