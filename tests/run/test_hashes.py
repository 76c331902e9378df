"""Files are installed only with hashes that requirements-hashes.txt has. Wheels are made by the tests; no network."""

import hashlib
import json

import pytest

from pipelines.install.hashes import entry, refusal
from tests.run.checkout import GROUPS, Checkout, make_wheel

WHEELS = {"alpha==1.0": "core", "beta==1.0": "test", "gamma==1.0": "torch", "delta==1.0": "pyro"}


def digest(checkout: Checkout, line: str) -> str:
    name, _, version = line.partition("==")
    wheel = checkout.root / "wheels" / f"{name}-{version}-py3-none-any.whl"
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def write_hashes(checkout: Checkout, **wrong: str) -> None:
    """The file of hashes; `wrong` gives another hash for a package."""
    lines = [entry(line, [wrong.get(line.partition("==")[0], digest(checkout, line))]) for line in WHEELS]
    (checkout.root / "requirements-hashes.txt").write_text("# hashes\n\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Checkout:
    """An environment whose files were all checked."""
    checkout = Checkout.make(tmp_path_factory.mktemp("hashes") / "checkout")
    write_hashes(checkout)
    result = checkout.run("hello")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["packages"] == dict.fromkeys(["alpha", "beta", "gamma", "delta"], "1.0")
    assert "files are not" not in result.stderr
    return checkout


@pytest.fixture
def checkout(installed, tmp_path) -> Checkout:
    return installed.copy(tmp_path / "checkout")


def damage(checkout: Checkout, name: str) -> None:
    """Makes ./run install a package again."""
    (checkout.packages / f"{name}.py").unlink()
    state = checkout.venv / "made-by-run.json"
    state.write_text(state.read_text().replace('"packages"', '"was"'))


def test_file_with_another_hash_is_refused_and_nothing_of_it_installed(checkout):
    damage(checkout, "gamma")
    wheel = checkout.root / "wheels" / "gamma-1.0-py3-none-any.whl"
    good = wheel.read_bytes()
    wheel.write_bytes(good + b"tampered")
    result = checkout.run("hello")
    assert (result.returncode, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("run: refused: the file that the index gave for gamma==1.0 is none of those of")
    assert digest(checkout, "gamma==1.0") in last and "RUN_UNHASHED=torch" in last and "://" not in last
    assert not (checkout.packages / "gamma.py").exists()
    wheel.write_bytes(good)
    assert json.loads(checkout.run("hello").stdout)["packages"]["gamma"] == "1.0"


def test_a_group_can_be_installed_without_looking_at_hashes(checkout):
    damage(checkout, "gamma")
    write_hashes(checkout, gamma="0" * 64)
    assert "refused" in checkout.run("hello").stderr
    result = checkout.run("hello", RUN_UNHASHED="torch")
    assert json.loads(result.stdout)["packages"]["gamma"] == "1.0"
    assert "torch: versions are checked, hashes of files are not (as asked for)" in result.stderr


def test_a_group_that_is_not_there_cannot_be_named(checkout):
    result = checkout.run("hello", RUN_UNHASHED="toch")
    assert result.returncode == 2
    assert "RUN_UNHASHED=toch: there is no group 'toch'" in result.stderr


def test_a_version_without_hashes_is_installed_with_a_line(checkout):
    checkout.write_requirements({**GROUPS, "core": ["alpha==2.0"]})
    result = checkout.run("hello")
    assert json.loads(result.stdout)["packages"]["alpha"] == "2.0"
    assert (
        "core: versions are checked, hashes of files are not (there are none in requirements-hashes.txt)"
        in result.stderr
    )


def test_what_a_checked_package_needs_besides_is_installed_by_its_own_pins(checkout):
    make_wheel(checkout.root / "wheels", "epsilon", "3.0")
    make_wheel(checkout.root / "wheels", "gamma", "4.0", needs="epsilon==3.0")
    checkout.write_requirements({**GROUPS, "torch": ["gamma==4.0"]})
    path = checkout.root / "requirements-hashes.txt"
    path.write_text(path.read_text() + entry("gamma==4.0", [digest(checkout, "gamma==4.0")]) + "\n")
    result = checkout.run("hello")
    assert json.loads(result.stdout)["packages"]["gamma"] == "4.0"
    assert (checkout.packages / "epsilon.py").exists()
    assert "torch needs besides, from files without known hashes: epsilon" in result.stderr


def test_a_checkout_without_the_file_says_so(checkout):
    (checkout.root / "requirements-hashes.txt").unlink()
    damage(checkout, "alpha")
    assert "requirements-hashes.txt is missing: versions are checked, files are not" in checkout.run("hello").stderr


def test_a_refusal_that_names_nothing_still_names_the_group():
    assert "gave for torch is none of those" in refusal("torch", "something else")
