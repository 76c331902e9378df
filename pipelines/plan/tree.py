"""What is on disk: which frameworks, studies and models exist, and what a framework's file says of itself.

Everything is found by presence under one root folder. Framework files are read as text (class attributes that are
literals), so that planning imports no framework; the worker alone loads them. Standard library only.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from frameworks.base import Framework
from pipelines.errors import ConfigurationFaults

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_FRAMEWORKS = ("__init__", "base", "jax_base")


@dataclass(frozen=True)
class FrameworkDescription:
    """The literal class attributes of one framework; see `frameworks.base.Framework`."""

    name: str
    label: str
    color: str
    distributions: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    command: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    model_path: str = Framework.model_path
    sources: tuple[str, ...] = ()
    start_seconds: float = 0.0

    def updated(self, values: dict[str, Any]) -> "FrameworkDescription":
        """A copy with some attributes replaced, as `configs/framework/<name>.yaml` may do."""
        return replace(self, **{name: _frozen(value) for name, value in values.items()})


@dataclass(frozen=True)
class Tree:
    """The folders of one checkout. Tests make a small one of their own."""

    root: Path = REPOSITORY

    @property
    def configs(self) -> Path:
        """The folder of the configuration files."""
        return self.root / "configs"

    def frameworks(self) -> dict[str, Path]:
        """Framework files by name."""
        found = sorted((self.root / "frameworks").glob("*.py"))
        return {path.stem: path for path in found if path.stem not in NOT_FRAMEWORKS and not path.stem.startswith("_")}

    def studies(self) -> dict[str, Path]:
        """Study folders by name: those with a `problem.py` and a configuration."""
        found = sorted((self.root / "studies").glob("*/problem.py"))
        return {
            path.parent.name: path.parent
            for path in found
            if (self.configs / "study" / f"{path.parent.name}.yaml").is_file()
        }

    def choices(self, group: str) -> list[str]:
        """The names of a configuration group: `size`, `device`, ..."""
        return sorted(path.stem for path in (self.configs / group).glob("*.yaml"))

    def describe(self, framework: str) -> FrameworkDescription:
        """The attributes of a framework, read from its text."""
        return _described(self.frameworks()[framework])

    def problem_module(self, study: str) -> ModuleType:
        """The study's `problem.py`, loaded."""
        return load_module(self.root / "studies" / study / "problem.py", f"studies.{study}.problem")

    def figures_module(self, study: str) -> ModuleType:
        """The study's `figures.py`, loaded; an empty module if it has none."""
        path = self.root / "studies" / study / "figures.py"
        return load_module(path, f"studies.{study}.figures") if path.is_file() else ModuleType("figures")

    def export_module(self, study: str) -> ModuleType | None:
        """The study's `export.py`, loaded; None if it has none."""
        path = self.root / "studies" / study / "export.py"
        return load_module(path, f"studies.{study}.export") if path.is_file() else None

    def model_path(self, study: str, description: FrameworkDescription) -> Path:
        """Where the study's model in that framework is, whether or not it exists."""
        return self.root / description.model_path.format(study=study, framework=description.name)

    def framework_sources(self, description: FrameworkDescription) -> list[Path]:
        """The framework's file, the `frameworks/` files that it imports, and its declared `sources`."""
        path = self.frameworks()[description.name]
        here = REPOSITORY / "frameworks"
        imported = {here / "base.py"}
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("frameworks."):
                imported.add(here / f"{node.module.removeprefix('frameworks.')}.py")
        declared = [found for glob in description.sources for found in self.root.glob(glob) if found.is_file()]
        return sorted({path, *imported, *declared})

    def study_sources(self, study: str) -> list[Path]:
        """The Python files that decide a study's problem and its gate.

        All of its own but figures, export and entry points, and those of `studies/` that they import.
        """
        found = (self.root / "studies" / study).glob("*.py")
        own = [path for path in found if not path.stem.startswith(("figures", "export", "__"))]
        shared = {name for path in own for name in _shared_imports(path)} - {"base"}
        paths = (self.root / "studies" / f"{name}.py" for name in shared)
        return sorted([*own, *(path for path in paths if path.is_file())])

    def figure_tasks(self, study: str) -> dict[str, tuple[str, ...]]:
        """The tasks that each figure of a study declares, read from the text: planning imports no matplotlib."""
        path = self.root / "studies" / study / "figures.py"
        found: dict[str, tuple[str, ...]] = {}
        constants: dict[str | None, ast.expr | None] = {}
        for node in _parsed(path).body if path.is_file() else []:
            target, value = _assignment(node)
            constants[target] = value
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("figure"):
                    found[node.name] = _literal_tasks(path, node, decorator, constants)
        return found

    def has_task(self, study: str, task: str, description: FrameworkDescription) -> bool:
        """Whether the model file exists and, if it is Python, defines a function of the task's name."""
        path = self.model_path(study, description)
        if not path.is_file():
            return False
        if path.suffix != ".py":
            return True
        return any(isinstance(node, ast.FunctionDef) and node.name == task for node in _parsed(path).body)


def _shared_imports(path: Path) -> Iterator[str]:
    """The modules directly in `studies/` that a file imports."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "studies":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("studies."):
            yield str(node.module).split(".")[1]


def load_module(path: Path, name: str) -> ModuleType:
    """Loads one file as the module `name`, whatever the import path is; once for each state of the file."""
    return _load_module(path, name, path.stat().st_mtime_ns)


@cache
def _load_module(path: Path, name: str, modified_ns: int) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"load_module got {path}, which is not a Python file.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up here while it is being executed
    specification.loader.exec_module(module)
    return module


def load_framework(root: Path, name: str) -> Framework:
    """Imports `frameworks/<name>.py` under `root` (and with it the system) and makes its framework object."""
    module = load_module(root / "frameworks" / f"{name}.py", f"frameworks.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Framework) and value.__dict__.get("name") == name:
            return value()
    raise ImportError(f"frameworks/{name}.py defines no subclass of Framework with name = {name!r}.")


def _described(path: Path) -> FrameworkDescription:
    known = {field.name for field in fields(FrameworkDescription)}
    for node in _parsed(path).body:
        if not isinstance(node, ast.ClassDef):
            continue
        literals: dict[str, Any] = {}
        for statement in node.body:
            target, value = _assignment(statement)
            if target in known and value is not None:
                try:
                    literals[target] = _frozen(ast.literal_eval(value))
                except ValueError:
                    raise ConfigurationFaults(
                        [f"{path}: {node.name}.{target} must be a literal (planning reads the text)."]
                    ) from None
        if literals.get("name") == path.stem:
            literals.setdefault("label", path.stem)
            literals.setdefault("color", "#777777")
            return FrameworkDescription(**literals)
    raise ConfigurationFaults([f"{path} defines no class with name = {path.stem!r}; see frameworks/base.py."])


def _literal_tasks(path: Path, node: ast.FunctionDef, decorator: ast.Call, constants: dict) -> tuple[str, ...]:
    value = {word.arg: word.value for word in decorator.keywords}.get("tasks")
    if isinstance(value, ast.Name):
        value = constants.get(value.id)
    try:
        return tuple(ast.literal_eval(value))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise ConfigurationFaults(
            [f"{path}: the `tasks` of figure {node.name} must be a literal (planning reads the text)."]
        ) from None


def _assignment(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, statement.value
    return None, None


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ConfigurationFaults([f"{path} is not valid Python: {error.msg}, line {error.lineno}."]) from None


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((str(name), str(item)) for name, item in value.items()))
    return tuple(value) if isinstance(value, list | tuple) else value
