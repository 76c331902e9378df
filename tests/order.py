"""The order of the files, so that both workers of `./run test` are busy to the end.

xdist gives whole files to its workers, by itself the ones with most tests first. Then long files of few tests come
last, and one worker waits for the other. Here those come first; the others follow by their number of tests. The task
`test` of pixi.toml tells xdist to keep this order (`--no-loadscope-reorder`), and prints the slowest tests at its end.
"""

import itertools

LONG = (
    "run/test_run.py",
    "frameworks/test_lowering.py",
    "studies/test_mutants.py",
    "genjax/inference/kernels/test_protocol.py",
    "genjax/inference/test_sharded.py",
    "studies/localization/test_filters.py",
    "genjax/inference/test_warmup.py",
    "genjax/inference/kernels/test_calibration.py",
    "docs/test_inference.py",
    "docs/test_extending.py",
    "genjax/inference/test_calibration_after_adaptation.py",
    "pipelines/test_misbehaving_workers.py",
    "genjax/distributions/test_tails.py",
    "pipelines/test_faults.py",
    "docs/test_language.py",
    "studies/gol/test_models.py",
    "pipelines/test_whole_commands.py",
    "docs/test_site.py",
    "pipelines/test_end_to_end.py",
    "docs/test_examples.py",
    "frameworks/test_faircoin_cost.py",
    "test_examples.py",
    "genjax/core/test_laws.py",
    "pipelines/test_bench_curvefit.py",
    "studies/perfbench/test_cost.py",
    "frameworks/test_pyro_nuts.py",
    "genjax/core/test_observed.py",
    "pipelines/test_unchanged_figures.py",
    "pipelines/test_simulate.py",
)


def pytest_collection_modifyitems(config, items):
    """Only where workers take whole files: a single process runs them in the usual order."""
    if not hasattr(config, "workerinput"):
        return
    tests = config.rootpath / "tests"
    files = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.path)]
    files.sort(key=lambda group: place(group[0].path.relative_to(tests).as_posix(), len(group)))
    items[:] = itertools.chain.from_iterable(files)


def place(name, n_tests):
    """Sorts long files before the others, and those by their number of tests."""
    return (LONG.index(name), 0) if name in LONG else (len(LONG), -n_tests)
