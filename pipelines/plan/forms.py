"""The forms of a system's programs, read from the text of its model files: planning imports no framework.

`frameworks.base.form` says what a form is. A model file in Python registers one by a decorator; a file in another
language by a comment directly above the function, `# form("name", "idiom", source="...", mark="...")`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from frameworks.base import Form
from pipelines.errors import ConfigurationFaults

SEPARATOR = "__"


def function_name(task: str, form: str | None) -> str:
    """The function of a model file that makes the program of a task: the published one, or that of a named form."""
    return task if form is None else f"{task}{SEPARATOR}{form}"


def forms_of(path: Path, task: str) -> dict[str, Form]:
    """The forms of a task in one model file by the function's name, the published one first.

    Raises:
        ConfigurationFaults: a form's arguments are not literals, its name is not that of its function, or two forms of
            the task have one name.
    """
    own: dict[str, Form] = {}
    for function, form in _registered(path) if path.is_file() else ():
        if function == task or function.startswith(task + SEPARATOR):
            own[function] = form
    faults = [
        f"{path}: {function} is registered as the form {form.name!r}. Name the function {task}{SEPARATOR}{form.name}."
        for function, form in own.items()
        if function not in (task, function_name(task, form.name))
    ]
    names = [form.name for form in own.values()]
    faults += [f"{path}: two forms of {task} are named {name!r}." for name in set(names) if names.count(name) > 1]
    if own and task not in own:
        faults.append(f"{path}: {task} has forms, and {task} itself, the published one, is not among them.")
    if faults:
        raise ConfigurationFaults(sorted(faults))
    return dict(sorted(own.items(), key=lambda item: item[0] != task))


def notes_of(path: Path, function: str) -> dict[str, str]:
    """What the record of a cell says of its form: `form`, and `form_idiom` and `form_mark` where they are not empty."""
    form = dict(_registered(path)).get(function) if path.is_file() else None
    if form is None:
        return {}
    said = asdict(form)
    return {"form": form.name, **{f"form_{key}": said[key] for key in ("idiom", "mark") if said[key]}}


def _registered(path: Path) -> Iterator[tuple[str, Form]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from _in_comments(path, text)
        return
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in ("form", "base.form"):
                yield node.name, _literal(path, decorator)


def _in_comments(path: Path, text: str) -> Iterator[tuple[str, Form]]:
    """The last lines of a block of comments, from the one that begins with `# form(`, and the function below it."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if not line.startswith("# form("):
            continue
        end = next((i for i in range(start, len(lines)) if not lines[i].startswith("#")), len(lines))
        below = re.match(r"(?:function )?(\w+)\(", lines[end] if end < len(lines) else "")
        if below is None:
            raise ConfigurationFaults(
                [f"{path}: a form stands on line {start + 1}, but no function directly below it."]
            )
        said = " ".join(one.removeprefix("#").strip() for one in lines[start:end])
        try:
            call = ast.parse(said, mode="eval").body
        except SyntaxError as error:
            raise ConfigurationFaults([f"{path}: the form on line {start + 1} cannot be read: {error.msg}."]) from None
        if isinstance(call, ast.Call):
            yield below.group(1), _literal(path, call)


def _literal(path: Path, call: ast.Call) -> Form:
    try:
        values = [ast.literal_eval(argument) for argument in call.args]
        return Form(*values, **{str(word.arg): ast.literal_eval(word.value) for word in call.keywords})
    except (ValueError, TypeError):
        raise ConfigurationFaults(
            [
                f"{path}: the arguments of {ast.unparse(call)[:80]} must be literals: "
                "form(name, idiom, source=, mark=, aside=)."
            ]
        ) from None
