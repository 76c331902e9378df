"""Frameworks and studies from outside: folders named on the command line, and installed packages.

An extension is a folder laid out as this checkout is: `frameworks/`, `studies/`, `configs/study/`, each as far as it is
needed. `extensions=[DIR, ...]` names some, and so does the variable `ARTIFACT_EXTENSIONS`. An installed package names
the folder of a module of its own by an entry point of the group `genjax_artifact.frameworks` or
`genjax_artifact.studies`. What cannot be used is refused in one line each; everything else goes on.
"""

import ast
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from frameworks.base import CONTRACT
from pipelines.attributes import Attributes, Unreadable, is_framework, syntax_tree
from pipelines.config.paths import typed_path
from pipelines.config.study_flags import declared
from pipelines.entry import tell
from pipelines.errors import ConfigurationFaults
from pipelines.install.requirements import EXTENSIONS, extension_folders, named_extensions
from pipelines.plan.tree import REPOSITORY, FrameworkDescription, Tree, extend_packages, load_module

READ = (*(field.name for field in fields(FrameworkDescription)), "contract")
GROUPS = ("genjax_artifact.frameworks", "genjax_artifact.studies")


def tree_of(words: list[str], tree: Tree | None = None) -> tuple[Tree, list[str]]:
    """The checkout with the extensions of a command line, and the words that are left.

    Names them to the processes of this run, too. Prints a line for everything that is refused; see `Tree.refused`.

    Raises:
        ConfigurationFaults: a folder that was asked for does not exist, or is not an extension.
    """
    tree = tree or Tree()
    named, left = named_extensions(words)
    asked = [typed_path(word, tree.root).resolve() for word in named]
    faults = [fault for folder in asked for fault in _not_an_extension(folder)]
    if faults:
        raise ConfigurationFaults(faults)
    installed, refused = _installed()
    folders = dict.fromkeys([*asked, *(Path(folder) for folder in extension_folders()), *installed])
    found = with_extensions(tree, tuple(folders), tuple(refused))
    for line in found.refused:
        tell(f"refused: {line}")
    return found, left


def with_extensions(tree: Tree, folders: tuple[Path, ...], refused: tuple[str, ...] = ()) -> Tree:
    """The checkout with these folders, without what in them cannot be used."""
    if folders:
        os.environ[EXTENSIONS] = os.pathsep.join(map(str, folders))
        extend_packages(folders)
    lines, hidden = list(refused), set()
    for path, line in [*_bad_frameworks(tree.root, folders), *_bad_studies(tree.root, folders)]:
        hidden.add(path)
        lines.append(line)
    return Tree(tree.root, folders, frozenset(hidden), tuple(lines))


def _not_an_extension(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"extensions: {folder} is not a folder."
    elif not any((folder / name).is_dir() for name in ("frameworks", "studies")):
        yield f"extensions: {folder} has neither a folder frameworks/ nor a folder studies/."


def _installed() -> tuple[list[Path], list[str]]:
    """The folders that entry points name, and a line for each that cannot be found."""
    folders, refused = [], []
    for group in GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            try:
                found = importlib.util.find_spec(point.module)
            except Exception as error:  # noqa: BLE001 a parent package of another's runs here; its fault is a line
                refused.append(f"{group}: {point.name} = {point.value}: {type(error).__name__}: {error}")
                continue
            origin = None if found is None else found.origin
            if origin is None:
                refused.append(f"{group}: {point.name} = {point.value}: there is no such module.")
                continue
            fault = next(_not_an_extension(Path(origin).parent), None)
            if fault is None:
                folders.append(Path(origin).parent)
            else:
                refused.append(f"{group}: {point.name} = {point.value}: {fault.removeprefix('extensions: ')}")
    return folders, refused


def _bad_frameworks(root: Path, folders: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """The framework files of extensions that cannot be used, with the reason."""
    attributes = Attributes(tuple(place / "frameworks" for place in (*folders, root, REPOSITORY)))
    first = {path.stem: path for path in (root / "frameworks").glob("*.py")}
    for folder in folders:
        for path in sorted((folder / "frameworks").glob("*.py")):
            if not is_framework(path) or path.stem == "__init__":
                continue
            if path.stem in first:
                yield path, f"{path}: there is a framework {path.stem} already, {first[path.stem]}. Rename one."
                continue
            first[path.stem] = path
            try:
                found = attributes.of(path, path.stem, READ)
            except Unreadable as error:
                yield path, str(error)
                continue
            if found is None:
                yield path, f"{path} defines no class with name = {path.stem!r}; see frameworks/base.py."
            elif found[0].get("contract", CONTRACT) != CONTRACT:
                yield path, _other_contract(f"{path}, line {found[1]}", found[0]["contract"])


def _bad_studies(root: Path, folders: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """The folders of studies that cannot be used, with the reason; one without a gate is refused wherever it is."""
    first: dict[str, Path] = {}
    for place in (root, *folders):
        for path in sorted((place / "studies").glob("*/problem.py")):
            folder = path.parent
            if folder.name in first:
                yield folder, f"{folder}: there is a study {folder.name} already, {first[folder.name]}. Rename one."
                continue
            first[folder.name] = folder
            fault = _fault_of_study(path, place, is_own=place == root)
            if fault is not None:
                yield folder, fault
            elif place != root and (folder / "flags.py").is_file():
                yield from _bad_flags(folder)


def _bad_flags(folder: Path) -> Iterator[tuple[Path, str]]:
    """The flags of a study that cannot be used; the study goes on without them."""
    path = folder / "flags.py"
    try:
        declared(path, folder.name)
    except ConfigurationFaults as faults:
        yield path, " ".join(faults.faults)


def _fault_of_study(path: Path, place: Path, is_own: bool) -> str | None:
    try:
        names = _module_names(syntax_tree(path))
    except Unreadable as error:
        return str(error)
    for name in ("make_problem", "check"):
        if name not in names:
            gate = " (the gate)" if name == "check" else ""
            return f"{path} defines no {name}{gate}: nothing is timed whose answer is not judged. See studies/base.py."
    if isinstance(names.get("CONTRACT"), int) and names["CONTRACT"] != CONTRACT:
        return _other_contract(str(path), names["CONTRACT"])
    if is_own:
        return None
    study = path.parent.name
    settings = place / "configs" / "study" / f"{study}.yaml"
    if not settings.is_file():
        return f"{path.parent} has no configuration: {settings} does not exist."
    try:
        load_module(path, f"studies.{study}.problem")
    except Exception as error:  # noqa: BLE001 another's file, whatever it does: its fault is a line
        return f"{path} cannot be imported: {type(error).__name__}: {error}"
    return None


def _other_contract(where: str, version: object) -> str:
    return (
        f"{where}: written for version {version} of the contract, and this is version {CONTRACT}. "
        "See docs/extending.md for what changed."
    )


def _module_names(tree: ast.Module) -> dict[str, Any]:
    """The names that a module defines or imports at its top, with the value of those that are literal numbers."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = None
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found.update((alias.asname or alias.name, None) for alias in node.names)
        elif isinstance(node, ast.Assign):
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            found.update((target.id, value) for target in node.targets if isinstance(target, ast.Name))
    return found
