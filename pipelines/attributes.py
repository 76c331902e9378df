"""The class attributes of a framework, read from the text of its file: planning and `./run` import no system.

A value may be any expression of literals, constants of the module, attributes of the class and of other classes, and
`+`, `*` and `**` that put tuples and mappings together. Base classes are followed into other `frameworks/` files, so
that what several systems share is written once. Standard library only: `./run` reads with it before anything is
installed.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PACKAGE = "frameworks"


def is_framework(path: Path) -> bool:
    """Whether a file of `frameworks/` is a framework, by its name: `base.py`, `jax_base.py`, `_draws.py` are not."""
    return not path.stem.startswith("_") and path.stem != "base" and not path.stem.endswith("_base")


class Unreadable(Exception):
    """A file whose attributes cannot be read from the text; the message names the file and the line."""


def syntax_tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file.

    Raises:
        Unreadable: it is not valid Python, not UTF-8, or cannot be read.
    """
    try:
        return ast.parse(path.read_bytes().decode("utf-8-sig"))
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise Unreadable(f"{path} is not valid Python: {error.msg}{where}.") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not valid Python: byte {error.start} is not UTF-8. Save it as UTF-8.") from None
    except ValueError as error:  # of null bytes, before Python 3.12
        raise Unreadable(f"{path} is not valid Python: {error}.") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None


class Attributes:
    """The classes of framework files as the text has them.

    Args:
        folders: where `frameworks.NAME` may be, `NAME.py` in the first folder that has it.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = tuple(folders)
        self._trees: dict[Path, ast.Module] = {}
        self._imports: dict[Path, list[Path]] = {}

    def of(self, path: Path, name: str, wanted: Sequence[str]) -> tuple[dict[str, Any], int] | None:
        """The wanted attributes of the class whose `name` is `name`, inherited ones too, and the line of the class.

        Returns:
            None if the file has no such class.

        Raises:
            Unreadable: an attribute is not of the kinds that the text can tell, or the file is not Python.
        """
        for node in self.parsed(path).body:
            if isinstance(node, ast.ClassDef) and self._own(path, node).get("name") is not None:
                scope = _Scope(self, path, node)
                if scope.value(self._own(path, node)["name"]) == name:
                    return {key: scope.attribute(key) for key in wanted if scope.has(key)}, node.lineno
        return None

    def files(self, path: Path) -> list[Path]:
        """The file and every `frameworks/` file that it imports, directly or through another."""
        found: list[Path] = []
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current in found:
                continue
            found.append(current)
            if current not in self._imports:
                self._imports[current] = [
                    file for node in ast.walk(self.parsed(current)) for file in self._imported(node)
                ]
            waiting.extend(self._imports[current])
        return found

    def parsed(self, path: Path) -> ast.Module:
        """The syntax tree of a file.

        Raises:
            Unreadable: see `syntax_tree`.
        """
        if path not in self._trees:
            self._trees[path] = syntax_tree(path)
        return self._trees[path]

    def module(self, name: str) -> Path | None:
        """The file of `frameworks.NAME`, or None if it is not one of these folders."""
        package, _, stem = name.partition(".")
        if package != PACKAGE or not stem:
            return None
        return next((path for folder in self.folders if (path := folder / f"{stem}.py").is_file()), None)

    def imports(self, path: Path) -> dict[str, tuple[Path, str | None]]:
        """Names that a file imports from `frameworks/`: each with the file, and the name there (None: the module)."""
        found: dict[str, tuple[Path, str | None]] = {}
        for node in self.parsed(path).body:
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                whole = self.module(f"{node.module}.{alias.name}")
                source = whole or self.module(node.module or "")
                if source is not None:
                    found[alias.asname or alias.name] = (source, None if whole else alias.name)
        return found

    def _imported(self, node: ast.AST) -> Iterator[Path]:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (path for path in map(self.module, names) if path is not None)

    def _own(self, path: Path, node: ast.ClassDef) -> dict[str, ast.expr]:
        return dict(_assignments(node.body))


class _Scope:
    """What names mean inside one class of one file."""

    def __init__(self, attributes: Attributes, path: Path, node: ast.ClassDef | None):
        self.attributes, self.path, self.node = attributes, path, node
        self.constants = dict(_assignments(attributes.parsed(path).body))
        self.own = dict(_assignments(node.body)) if node is not None else {}
        self.imported = attributes.imports(path)

    def has(self, name: str) -> bool:
        """Whether the class or one of its bases sets the attribute."""
        return name in self.own or any(base.has(name) for base in self._bases())

    def attribute(self, name: str) -> Any:
        """The value of an attribute, as Python would find it."""
        if name in self.own:
            return self.value(self.own[name])
        return next(base.attribute(name) for base in self._bases() if base.has(name))

    def value(self, node: ast.expr) -> Any:
        """What an expression says, evaluated without running the file."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Tuple() | ast.List() | ast.Set():
                return tuple(self._items(node.elts))
            case ast.Dict():
                return self._mapping(node)
            case ast.BinOp(op=ast.Add()):
                return self.value(node.left) + self.value(node.right)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.Name() if node.id in self.own:
                return self.value(self.own[node.id])
            case ast.Name() if node.id in self.constants:
                return self.value(self.constants[node.id])
            case ast.Name() if node.id in self.imported and self.imported[node.id][1] is not None:
                path, name = self.imported[node.id]
                return _Scope(self.attributes, path, None).value(ast.Name(str(name), lineno=node.lineno))
            case ast.Attribute():
                return self._member(node)
        raise self._unreadable(node)

    def _items(self, nodes: Sequence[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.value(node.value)
            else:
                yield self.value(node)

    def _mapping(self, node: ast.Dict) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found.update(self.value(value) if key is None else {self.value(key): self.value(value)})
        return found

    def _member(self, node: ast.Attribute) -> Any:
        """`Class.attribute` or `module.CONSTANT`."""
        of = self._class(node.value)
        if of is not None and of.has(node.attr):
            return of.attribute(node.attr)
        if isinstance(node.value, ast.Name):
            path, name = self.imported.get(node.value.id, (None, ""))
            if path is not None and name is None:
                return _Scope(self.attributes, path, None).value(ast.Name(node.attr, lineno=node.lineno))
        raise self._unreadable(node)

    def _bases(self) -> list["_Scope"]:
        found = [self._class(base) for base in self.node.bases] if self.node is not None else []
        return [base for base in found if base is not None]

    def _class(self, node: ast.expr) -> "_Scope | None":
        """The class that an expression names, if it is of a `frameworks/` file."""
        path: Path | None = None
        name: str | None = None
        if isinstance(node, ast.Name):
            path, name = self.imported.get(node.id, (self.path, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            source, within = self.imported.get(node.value.id, (None, ""))
            path, name = (source, node.attr) if within is None else (None, None)
        if path is None:
            return None
        for one in self.attributes.parsed(path).body:
            if isinstance(one, ast.ClassDef) and one.name == name:
                return _Scope(self.attributes, path, one)
        return None

    def _unreadable(self, node: ast.expr) -> Unreadable:
        return Unreadable(
            f"{self.path}, line {getattr(node, 'lineno', '?')}: planning reads class attributes from the text, and "
            f"cannot tell what {ast.unparse(node)[:60]!r} is. Use literals, constants of the module, attributes of "
            "base classes, and + or * to put them together."
        )


def _assignments(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for statement in body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            yield target.id, value
