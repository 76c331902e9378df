"""The flags of every study, and how flags and short options become overrides.

A study's own flags, those of the published artifact, are in its `flags.py`; see `studies.base.Flag`. A flag is written
`--num-obs 50`, `--num-obs=50` or, as an option, `num_obs=50`; each stands for the overrides in its entry. `{value}` is
the flag's value; a flag with several values (`--particles 1000 5000`) takes them as a list.
"""

from collections.abc import Sequence
from typing import Any

from pipelines.config.study_flags import declared
from pipelines.errors import unknown
from pipelines.plan.tree import Tree
from studies.base import Flag

COMMON: dict[str, Flag] = {
    "seed": Flag(("seed={value}",)),
    "device": Flag(("device={value}",)),
    "mode": Flag(("device={value}",)),
    "size": Flag(("size={value}",)),
    "study": Flag(("study={value}",)),
    "frameworks": Flag(("frameworks={value}",), many=True),
    "output-dir": Flag(("figs={value}",)),
}
"""Flags of every study."""


def named_study(words: Sequence[str]) -> str | None:
    """The study that command-line words name, the last of several: `study=NAME`, `--study=NAME` or `--study NAME`."""
    found = None
    for index, word in enumerate(words):
        name, has_value, value = word.removeprefix("--").partition("=")
        if name != "study":
            continue
        if has_value:
            found = value
        elif word.startswith("--") and index + 1 < len(words):
            found = words[index + 1]
    return found.strip("[] '\"") if found else None


def flags_of(tree: Tree, study: str | None) -> dict[str, Flag]:
    """The flags that a study has of its own, `FLAGS` of its `flags.py`; none for no study.

    Raises:
        ConfigurationFaults: the file cannot be used.
    """
    return _of_study(tree, study, "FLAGS")


def words_of(tree: Tree, study: str | None) -> dict[str, tuple[str, ...]]:
    """The subcommands of a study, `WORDS` of its `flags.py`, with the overrides that each stands for.

    Raises:
        ConfigurationFaults: the file cannot be used.
    """
    return _of_study(tree, study, "WORDS")


def _of_study(tree: Tree, study: str | None, name: str) -> dict[str, Any]:
    if study is None or study not in tree.studies():
        return {}
    path = tree.flags_path(study)
    return {} if path is None else declared(path, study)[name]


def table(tree: Tree, study: str | None) -> dict[str, Flag]:
    """The flags that apply to a study (or to all of them, if it is None)."""
    return {**COMMON, **flags_of(tree, study)}


def spellings(tree: Tree) -> dict[str, str]:
    """Other spellings of frameworks, in the artifact and its documents, and the name here."""
    found = {}
    for name in tree.frameworks():
        for other in dict.fromkeys([name.replace("_", "-"), *tree.describe(name).spellings]):
            if other != name:
                found[other] = name
    return found


def translate(arguments: list[str], study: str | None, tree: Tree) -> tuple[list[str], list[str]]:
    """Turns flags and options into overrides.

    Args:
        arguments: command-line words; those that are overrides already pass through.
        study: the study whose flags apply.
        tree: the checkout, which has the studies' flags.

    Returns:
        (overrides, faults), one sentence per fault.
    """
    own_flags, own_words = flags_of(tree, study), words_of(tree, study)
    flags = {**COMMON, **own_flags}
    overrides: list[str] = []
    faults: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in own_words:
            overrides.extend(own_words[word])
            continue
        if not word.startswith("--"):
            name, has_value, value = word.partition("=")
            # `STUDY.target=x` is the flag --target of that study.
            prefix, has_study, own = name.partition(".")
            is_of_study = bool(has_study) and prefix == study and own.replace("_", "-") in own_flags
            option = flags.get((own if is_of_study else name).replace("_", "-"))
            if has_value and option is not None and option.takes_value and (is_of_study or option.choices is not None):
                _expand(name, option, value, overrides, faults)
            else:
                overrides.append(word)
            continue
        name, inline, value = word[2:].partition("=")
        name = name.replace("_", "-")
        if name not in flags:
            faults.append(unknown("flag", f"--{name}", [f"--{known}" for known in flags]))
            while words and not words[0].startswith("--") and "=" not in words[0]:
                words.pop(0)  # its values
            continue
        flag = flags[name]
        if not flag.takes_value:
            if inline:
                faults.append(f"--{name} takes no value, got {value!r}.")
            overrides.extend(flag.overrides)
            continue
        if not inline:
            values: list[str] = []
            while words and not words[0].startswith("--") and (flag.many or not values) and "=" not in words[0]:
                values.append(words.pop(0))
            if not values:
                faults.append(f"--{name} needs a value, as in `--{name} VALUE`.")
                continue
            value = f"[{','.join(values)}]" if flag.many else values[0]
        elif flag.many and not value.startswith("["):
            value = f"[{value}]"
        _expand(name, flag, value, overrides, faults)
    known = spellings(tree)
    return [_with_known_frameworks(override, known) for override in overrides], faults


def _with_known_frameworks(override: str, spelled: dict[str, str]) -> str:
    """An override of a list of frameworks with each named as its file is, once."""
    key, has_value, value = override.partition("=")
    if not has_value or key.rpartition(".")[2] != "frameworks" or not value.startswith("["):
        return override
    names = [name.strip().strip("'\"") for name in value.strip("[]").split(",") if name.strip()]
    known = dict.fromkeys(spelled.get(name.lower(), name) for name in names)
    return f"{key}=[{','.join(known)}]"


def _expand(name: str, flag: Flag, value: str, overrides: list[str], faults: list[str]) -> None:
    if flag.absent is not None:
        given = [word.strip() for word in value.strip("[]").split(",")]
        faults.extend(unknown(f"value of {name}", word, flag.absent) for word in given if word not in flag.absent)
        overrides.extend(word for name, words in flag.absent.items() if name not in given for word in words)
    elif flag.choices is None:
        overrides.extend(override.format(value=value) for override in flag.overrides)
    elif value in flag.choices:
        overrides.extend(flag.choices[value])
    else:
        faults.append(unknown(f"value of {name}", value, flag.choices))
