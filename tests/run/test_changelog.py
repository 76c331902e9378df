"""The changelog: fragments become one section, and nothing is lost when they cannot."""

import pytest

from pipelines.install import changelog

OLD = "# Changelog\n\n## 0.1.0\n\n- The first.\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / ".changes").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(OLD)
    return tmp_path


def test_fragments_become_a_section_and_are_gone(root, capsys):
    (root / ".changes" / "b.md").write_text("Second, on\ntwo lines.\n")
    (root / ".changes" / "a.md").write_text("First.\n")
    assert changelog.main(["0.2.0"], root) == 0
    expected = "# Changelog\n\n## 0.2.0\n\n- First.\n- Second, on\n  two lines.\n\n## 0.1.0\n\n- The first.\n"
    assert (root / "CHANGELOG.md").read_text() == expected
    assert list((root / ".changes").iterdir()) == []
    assert "2 fragments are now section 0.2.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "VERSION"),
        (["next"], 2, "got 'next'"),
        (["0.1.0"], 1, "has a section 0.1.0 already"),
    ],
)
def test_what_cannot_be_done_changes_nothing(root, words, status, message, capsys):
    (root / ".changes" / "a.md").write_text("First.\n")
    assert changelog.main(words, root) == status
    assert message in capsys.readouterr().err
    assert (root / "CHANGELOG.md").read_text() == OLD and (root / ".changes" / "a.md").exists()


def test_no_fragments_is_said(root, capsys):
    assert changelog.main(["0.2.0"], root) == 1
    assert "no fragment" in capsys.readouterr().err


def test_a_page_without_its_heading_is_an_error():
    with pytest.raises(ValueError, match="does not begin"):
        changelog.gathered("x", "0.2.0", ["y"])
