"""The figures that a study declares, read from the text of its figures.py: neither a plan nor a page loads matplotlib.

What `studies.base.figure` is told has to be there in so many words: literals, or constants of the same file.
"""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.attributes import Unreadable, syntax_tree
from pipelines.errors import ConfigurationFaults


@dataclass(frozen=True)
class FigureDeclaration:
    """What the text says of a figure; see `studies.base.figure`. `caption` is the first paragraph of its docstring."""

    name: str
    file: str
    tasks: tuple[str, ...]
    timing: bool
    caption: str


def figure_declarations(path: Path) -> dict[str, FigureDeclaration]:
    """The figures of a figures.py by name, in the order of the file; none if there is no such file.

    Raises:
        ConfigurationFaults: it is not Python, or does not say in so many words what it declares.
    """
    if not path.is_file():
        return {}
    state = path.stat()
    return dict(_declarations(path, state.st_mtime_ns, state.st_size))


@cache
def _declarations(path: Path, modified_ns: int, size: int) -> Mapping[str, FigureDeclaration]:
    """Read once for each state of the file."""
    constants: dict[str, ast.expr] = {}
    found = {}
    for node in parsed(path).body:
        constants |= _assignment(node)
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("figure"):
                found[node.name] = _declaration(path, node, decorator, constants)
    return found


def _declaration(
    path: Path, node: ast.FunctionDef, decorator: ast.Call, constants: Mapping[str, ast.expr]
) -> FigureDeclaration:
    words = {word.arg: word.value for word in decorator.keywords}
    faults, values = [], {}
    for name, default in (("file", None), ("tasks", None), ("timing", ast.Constant(False))):
        try:
            values[name] = _value(words.get(name, default), constants)
        except (ValueError, TypeError, KeyError):
            faults.append(f"{path}: the `{name}` of figure {node.name} must be a literal (planning reads the text).")
    if faults:
        raise ConfigurationFaults(faults)
    first = inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]
    return FigureDeclaration(
        node.name, str(values["file"]), tuple(values["tasks"]), bool(values["timing"]), " ".join(first.split())
    )


def _value(node: ast.expr | None, constants: Mapping[str, ast.expr]) -> Any:
    """The value of a literal, of a constant's name, or of a sum of texts."""
    if isinstance(node, ast.Name):
        return _value(constants[node.id], {})
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{_value(node.left, constants)}{_value(node.right, constants)}"
    if node is None:
        raise ValueError("it is not there")
    return ast.literal_eval(node)


def _assignment(statement: ast.stmt) -> dict[str, ast.expr]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return {statement.targets[0].id: statement.value}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        return {statement.target.id: statement.value}
    return {}


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        ConfigurationFaults: it is not Python.
    """
    try:
        return syntax_tree(path)
    except Unreadable as error:
        raise ConfigurationFaults([str(error)]) from None
