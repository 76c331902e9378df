"""Revisions of this repository as checkouts side by side: git worktrees in a scratch folder, removed afterwards."""

import ast
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import UserError
from pipelines.plan.tree import Tree
from pipelines.results import helpers
from pipelines.workers import protocol

GIT_SECONDS = 300.0
"""A checkout on a slow disk takes a while."""

WORKER, PROTOCOL = Path("pipelines/workers/worker.py"), Path("pipelines/workers/protocol.py")
NEEDED = (Path("frameworks/base.py"), Path("studies"), WORKER, PROTOCOL)
"""What a revision must hold for its programs to run in its own workers."""


@dataclass(frozen=True)
class Revision:
    """One revision, checked out.

    Args:
        name: as the user typed it.
        commit: its full hash.
        subject: the first line of its message.
        tree: its folder, whose own workers run its programs.
    """

    name: str
    commit: str
    subject: str
    tree: Tree

    @property
    def title(self) -> str:
        """Name, hash and subject in one line."""
        return f"{self.name} ({self.commit[:12]}: {self.subject})"


@contextmanager
def checked_out(root: Path, names: Sequence[str], scratch: Path) -> Iterator[list[Revision]]:
    """The revisions, each in a folder of its own under `scratch`; git forgets them at the end.

    Neither the checkout at `root` nor its branch, index or uncommitted changes are touched.

    Raises:
        UserError: git is not there, knows no such revision, or a revision has another layout or protocol than this
            checkout.
    """
    commits = [_commit(root, name) for name in names]
    folders = [scratch / f"revision-{number}" for number in range(len(names))]
    try:
        for name, commit, folder in zip(names, commits, folders, strict=True):
            _git(root, f"check out {name}", "worktree", "add", "--detach", "--force", "--quiet", str(folder), commit)
            _require_layout(name, folder)
        yield [
            Revision(name, commit, _git(root, f"read {name}", "show", "-s", "--format=%s", commit), _tree(folder))
            for name, commit, folder in zip(names, commits, folders, strict=True)
        ]
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        helpers.ask("git", "-C", str(root), "worktree", "prune", limit_seconds=GIT_SECONDS)
        helpers.forget()  # what git said of these folders is not true of others


def uncommitted(root: Path) -> bool:
    """Whether the checkout has changes that are part of no revision."""
    return bool(helpers.ask("git", "-C", str(root), "status", "--porcelain").text)


def _tree(folder: Path) -> Tree:
    return Tree(folder, harness=folder)


def _commit(root: Path, name: str) -> str:
    top = helpers.ask("git", "-C", str(root), "rev-parse", "--show-toplevel")
    if top.text is None or Path(top.text).resolve() != root.resolve():
        reason = top.reason or "it lies inside another repository"
        raise UserError(
            f"compare --commits checks revisions out with git, and {root} is not a repository that git reads: "
            f"{reason}. Compare two folders of results instead: ./run compare OLD NEW."
        )
    found = helpers.ask("git", "-C", str(root), "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if found.text is None:
        raise UserError(
            f"compare --commits: git knows no revision {name!r} here. Name a commit, branch or tag; `git log "
            "--oneline` lists some, and `git fetch --unshallow` brings the rest into a shallow clone."
        )
    return found.text


def _git(root: Path, purpose: str, *words: str) -> str:
    found = helpers.ask("git", "-C", str(root), "-c", "core.hooksPath=/dev/null", *words, limit_seconds=GIT_SECONDS)
    if found.text is None:
        raise UserError(f"compare --commits cannot {purpose}: git: {found.reason}")
    return found.text


def _require_layout(name: str, folder: Path) -> None:
    missing = [path.as_posix() for path in NEEDED if not (folder / path).exists()]
    if missing:
        raise UserError(
            f"compare --commits: {name} has no {', '.join(missing)}: it is older than the layout that is compared "
            "here. Measure it with its own commands and compare the folders: ./run compare OLD NEW."
        )
    version = _protocol(folder / PROTOCOL)
    if version != protocol.VERSION:
        raise UserError(
            f"compare --commits: the workers of {name} speak protocol {version}, this checkout protocol "
            f"{protocol.VERSION}: they cannot be timed side by side. Run this from a checkout with the protocol of "
            "both revisions, or measure each and compare the folders: ./run compare OLD NEW."
        )


def _protocol(path: Path) -> object:
    """The value of `VERSION`, read from the text; None where there is none."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError):
        return None
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "VERSION" for t in node.targets):
            return node.value.value if isinstance(node.value, ast.Constant) else None
    return None
