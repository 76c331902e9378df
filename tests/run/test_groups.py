"""Groups of packages: those of requirements.txt, what needs what, and those that a framework's own file names."""

import pytest

from pipelines.install import requirements
from pipelines.install.fault import InstallationFault

FRAMEWORK = """
from frameworks.base import Framework

class Newcomer(Framework):
    name = "newcomer"
    requirements = ("newcomer-system==1.2", "its-helper==0.3")
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "ROOT", str(tmp_path))
    (tmp_path / "requirements.txt").write_text("# [core] needed\na==1\n# [one] x\nb==1\n# [two: one] y\nc==1\n")
    (tmp_path / "frameworks").mkdir()
    return tmp_path


def test_a_frameworks_requirements_are_a_group_of_its_name(root):
    (root / "frameworks" / "newcomer.py").write_text(FRAMEWORK)
    (root / "frameworks" / "other.py").write_text("class Other:\n    name = 'other'\n")
    assert requirements.all_groups() == {
        "core": ["a==1"],
        "one": ["b==1"],
        "two": ["c==1"],
        "newcomer": ["newcomer-system==1.2", "its-helper==0.3"],
    }


def test_an_extensions_requirements_count_too(root, tmp_path_factory, monkeypatch):
    extension = tmp_path_factory.mktemp("extension")
    (extension / "frameworks").mkdir()
    (extension / "frameworks" / "newcomer.py").write_text(FRAMEWORK)
    assert "newcomer" not in requirements.all_groups()
    monkeypatch.setenv(requirements.EXTENSIONS, str(extension))
    assert requirements.all_groups()["newcomer"] == ["newcomer-system==1.2", "its-helper==0.3"]


def test_extensions_are_told_from_other_words():
    words = ["study=gol", "extensions=[a, 'b c']", "--extensions=d", "seed=3"]
    assert requirements.named_extensions(words) == (["a", "b c", "d"], ["study=gol", "seed=3"])
    assert requirements.named_extensions(["extensions=[]"]) == ([], [])


def test_leaving_a_group_out_leaves_out_what_needs_it(root):
    assert requirements.with_dependents(["one"]) == ["one", "two"]
    assert requirements.with_dependents(["two"]) == ["two"]
    assert requirements.with_dependents([]) == []


def test_requirements_that_the_text_does_not_tell_are_one_line(root):
    (root / "frameworks" / "newcomer.py").write_text(FRAMEWORK.replace('("newcomer', 'open("newcomer'))
    with pytest.raises(InstallationFault, match=r"newcomer.py, line 6: .* cannot tell what"):
        requirements.framework_groups()


@pytest.mark.parametrize("content", [b"class X:\n  name = = 1\n", b"name = 'caf\xe9'\n", b"x = 1\n\0"])
def test_an_extensions_file_that_is_not_python_does_not_stop_the_installation(root, tmp_path, monkeypatch, content):
    """The plan refuses it in one line, and everything else runs."""
    extension = tmp_path / "extension"
    (extension / "frameworks").mkdir(parents=True)
    (extension / "frameworks" / "newcomer.py").write_text(FRAMEWORK)
    (extension / "frameworks" / "broken.py").write_bytes(content)
    monkeypatch.setenv(requirements.EXTENSIONS, str(extension))
    assert requirements.framework_groups().keys() >= {"newcomer"}
    (root / "frameworks" / "broken.py").write_bytes(content)
    with pytest.raises(InstallationFault, match="broken.py is not valid Python"):
        requirements.framework_groups()
