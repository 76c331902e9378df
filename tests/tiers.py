"""Three tiers of the suite: `--fast`, the default, and `--thorough`.

| command | runs |
|---|---|
| `./run test --fast` | the files of `FAST`: rules, contracts, laws and errors, in about two minutes on two cores |
| `./run test` | every test that is not marked `slow` |
| `./run test --thorough` | everything, as once a week on the forge |

A test is marked `slow` if it repeats at greater scale what another test of the default tier checks: more random cases,
longer chains, the rest of a sweep. A test that is named together with its file runs in every tier. Each run ends with
the number of tests that its tier left out.
"""

from pathlib import Path

import pytest

# Files and folders below tests/. What they compile is little, so that they stay fast.
FAST = (
    "contract",
    "docs/test_architecture.py",
    "docs/test_faults.py",
    "docs/test_pages.py",
    "genjax/core/test_enumeration.py",
    "genjax/core/test_errors.py",
    "genjax/core/test_handlers.py",
    "genjax/core/test_laws.py",
    "genjax/core/test_laws_at_the_edges.py",
    "genjax/core/test_selection_checks.py",
    "genjax/pjax/test_errors.py",
    "genjax/test_known_faults.py",
    "genjax/test_public_names.py",
    "pipelines/test_schema.py",
    "pipelines/test_store.py",
    "pipelines/test_timing.py",
    "pipelines/test_words.py",
    "run/test_changelog.py",
    "test_forge.py",
    "test_import_rules.py",
    "test_module_size.py",
    "test_no_hosts.py",
    "test_pixi.py",
    "test_requirements.py",
)
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser):
    group = parser.getgroup("tiers", "how much of the suite runs (tests/tiers.py)")
    group.addoption("--fast", action="store_true", help="rules, contracts, laws and errors: about two minutes")
    group.addoption("--thorough", action="store_true", help="also the tests that are marked slow")


def pytest_configure(config):
    if config.option.fast and config.option.thorough:
        raise pytest.UsageError("--fast and --thorough exclude each other: give one of them, or none.")
    config.stash[LEFT_OUT] = {"tests": 0, "files": 0}


def tier(config) -> str:
    # Whoever writes -m with the word slow selects by that mark and needs no tier.
    if config.option.thorough or "slow" in config.option.markexpr:
        return "thorough"
    return "fast" if config.option.fast else "default"


def pytest_report_header(config):
    return {
        "fast": f"tier: fast, the {len(FAST)} files and folders of tests/tiers.py",
        "default": "tier: default, without the tests marked slow (--thorough runs them too, --fast runs much less)",
        "thorough": "tier: thorough, every test",
    }[tier(config)]


def is_named(path: Path, config) -> bool:
    """Whether the command line names this file, rather than a folder with it."""
    named = (config.invocation_params.dir / argument.partition("::")[0] for argument in config.args)
    return any(path == one.resolve() for one in named)


def is_fast(path: Path, config) -> bool:
    tests = config.rootpath / "tests"
    return any(path == tests / name or tests / name in path.parents for name in FAST)


def pytest_ignore_collect(collection_path, config):
    """Under --fast the other files are not even imported."""
    if tier(config) != "fast" or not collection_path.match("test_*.py") or not collection_path.is_file():
        return None
    if is_fast(collection_path, config) or is_named(collection_path, config):
        return None
    config.stash[LEFT_OUT]["files"] += 1
    return True


def pytest_collection_modifyitems(config, items):
    if tier(config) == "thorough":
        return
    left = [item for item in items if item.get_closest_marker("slow") and not is_named(item.path, config)]
    config.stash[LEFT_OUT]["tests"] = len(left)
    config.hook.pytest_deselected(items=left)
    chosen = set(items) - set(left)
    items[:] = [item for item in items if item in chosen]


def pytest_sessionfinish(session):
    """With -n, the workers collect and the controller counts: each worker sends the same numbers."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    # A worker that crashed has sent nothing.
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_terminal_summary(terminalreporter, config):
    left = config.stash[LEFT_OUT]
    parts = [f"{left['files']} test files that are not in the fast tier"] if left["files"] else []
    parts += [f"{left['tests']} tests marked slow"] if left["tests"] else []
    if parts:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"left out by the {tier(config)} tier: {' and '.join(parts)}. --thorough runs every test."
        )


def slow_except(kept, cases, together=False):
    """Cases of a sweep for `parametrize`: those in `kept` run in the default tier, the others are marked slow.

    Args:
        together: each case is a tuple with a value for each of several names.
    """
    assert kept and all(one in cases for one in kept), f"{kept} are to be some of {cases}"
    marks = {False: (), True: (pytest.mark.slow,)}
    return [pytest.param(*(case if together else (case,)), marks=marks[case not in kept]) for case in cases]
