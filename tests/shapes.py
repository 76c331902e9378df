"""Shapes in the signatures of GenJAX are checked at every call that a test makes.

`genjax.shapes` gives annotations that nothing reads. Here jaxtyping takes its place, and while GenJAX is imported, each
function and each dataclass whose annotations name a shape gets jaxtyping's check, with beartype behind it. (jaxtyping's
own import hook checks every function, those inside of functions too, whose decoration costs more than they do.)
Programs that tests start run without checks.
"""

import ast
import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Any, get_args

import beartype
import jaxtyping

KINDS = ("Bool", "Float", "Int32", "Integer", "Num")
CHECK = '__import__("jaxtyping").jaxtyped(typechecker=__import__("tests.shapes").shapes.check_shapes)'


class Checks(ast.NodeTransformer):
    """Decorates what has a shape in its annotations."""

    def __init__(self):
        self.names = {*KINDS}

    def is_shaped(self, annotation):
        return annotation is not None and any(
            isinstance(node, ast.Name) and node.id in self.names for node in ast.walk(annotation)
        )

    def visit_AnnAssign(self, node):
        if isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias" and self.is_shaped(node.value):
            self.names.add(node.target.id)
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if any(map(self.is_shaped, [node.returns, *(one.annotation for one in arguments)])):
            # Innermost: what custom_jvp and jit make of a function has other attributes than a function.
            node.decorator_list.append(check(node))
        return node

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        if any(isinstance(one, ast.AnnAssign) and self.is_shaped(one.annotation) for one in node.body):
            node.decorator_list.insert(0, check(node))  # outermost: it looks at what `dataclass` has made
        return node


def check_shapes(function):
    """beartype, for the annotations that are shapes: GenJAX itself says what else is wrong with an argument."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint if has_shape(hint) else Any for name, hint in hints.items()}
    return beartype.beartype(function)


def has_shape(hint):
    is_array = isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
    return is_array or any(map(has_shape, get_args(hint)))


def check(node):
    decorator = ast.parse(CHECK, mode="eval").body
    for part in ast.walk(decorator):
        ast.copy_location(part, node)
    return decorator


class Loader(SourceFileLoader):
    """Compiles a module with its checks, and keeps the result in no cache: other programs import it without."""

    def get_code(self, fullname):
        tree = Checks().visit(ast.parse(self.get_data(self.path), self.path))
        return compile(tree, self.path, "exec", dont_inherit=True)


class Finder:
    """Finds the modules of GenJAX that name shapes."""

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith("genjax."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and b"from genjax.shapes import" in spec.loader.get_data(spec.origin):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def pytest_collection_modifyitems():
    """Messages name the user's line, not the one of jaxtyping that called into GenJAX."""
    if "genjax" in sys.modules:
        from genjax.pjax.jax_internals import hide_frames_of

        hide_frames_of(os.path.dirname(jaxtyping.__file__) + os.sep)


if "genjax" in sys.modules:
    raise ImportError("tests.shapes has to be loaded before GenJAX, whose imports it changes")
sys.modules["genjax.shapes"] = jaxtyping
sys.meta_path.insert(0, Finder())
