"""The release: the README's example decides, and a failed step is one message. Building itself needs a network."""

from pathlib import Path

import pytest

from pipelines.install import release

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def built(monkeypatch, tmp_path):
    monkeypatch.setattr(release, "build_wheel", lambda folder: tmp_path / "genjax.whl")


def test_the_example_is_that_of_the_readme():
    code, expected = release.example(README)
    assert "@gen" in code and expected == ["0.64"]
    with pytest.raises(ValueError, match="no Python example"):
        release.example("# Nothing\n")


def test_what_the_readme_says_is_accepted(built, monkeypatch, capsys):
    monkeypatch.setattr(release, "run_installed", lambda wheel, code: ["0.64"])
    assert release.main([]) == 0
    assert "as the README says" in capsys.readouterr().out


def test_another_answer_is_refused(built, monkeypatch, capsys):
    monkeypatch.setattr(release, "run_installed", lambda wheel, code: ["0.5"])
    assert release.main([]) == 1
    assert "printed ['0.5'], and the README says ['0.64']" in capsys.readouterr().err


def test_a_step_that_fails_ends_the_release_with_its_message(built, monkeypatch, capsys, tmp_path):
    missing = str(tmp_path / "no-such-wheel.whl")
    monkeypatch.setattr(
        release,
        "run_installed",
        lambda wheel, code: release.completed("installing the wheel", ["cat", missing], str(tmp_path)).splitlines(),
    )
    assert release.main([]) == 1
    assert "installing the wheel failed" in capsys.readouterr().err
