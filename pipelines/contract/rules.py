"""The rules of the contract by name, each with the line that states it, so that a message can point there."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.plan.tree import REPOSITORY

BASE, STUDY = "frameworks/base.py", "studies/base.py"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        text: what must hold.
        file: where the contract says so, relative to this checkout.
        phrase: words on the line that does.
    """

    text: str
    file: str
    phrase: str

    @property
    def place(self) -> str:
        """`frameworks/base.py:41`."""
        lines = (REPOSITORY / self.file).read_text(encoding="utf-8").splitlines()
        found = next((number for number, line in enumerate(lines, 1) if self.phrase in line), None)
        if found is None:
            raise LookupError(f"{self.file} has no line with {self.phrase!r}, which a rule of the contract points to.")
        return f"{self.file}:{found}"


RULES = {
    "program": Rule("a model function returns a Program", BASE, "(framework, data, parameters) -> Program"),
    "runs": Rule("prepare and run work for every cell", BASE, "class Program"),
    "outputs": Rule("outputs are a flat dict from names to arrays of numbers", BASE, "is a flat dict from name"),
    "dtype": Rule("float outputs have the precision that was asked for", BASE, "same names, dtypes as computed"),
    "shapes": Rule("all systems return the same names and shapes for a task", BASE, "same names and shapes"),
    "support": Rule("outputs are in the space of the model", BASE, "in the space of the model"),
    "repeatable": Rule("equal seeds give equal outputs", BASE, "two calls with one seed must give equal inputs"),
    "seed": Rule("other seeds give other outputs", BASE, "Called again with a fresh seed"),
    "fresh": Rule("every call of a block has random state that no other call has", BASE, "each with random state that"),
    "inputs": Rule("run leaves its inputs as they are", BASE, "`run(inputs) -> outputs`, the timed part"),
    "synchronize": Rule("synchronize waits until the work is done", BASE, "Waits until every array in"),
    "protocol": Rule("a worker of its own keeps to the protocol", BASE, "speaks the protocol of `pipelines/workers"),
    "stdout": Rule("nothing is printed on standard output", BASE, "Nothing is printed"),
    "notes": Rule("notes are JSON values", BASE, "facts worth keeping beside the row, JSON values only"),
    "data": Rule("equal parameters give equal data", STUDY, "so equal parameters must give"),
    "verdict": Rule("the gate returns a Verdict", STUDY, "-> Verdict`, the gate"),
    "gate": Rule("the outputs pass the study's gate", STUDY, "-> Verdict`, the gate"),
    "mutants": Rule("programs that are wrong on purpose come out invalid", STUDY, "wrong on purpose"),
    "figures": Rule("every figure can be drawn from a smoke run", STUDY, "functions marked with `@figure`"),
}


@dataclass(frozen=True)
class Broken:
    """A rule that does not hold.

    Args:
        rule: its name in `RULES`.
        where: file and line of the plug-in, `models/x.py:12`.
        cell: what was run.
        message: what was found.
    """

    rule: str
    where: str
    cell: str
    message: str

    def __str__(self) -> str:
        rule = RULES[self.rule]
        return f"{self.where}: {self.rule}: {self.message} ({self.cell}). The contract: {rule.text}; {rule.place}"


def line_of(path: Path, function: str) -> int:
    """The line on which a function of a Python or Julia file begins; 1 if there is none."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        begins = re.compile(rf"(?:function )?{re.escape(function)}\(")
        return next((number for number, line in enumerate(text.splitlines(), 1) if begins.match(line)), 1)
    tree = ast.parse(text)
    return next((n.lineno for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function), 1)
