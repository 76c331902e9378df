"""requirements.txt: exact versions, each once per Python, inside the ranges of pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.install.hashes import known_hashes
from pipelines.install.lock import header, unlocked

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line
    for line in map(str.strip, (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    if line and not line.startswith("#")
]
PYTHONS = ["3.11", "3.12", "3.13"]
# Extras that ./run does not install: they are for other machines.
NOT_INSTALLED = {"cuda12", "cuda13", "sweep"}


def pins(python: str) -> dict[str, str]:
    """Package -> version that applies to a Python."""
    found: dict[str, str] = {}
    for requirement in map(Requirement, LINES):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            (specifier,) = requirement.specifier
            found[name] = specifier.version
    return found


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_one_exact_version(line):
    requirement = Requirement(line)
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    assert "*" not in specifier.version
    # Extras can't stand in the constraints that ./run derives from these lines.
    assert requirement.url is None
    assert requirement.extras == set()


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_lie_in_the_ranges_of_the_project(python):
    pinned = pins(python)
    extras = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in NOT_INSTALLED}
    ranges = [*PROJECT["dependencies"], *(line for name, lines in extras.items() if name != "all" for line in lines)]
    assert len(ranges) > 20
    for requirement in map(Requirement, ranges):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


def test_gpu_plugins_are_of_the_pinned_jax():
    text = (ROOT / "requirements-optional.txt").read_text(encoding="utf-8")
    requirements = [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    plugins = [one for one in requirements if one.name.startswith("jax-")]
    assert {requirement.name for requirement in plugins} == {"jax-cuda12-plugin", "jax-cuda12-pjrt"}
    for python in PYTHONS:
        found = [one for one in plugins if one.marker and one.marker.evaluate({"python_version": python})]
        assert [str(one.specifier) for one in found] == [f"=={pins(python)['jax']}"] * 2


def test_launchers_lie_in_the_ranges_of_the_project():
    text = (ROOT / "requirements-optional.txt").read_text(encoding="utf-8")
    pinned = {one.name: one for one in map(Requirement, (line for line in text.splitlines() if "==" in line))}
    for wanted in map(Requirement, PROJECT["optional-dependencies"]["sweep"]):
        if wanted.name == "hydra-ray-launcher":  # its Ray forces an old cloudpickle on everyone
            continue
        (specifier,) = pinned[wanted.name].specifier
        assert wanted.specifier.contains(specifier.version)


def test_jax_follows_the_python():
    assert [pins(python)["jax"] for python in PYTHONS] == ["0.10.2", "0.12.0.1", "0.12.0.1"]
    assert all(pins(python)["jax"] == pins(python)["jaxlib"] for python in PYTHONS)


def test_every_line_has_hashes():
    """`python -m pipelines.install.lock` writes those of new lines."""
    known = known_hashes()
    assert list(known) == [line for line in LINES if line.split("=")[0] not in unlocked()]
    assert unlocked() == {"torch"} and len(header()) == 3
    for line, hashes in known.items():
        assert hashes and len(set(hashes)) == len(hashes), line
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes), line
