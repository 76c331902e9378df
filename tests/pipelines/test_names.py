"""Nothing in `pipelines/` knows a study or a system by name; only the project's own targets, in `bench/`, do."""

import ast
import re

import pytest

from pipelines.plan.tree import REPOSITORY, Tree

TREE = Tree()
PROJECT = "genjax"
"""Also the name of this project: its package and its folders of temporary files may be called so."""
NAMES = (set(TREE.studies()) | set(TREE.frameworks())) - {PROJECT}
FILES = sorted(path for path in (REPOSITORY / "pipelines").rglob("*.py") if "bench" not in path.parts)


def words_of(path):
    """(line, word) of every identifier and of every word in a text that is not a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        texts = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            texts = [node.value]
        elif isinstance(node, ast.Name):
            texts = [node.id]
        elif isinstance(node, ast.Attribute):
            texts = [node.attr]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            texts = [node.name]
        for text in texts:
            yield from ((node.lineno, word) for word in re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_no_study_or_system_is_known_by_name(path):
    assert [(line, word) for line, word in words_of(path) if word in NAMES] == []


def test_a_name_would_be_found(tmp_path):
    path = tmp_path / "x.py"
    path.write_text('"""About torch."""\nIMPLIED = {"torch": pyro.x}\n\ndef perfbench():\n    """Of gol."""\n')
    assert {word for _, word in words_of(path)} & NAMES == {"torch", "pyro", "perfbench"}
