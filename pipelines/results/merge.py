"""Records of several folders in one, and records that nothing asks for any more.

./run merge A B ... into C     every record of A, B, ... joins those of C; A and B stay as they are
./run prune [results=FOLDER]   shows the records that newer ones of their cells have replaced; `yes` removes them
"""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config.paths import typed_path
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, UserError
from pipelines.output.terminal import Terminal
from pipelines.plan.tree import REPOSITORY
from pipelines.results.compare import opened, tasks
from pipelines.results.store import Store, by_age


@dataclass
class Merged:
    """How many records came, were there already, and were left because what was there is newer."""

    added: int = 0
    equal: int = 0
    older: int = 0


def merge(sources: Iterable[Store], target: Store) -> Merged:
    """Copies every right record of the sources into the target.

    The key of a record counts its machine, so records of other machines and devices never meet; of two records of one
    key the newer one stays. A record that cannot be read, or that a newer version of this program wrote, is named and
    left out, as in every reading.
    """
    counts = Merged()
    with target.exclusive():
        for source in sources:
            for study, task in tasks(source):
                there = {record["key"]: record for record in target.records(study, task)}
                for record in source.records(study, task):
                    loaded = source.load(study, task, record["key"])
                    if loaded is None:
                        continue
                    old = there.get(record["key"])
                    if old is not None and old.get("arrays_sha256") == record.get("arrays_sha256"):
                        counts.equal += 1
                    elif old is not None and by_age(old) >= by_age(record):
                        counts.older += 1
                    else:
                        target.save(*loaded)
                        counts.added += 1
    return counts


def replaced(store: Store) -> list[Path]:
    """Folders of the records that are not the newest of their cell on their machine."""
    found = []
    for study, task in tasks(store):
        for records in store.history(study, task).values():
            newest = {_machine(record): record["key"] for record in records}
            found += [store.root / study / task / one["key"] for one in records if one["key"] != newest[_machine(one)]]
    return found


def _machine(record: dict[str, Any]) -> tuple[Any, Any]:
    return record["provenance"].get("host"), record["provenance"].get("cpu")


def main(arguments: list[str]) -> int:
    """`merge` or `prune`, and what they need."""
    kind, *words = arguments or [""]
    if kind not in ("merge", "prune") or any(word in ("--help", "-h") for word in words):
        print(__doc__)
        return 0 if any(word in ("--help", "-h") for word in arguments) else 2
    return guarded(lambda: _merge(words) if kind == "merge" else _prune(words))


def _merge(words: list[str]) -> int:
    if len(words) < 3 or words[-2] != "into" or "into" in words[:-2]:
        raise ConfigurationFaults([f"merge {' '.join(words)}: write it as `./run merge A B into C`."])
    *sources, _, target = [word if word == "into" else typed_path(word, REPOSITORY) for word in words]
    same = [source for source in sources if Path(source).resolve() == Path(target).resolve()]
    if same:
        raise UserError(f"{same[0]} is the folder to merge into; name only the others before `into`.")
    console = Terminal()
    say = console.print
    stores = [opened(Path(source)) for source in sources]
    counts = merge(stores, Store(Path(target), say))
    text = f"{target}: {counts.added} records added, {counts.equal} were there"
    say(text + (f", {counts.older} older than what was there" if counts.older else ""), highlight=False, soft_wrap=True)
    return 0


def _prune(words: list[str]) -> int:
    unknown = [word for word in words if word != "yes" and not word.startswith("results=")]
    if unknown:
        raise ConfigurationFaults([f"prune does not know {unknown[0]!r}: it takes results=FOLDER and `yes`."])
    named = [word.partition("=")[2] for word in words if word.startswith("results=")]
    store = opened(typed_path(named[-1], REPOSITORY) if named else REPOSITORY / "results")
    console = Terminal()
    with store.exclusive():
        folders = replaced(store)
        for folder in folders:
            console.print(f"  {folder.relative_to(store.root)}", highlight=False, soft_wrap=True)
        if not folders:
            console.print("Every record is the newest of its cell.", highlight=False)
        elif "yes" in words:
            for folder in folders:
                shutil.rmtree(folder)
            console.print(f"removed {len(folders)} records", highlight=False)
        else:
            command = " ".join(["./run prune", *words, "yes"])
            text = f"{len(folders)} records have newer ones beside them. To remove them: {command}"
            console.print(text, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
