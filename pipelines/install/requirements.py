"""The requirements files: exact versions in named groups, and which groups an environment shall hold."""

import hashlib
import os
from pathlib import Path

from pipelines.attributes import Attributes, Unreadable, is_framework
from pipelines.install.fault import ROOT, InstallationFault

OPTIONAL_REQUIREMENTS = "requirements-optional.txt"
REQUIRED_GROUPS = ("core", "test")
EXTENSIONS = "ARTIFACT_EXTENSIONS"
"""The variable that names folders of extensions, apart as in PATH."""
REQUIREMENTS = "requirements.txt"


def all_groups() -> dict[str, list[str]]:
    """Return the groups of requirements.txt, and those of frameworks that name requirements in their own files."""
    groups = read_groups()
    for name, lines in framework_groups().items():
        groups[name] = [*groups.get(name, []), *lines]
    return groups


def framework_groups() -> dict[str, list[str]]:
    """Return framework -> the `requirements` that its file names, read from the text; see `pipelines.attributes`.

    A file of an extension that cannot be read names none: the plan refuses it, with the reason, and the rest goes on.

    Raises:
        InstallationFault: such a file of this checkout.
    """
    folders = [Path(folder) / "frameworks" for folder in (ROOT, *extension_folders())]
    attributes, groups = Attributes(folders), {}
    for path in [path for folder in folders for path in sorted(folder.glob("*.py")) if is_framework(path)]:
        try:
            found = attributes.of(path, path.stem, ("requirements",))
        except Unreadable as error:
            if path.parent == folders[0]:
                raise InstallationFault(str(error)) from None
            continue
        if found is not None and found[0].get("requirements") and path.stem not in groups:
            groups[path.stem] = [str(line) for line in found[0]["requirements"]]
    return groups


def extension_folders() -> list[str]:
    """Return the folders of extensions that this run names; see `pipelines.plan.extensions`."""
    return [folder for folder in os.environ.get(EXTENSIONS, "").split(os.pathsep) if folder]


def named_extensions(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the folders that `extensions=[A,B]` names among command-line words, and the other words."""
    named = [word for word in words if word.lstrip("-").startswith("extensions=")]
    lists = [word.partition("=")[2].strip().removeprefix("[").removesuffix("]") for word in named]
    folders = [folder.strip().strip("'\"") for text in lists for folder in text.split(",")]
    return [folder for folder in folders if folder], [word for word in words if word not in named]


def with_dependents(groups: list[str], name: str = REQUIREMENTS) -> list[str]:
    """Return the groups and those that need one of them, which would pull it in: headings such as `# [b: a]` say so."""
    needs = dict(_headings(name))
    found = list(groups)
    for group in needs:  # a group stands below those that it needs
        if group not in found and set(needs[group]) & set(found):
            found.append(group)
    return found


def _headings(name: str) -> list[tuple[str, list[str]]]:
    path = os.path.join(ROOT, name)
    lines = Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []
    return [_heading(line) for line in map(str.strip, lines) if line.startswith("# [") and "]" in line]


def _heading(line: str) -> tuple[str, list[str]]:
    """The group of a heading `# [group: needed, needed] why`, and the groups that it needs."""
    group, _, needed = line[3 : line.index("]")].partition(":")
    return group.strip(), [one.strip() for one in needed.split(",") if one.strip()]


def read_groups(name: str = REQUIREMENTS) -> dict[str, list[str]]:
    """Return group -> requirement lines of a requirements file, in the order of the file."""
    groups: dict[str, list[str]] = {}
    current = None
    path = os.path.join(ROOT, name)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if name == OPTIONAL_REQUIREMENTS:
            return {}
        raise InstallationFault(f"{path} is missing. Is this a whole checkout?") from None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("# [") and "]" in line:
            current = _heading(line)[0]
            groups[current] = []
        elif line and not line.startswith("#"):
            if current is None:
                raise InstallationFault(f"{path}: {line!r} stands before the first group.")
            groups[current].append(line)
    return groups


def left_out() -> list[str]:
    """Return the groups that RUN_WITHOUT names."""
    return [name.strip() for name in os.environ.get("RUN_WITHOUT", "").split(",") if name.strip()]


def without_also(groups: list[str]) -> str:
    """Return the RUN_WITHOUT setting that leaves out these groups too, to be shown to the user."""
    return "RUN_WITHOUT=" + ",".join(dict.fromkeys([*left_out(), *groups]))


def names_of(lines: list[str]) -> set[str]:
    """Return the normalised package names of requirement lines."""
    return {normal(line.split("==")[0].split(";")[0].split("[")[0].strip()) for line in lines}


def normal(name: str) -> str:
    """Return a package name as packaging compares it (PEP 503)."""
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def fingerprint(lines: list[str]) -> str:
    """Return a short hash of a group's requirements."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def write_lines(path: str, lines: list[str]) -> None:
    """Write a text file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
