"""Which programs that are wrong on purpose a checkout has. Read from the text: nothing is imported."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frameworks.base import Mutation, mutant
from pipelines.errors import ConfigurationFaults
from pipelines.plan.declarations import parsed
from pipelines.plan.tree import Tree


@dataclass(frozen=True)
class Mutant:
    """One wrong program, of one strength.

    Args:
        study: whose gate judges it.
        framework: in whose worker it runs.
        name: of the function.
        path: of the file.
        mutation: what its decorator says; see `frameworks.base.mutant`.
        strength: how wrong it is, either way from 0, which would be right; None if it has no strengths.
        must_be_caught: False for the smaller strengths, which only measure the gate.
    """

    study: str
    framework: str
    name: str
    path: Path
    mutation: Mutation
    strength: float | None = None
    must_be_caught: bool = True

    @property
    def effect(self) -> str:
        """What is wrong, in words."""
        return self.mutation.effect.format(strength=self.strength)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of its cell that are its own, with the strength."""
        own = {} if self.strength is None else {"strength": self.strength}
        return {**self.mutation.parameters, **own}


def mutants_of(tree: Tree, study: str) -> list[Mutant]:
    """The mutants of a study in the order of their files, each strength by itself, the one to be caught first.

    Raises:
        ConfigurationFaults: arguments of `@mutant` are not literals, or name something that there is not.
    """
    known = tree.frameworks()
    found: list[Mutant] = []
    for path in tree.mutant_files(study):
        if path.stem not in known:
            raise ConfigurationFaults([f"{path} is named after no framework. Frameworks: {', '.join(known)}."])
        for name, mutation in _marked(path):
            one = Mutant(study, path.stem, name, path, mutation)
            found += [
                replace(one, strength=strength, must_be_caught=index == 0)
                for index, strength in enumerate(mutation.strengths or (None,))
            ]
    return found


def _marked(path: Path) -> Iterator[tuple[str, Mutation]]:
    for node in parsed(path).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("mutant"):
                yield node.name, _mutation(path, node.name, decorator)


def _mutation(path: Path, name: str, decorator: ast.Call) -> Mutation:
    try:
        words = {str(word.arg): ast.literal_eval(word.value) for word in decorator.keywords}
        inspect.signature(mutant).bind(**words)
    except (ValueError, TypeError) as error:
        text = f"{path}: @mutant of {name} takes literal arguments of its own names (planning reads the text): {error}"
        raise ConfigurationFaults([text]) from None
    return Mutation(**words)
