"""What is on disk: which frameworks, studies and models exist, and what a framework's file says of itself.

Everything is found by presence under one root folder. Framework files are read as text (`pipelines.attributes`),
so that planning imports no framework; the worker alone loads them. Standard library only.
"""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from frameworks.base import Framework
from pipelines.attributes import Attributes, Unreadable, is_framework
from pipelines.errors import ConfigurationFaults
from pipelines.plan.declarations import FigureDeclaration, figure_declarations, parsed

REPOSITORY = Path(__file__).resolve().parents[2]


Modified: TypeAlias = tuple[tuple[Path, int], ...]
"""Files, each with the time of its last change in nanoseconds."""


@dataclass(frozen=True)
class FrameworkDescription:
    """The class attributes of one framework; see `frameworks.base.Framework`."""

    name: str
    label: str
    color: str = ""
    marker: str = ""
    requirements: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    command: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    not_reported: tuple[tuple[str, str], ...] = ()
    model_path: str = Framework.model_path
    sources: tuple[str, ...] = ()
    start_seconds: float = 0.0

    def updated(self, values: dict[str, Any]) -> "FrameworkDescription":
        """A copy with some attributes replaced, as `configs/framework/<name>.yaml` may do."""
        return replace(self, **{name: _frozen(value) for name, value in values.items()})


@dataclass(frozen=True)
class Tree:
    """The folders of one checkout, and of its extensions. Tests make a small one of their own.

    Args:
        root: the checkout.
        extensions: folders laid out like it; see `pipelines.plan.extensions`.
        hidden: files of frameworks, folders of studies and their files of flags in them that cannot be used.
        refused: a line for each of those, with the reason.
        harness: the checkout whose `pipelines` the workers run; another revision's programs run in its own.
    """

    root: Path = REPOSITORY
    extensions: tuple[Path, ...] = ()
    hidden: frozenset[Path] = frozenset()
    refused: tuple[str, ...] = ()
    harness: Path = REPOSITORY

    @property
    def places(self) -> tuple[Path, ...]:
        """The checkout, then its extensions."""
        return (self.root, *self.extensions)

    @property
    def configs(self) -> Path:
        """The folder of the configuration files."""
        return self.root / "configs"

    def frameworks(self) -> dict[str, Path]:
        """Framework files by name."""
        found: dict[str, Path] = {}
        for place in self.places:
            for path in sorted((place / "frameworks").glob("*.py")):
                if is_framework(path) and path not in self.hidden:
                    found.setdefault(path.stem, path)
        return dict(sorted(found.items()))

    def studies(self) -> dict[str, Path]:
        """Study folders by name: those with a `problem.py` and a configuration."""
        found: dict[str, Path] = {}
        for place in self.places:
            for path in sorted((place / "studies").glob("*/problem.py")):
                folder = path.parent
                settings = place / "configs" / "study" / f"{folder.name}.yaml"
                if folder not in self.hidden and settings.is_file():
                    found.setdefault(folder.name, folder)
        return dict(sorted(found.items()))

    def study_folder(self, study: str) -> Path:
        """The folder of a study."""
        found = (place / "studies" / study for place in self.places)
        return next((path for path in found if (path / "problem.py").is_file()), self.root / "studies" / study)

    def settings(self, study: str) -> Path:
        """The configuration file of a study."""
        return self.study_folder(study).parent.parent / "configs" / "study" / f"{study}.yaml"

    def alone(self, study: str) -> tuple[str, ...]:
        """The sizes at which runs of all studies leave the study out: `alone` of its configuration."""
        text = self.settings(study).read_text(encoding="utf-8")
        found = re.search(r"^alone: \[([\w, ]*)\]", text, re.MULTILINE)
        return tuple(name.strip() for name in found.group(1).split(",")) if found else ()

    def home_of(self, framework: str) -> Path:
        """The place that a framework's file lies in: this checkout or an extension."""
        path = self.frameworks().get(framework)
        return self.root if path is None else path.parent.parent

    def choices(self, group: str) -> list[str]:
        """The names of a configuration group: `size`, `device`, ..."""
        return sorted(path.stem for path in (self.configs / group).glob("*.yaml"))

    def describe(self, framework: str) -> FrameworkDescription:
        """The attributes of a framework, read from its text.

        Raises:
            ConfigurationFaults: the file has no class of that name, or an attribute that the text does not tell.
        """
        return self.reader().describe(framework)

    def reader(self) -> "Reader":
        """Describes frameworks by their files as these are now, which are listed once."""
        folders = self._framework_folders()
        return Reader(self.frameworks(), folders, _state(path for folder in folders for path in folder.glob("*.py")))

    def overrides(self) -> Modified:
        """The files `configs/framework/<name>.yaml`, each with the time of its last change."""
        return _state((self.configs / "framework").glob("*.yaml"))

    def _framework_folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(place / "frameworks" for place in (*self.places, REPOSITORY)))

    def problem_module(self, study: str) -> ModuleType:
        """The study's `problem.py`, loaded."""
        return load_module(self.study_folder(study) / "problem.py", f"studies.{study}.problem")

    def figures_module(self, study: str) -> ModuleType:
        """The study's `figures.py`, loaded; an empty module if it has none."""
        path = self.study_folder(study) / "figures.py"
        return load_module(path, f"studies.{study}.figures") if path.is_file() else ModuleType("figures")

    def flags_path(self, study: str) -> Path | None:
        """The study's `flags.py`; None if it has none that can be used."""
        path = self.study_folder(study) / "flags.py"
        return path if path.is_file() and path not in self.hidden else None

    def export_module(self, study: str) -> ModuleType | None:
        """The study's `export.py`, loaded; None if it has none."""
        path = self.study_folder(study) / "export.py"
        return load_module(path, f"studies.{study}.export") if path.is_file() else None

    def model_path(self, study: str, description: FrameworkDescription) -> Path:
        """Where the study's model in that framework is, whether or not it exists: in the first place that has it."""
        name = description.model_path.format(study=study, framework=description.name)
        return next((place / name for place in self.places if (place / name).is_file()), self.root / name)

    def framework_sources(self, description: FrameworkDescription) -> list[Path]:
        """The framework's file, the `frameworks/` files that it imports, and that those import, and its `sources`."""
        path, base = self.frameworks()[description.name], REPOSITORY / "frameworks" / "base.py"
        home = self.home_of(description.name)
        folders = self._framework_folders()
        imported = _imported(path, folders, _state(file for folder in folders for file in folder.glob("*.py")))
        declared = [found for glob in description.sources for found in home.glob(glob) if found.is_file()]
        return sorted({path, base, *imported, *declared})

    def study_sources(self, study: str) -> list[Path]:
        """The Python files that decide a study's problem and its gate.

        All of its own but figures, export, flags and entry points, and those of `studies/` that they import.
        """
        found = self.study_folder(study).glob("*.py")
        own = [path for path in found if not path.stem.startswith(("figures", "export", "flags", "__"))]
        shared = {name for path in own for name in _shared_imports(path, path.stat().st_mtime_ns)} - {"base"}
        folders = dict.fromkeys([self.study_folder(study).parent, self.root / "studies", REPOSITORY / "studies"])
        paths = (
            next((path for folder in folders if (path := folder / f"{name}.py").is_file()), None) for name in shared
        )
        return sorted([*own, *(path for path in paths if path is not None)])

    def figures(self, study: str) -> dict[str, FigureDeclaration]:
        """The figures that a study declares, by name, read from the text of its `figures.py`."""
        return figure_declarations(self.study_folder(study) / "figures.py")

    def has_task(self, study: str, task: str, description: FrameworkDescription) -> bool:
        """Whether the model file exists and defines the function of the task."""
        path = self.model_path(study, description)
        return path.is_file() and task in self.functions(path)

    def functions(self, path: Path) -> frozenset[str]:
        """The functions at the top of a model file."""
        return _functions(path, path.stat().st_mtime_ns)

    def programs(self, path: Path) -> dict[str, int]:
        """The functions of a Python model file with the arguments `(framework, data, parameters)`, and their lines."""
        if path.suffix != ".py":
            return {}
        found = (node for node in parsed(path).body if isinstance(node, ast.FunctionDef))
        return {node.name: node.lineno for node in found if _arguments(node) == ["framework", "data", "parameters"]}

    def model_files(self, study: str) -> list[Path]:
        """The files in the study's `models/`, without those whose names begin with an underscore."""
        found = (path for place in self.places for path in (place / "studies" / study / "models").glob("*.*"))
        return sorted(path for path in found if path.is_file() and path.stem[:1] not in ("_", "."))

    def texts_of(self, study: str) -> Iterator[str]:
        """The texts of a study's files, its models and mutants too, in every place."""
        for place in self.places:
            for path in sorted((place / "studies" / study).rglob("*")):
                if path.suffix in (".py", ".jl") and path.is_file():
                    yield path.read_text(encoding="utf-8")

    def mutant_files(self, study: str) -> list[Path]:
        """The files of the study's programs that are wrong on purpose."""
        return sorted(path for place in self.places for path in (place / "studies" / study / "mutants").glob("*.py"))

    def shown(self, path: Path) -> str:
        """A path as messages and keys show it: relative to the checkout or the extension that it lies in."""
        places = (place for place in (*self.places, REPOSITORY) if path.is_relative_to(place))
        return next((path.relative_to(place).as_posix() for place in places), str(path))


def _arguments(node: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


@cache
def _shared_imports(path: Path, modified_ns: int) -> frozenset[str]:
    """The modules directly in `studies/` that a file imports."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "studies":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("studies."):
            found.add(str(node.module).split(".")[1])
    return frozenset(found)


def extend_packages(folders: Sequence[Path]) -> None:
    """Lets `import frameworks.NAME` and `import studies.NAME` find those of extensions, after this checkout's own."""
    for name in ("frameworks", "studies"):
        package = importlib.import_module(name)
        for folder in folders:
            if (place := str(folder / name)) not in package.__path__:
                package.__path__.append(place)


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


@dataclass(frozen=True)
class Reader:
    """Reads the attributes of frameworks from their text; see `Tree.describe`.

    Args:
        files: the files of frameworks by name.
        folders: where files that they import may be.
        state: every file of those folders with the time of its last change.
    """

    files: dict[str, Path]
    folders: tuple[Path, ...]
    state: Modified

    def describe(self, framework: str) -> FrameworkDescription:
        """See `Tree.describe`."""
        return _described(self.files[framework], self.folders, self.state)


def _state(files: Iterable[Path]) -> Modified:
    return tuple(sorted((path, path.stat().st_mtime_ns) for path in files))


@cache
def _attributes(folders: tuple[Path, ...], state: Modified) -> Attributes:
    """What reads frameworks' files: each file once for each state of all of them."""
    return Attributes(folders)


@cache
def _imported(path: Path, folders: tuple[Path, ...], state: Modified) -> tuple[Path, ...]:
    """A framework's file and those that it imports, found once for each state of all frameworks' files."""
    return tuple(_attributes(folders, state).files(path))


@cache
def _described(path: Path, folders: tuple[Path, ...], state: Modified) -> FrameworkDescription:
    """The attributes of a framework's class, read once for each state of all frameworks' files."""
    attributes = _attributes(folders, state)
    known = [field.name for field in fields(FrameworkDescription)]
    try:
        found = attributes.of(path, path.stem, known)
    except Unreadable as error:
        raise ConfigurationFaults([str(error)]) from None
    if found is None:
        raise ConfigurationFaults([f"{path} defines no class with name = {path.stem!r}; see frameworks/base.py."])
    return FrameworkDescription(**{"label": path.stem} | {name: _frozen(value) for name, value in found[0].items()})


@cache
def _functions(path: Path, modified_ns: int) -> frozenset[str]:
    """The functions at the top of a model file, in Python or in a language that writes `name(arguments)`."""
    if path.suffix == ".py":
        return frozenset(node.name for node in parsed(path).body if isinstance(node, ast.FunctionDef))
    text = path.read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(?:function )?(\w+)\(", text, re.MULTILINE))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((str(name), str(item)) for name, item in value.items()))
    return tuple(value) if isinstance(value, list | tuple) else value
