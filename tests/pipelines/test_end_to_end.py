"""Whole runs on the toy checkout: what is measured, what is reused, and what becomes of cells that go wrong."""

import json

import numpy as np
import pytest

from pipelines.results.store import Store


def record_of(toy, framework):
    found = Store(toy.root / "results").records("toy", "total")
    return next(record for record in found if record["identity"]["framework"] == framework)


def test_first_run_measures_proves_and_draws(toy, capsys):
    assert toy.run() == 0
    out = capsys.readouterr().out
    assert "run    toy/total [first, second, third] 3 cells: missing" in out
    assert "toy: 3 ok of 3 cells (3 measured now)" in out
    assert "median over blocks" in out
    record = record_of(toy, "second")
    assert record["status"] == "ok"
    assert record["diagnostics"]["error"] == 0.0 and np.isnan(record["diagnostics"]["missing"])
    assert record["identity"]["parameters"] == {"n_points": 3}
    assert record["phases"].keys() == {"import", "first_call"}
    assert record["notes"] == {"calls": "one sum"}
    assert record["memory"]["peak_host_bytes"] > 1e6
    assert record["timing"]["rounds"] == 5 and record["timing"]["stop"] in ("interval", "rounds")
    provenance = record["provenance"]
    assert provenance["size"] == "smoke" and provenance["cores"] >= 1 and provenance["packages"]["numpy"]
    assert provenance["thread_settings"]["OMP_WAIT_POLICY"] == "PASSIVE"
    _, arrays = Store(toy.root / "results").load("toy", "total", record["key"])
    assert len(arrays["samples_s"]) >= 5 and arrays["samples_s"].dtype == np.float64
    assert arrays["baseline_samples_s"].shape == arrays["samples_s"].shape == (record["timing"]["blocks"],)
    assert arrays["output/total"] == 3.0


def test_figure_files_and_their_sidecar(measured):
    names = sorted(path.name for path in (measured.root / "figs" / "smoke").iterdir() if path.is_file())
    assert names == sorted(
        f"toy_times_points3{device}.{suffix}" for device in ("", "_cpu") for suffix in ("json", "pdf", "png", "svg")
    )
    sidecar = json.loads((measured.root / "figs" / "smoke" / "toy_times_points3.json").read_text())
    assert [row["framework"] for row in sidecar["rows"]] == ["first", "second", "third"]
    assert sidecar["rows"][0]["ratio"] == 1.0 and sidecar["rows"][0]["diagnostics"]["missing"] is None
    assert {row["key"] for row in sidecar["rows"]} == {path.parent.name for path in measured.records()}


def test_second_run_measures_nothing_and_says_so(measured, capsys):
    before = {path: path.read_bytes() for path in measured.records()}
    assert measured.run() == 0
    out = capsys.readouterr().out
    assert "Nothing to measure: every cell is cached or skipped." in out
    assert "cached toy/total [first, second, third] 3 cells" in out
    assert {path: path.read_bytes() for path in measured.records()} == before


def test_option_order_does_not_change_keys(toy, capsys):
    assert toy.run("seed=3", "study.parameters.n_points=5") == 0
    capsys.readouterr()
    assert toy.run("study.parameters.n_points=5", "seed=3") == 0
    assert "Nothing to measure" in capsys.readouterr().out


def test_edited_model_is_stale_and_its_race_runs_again(measured, capsys):
    measured.model("second", before="inputs = dict(inputs)")
    assert measured.run("stages=[plan]") == 0
    out = capsys.readouterr().out
    assert "stale: studies/toy/models/second.py changed" in out
    assert "cached toy/total [first, third] 2 cells" in out
    assert measured.run() == 0
    races = {record_of(measured, name)["timing"]["race"] for name in ("first", "third")}
    assert len(races) == 1, "the finished cells of the race are timed again beside the new one"


@pytest.mark.parametrize(
    "path", ["studies/toy/figures.py", "studies/toy/problem.py", "studies/toy/models/first.py", "frameworks/first.py"]
)
def test_comments_and_figures_do_not_make_a_measurement_stale(measured, capsys, path):
    measured.write(path, '"""Another docstring."""\n# a comment\n' + (measured.root / path).read_text())
    if path.endswith("figures.py"):
        measured.write(path, (measured.root / path).read_text().replace("(2, 2)", "(3, 2)"))
    assert measured.run() == 0
    assert "Nothing to measure" in capsys.readouterr().out


def test_edited_gate_is_stale(measured, capsys):
    measured.write(
        "studies/toy/problem.py",
        (measured.root / "studies/toy/problem.py").read_text().replace("error < 1e-6", "error < 1e-7"),
    )
    assert measured.run("stages=[plan]") == 0
    assert "stale: studies/toy/problem.py changed" in capsys.readouterr().out


def test_wrong_answer_is_invalid_and_never_timed(toy, capsys):
    toy.model("second", wrong=1.0)
    assert toy.run() == 1
    out = capsys.readouterr().out
    assert "invalid  total second: total is off by 1 (limit 1e-6)" in out
    record = record_of(toy, "second")
    assert record["status"] == "invalid" and "timing" not in record
    assert record["diagnostics"]["error"] == 1.0
    assert record_of(toy, "third")["status"] == "ok"


def test_failure_is_reported_kept_and_not_reused(toy, capsys):
    toy.model("second", before="raise RuntimeError('the sum is broken')")
    assert toy.run() == 1
    assert "failed   total second: RuntimeError: the sum is broken" in capsys.readouterr().out
    record = record_of(toy, "second")
    assert record["status"] == "failed" and "raise RuntimeError" in record["traceback"]
    first = record_of(toy, "first")["timing"]["race"]
    assert toy.run() == 1
    out = capsys.readouterr().out
    assert "run    toy/total [second] 1 cell: failed last time: RuntimeError: the sum is broken" in out
    assert record_of(toy, "first")["timing"]["race"] == first, "a cell that fails again re-times nobody"


def test_out_of_memory_has_its_own_status(toy):
    toy.model("second", before="raise MemoryError('RESOURCE_EXHAUSTED: 8 GiB')")
    assert toy.run() == 1
    assert record_of(toy, "second")["status"] == "oom"


def test_framework_without_model_takes_no_part_and_without_package_is_an_expected_skip(toy, capsys):
    (toy.root / "studies/toy/models/second.py").unlink()
    toy.framework("third", 'distributions = ("no-such-package",)\nrequirements = ("no-such-package==1.0",)')
    assert toy.run() == 0
    out = capsys.readouterr().out
    assert "absent toy/total [second] 0 cells: no model of toy" in out
    assert "total second" not in out
    assert "skipped  total third: no-such-package is not installed" in out


def test_framework_configuration_overrides_the_file(toy):
    toy.write("configs/framework/second.yaml", "label: The Second\nenvironment: {TOY: '1'}\n")
    toy.model("second", before="import os; assert os.environ['TOY'] == '1'")
    assert toy.run() == 0
    assert "The Second" in (toy.root / "results" / "report.md").read_text()


def test_gate_only_tasks_with_a_grid_and_replicates(toy, capsys):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    block = "    baseline: first\n    stages: [gate]\n    replicates: 2\n    grid: {n_points: [3, 7]}\n"
    toy.write("configs/study/toy.yaml", text.replace("    baseline: first\n", block))
    assert toy.run("stages=[run,report]", "frameworks=[first]") == 0
    assert "toy: 4 ok of 4 cells (4 measured now)" in capsys.readouterr().out
    records = list(Store(toy.root / "results").records("toy", "total"))
    assert {(r["identity"]["parameters"]["n_points"], r["identity"]["seed"]) for r in records} == {
        (n, seed) for n in (3, 7) for seed in (20260122, 20260123)
    }
    assert not any("timing" in record for record in records)


def test_race_over_a_parameter_within_one_framework(toy):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    block = "    baseline: {n_points: 3}\n    race_over: [n_points]\n    grid: {n_points: [3, 7]}\n"
    toy.write("configs/study/toy.yaml", text.replace("    baseline: first\n", block))
    assert toy.run("stages=[run,report]", "frameworks=[second]") == 0
    records = list(Store(toy.root / "results").records("toy", "total"))
    assert len({record["timing"]["race"] for record in records}) == 1
    assert {r["identity"]["parameters"]["n_points"]: r["timing"]["is_baseline"] for r in records} == {3: True, 7: False}


def test_drawing_alone_uses_the_newest_rows_and_flags_them(measured, capsys):
    measured.model("second", before="inputs = dict(inputs)")
    assert measured.run("stages=[figures,report]") == 0
    assert "measured with earlier sources" in capsys.readouterr().out


def test_drawing_alone_without_rows_is_an_error_status(toy, capsys):
    assert toy.run("stages=[figures]") == 1
    assert "failed   total first: not measured" in capsys.readouterr().out


def test_broken_figure_does_not_lose_rows(toy, capsys):
    toy.write(
        "studies/toy/figures.py",
        (toy.root / "studies/toy/figures.py").read_text().replace("drawing.add_subplot()", "1 / 0"),
    )
    assert toy.run() == 1
    captured = capsys.readouterr()
    assert "FAILED figure times: ZeroDivisionError: division by zero" in captured.out
    assert len(toy.records()) == 3


def test_figure_that_has_nothing_to_show_says_why_and_is_no_failure(toy, capsys):
    text = (toy.root / "studies/toy/figures.py").read_text()
    raised = "__import__('studies.base').base.NothingToDrawError"
    nothing = f"(_ for _ in ()).throw({raised}('no pair was asked for'))"
    toy.write("studies/toy/figures.py", text.replace("drawing.add_subplot()", nothing))
    assert toy.run() == 0
    captured = capsys.readouterr()
    assert "no pair was asked for" in captured.out and "FAILED" not in captured.out


def test_broken_check_is_a_failure_with_its_reason(toy):
    toy.write(
        "studies/toy/problem.py",
        (toy.root / "studies/toy/problem.py").read_text().replace('problem.truth["total"]', 'problem.truth["sum"]'),
    )
    assert toy.run() == 1
    assert record_of(toy, "first")["reason"] == "the check of total raised KeyError: 'sum'"


def test_report_names_the_estimator_and_every_row(toy):
    toy.model("third", wrong=2.0)
    assert toy.run() == 1
    text = (toy.root / "results" / "report.md").read_text()
    assert "median over blocks, ratios paired by heat" in text and "of one process, a bootstrap 95% interval" in text
    table = text[text.index("| framework") :]
    rows = [line for line in table.splitlines()[1:] if line.startswith("| ")]
    assert len(rows) == 3 and "total is off by 2" in rows[2] and "baseline" in rows[0]


def test_two_studies_share_a_run(toy, capsys):
    for path in ("problem.py", "figures.py", "models/first.py"):
        toy.write(
            f"studies/other/{path}", (toy.root / "studies/toy" / path).read_text().replace("toy_times", "other_times")
        )
    toy.write(
        "configs/study/other.yaml",
        (toy.root / "configs/study/toy.yaml").read_text().replace("name: toy", "name: other"),
    )
    assert toy.run("frameworks=[first]") == 0
    out = capsys.readouterr().out
    assert "toy: 1 ok of 1 cells" in out and "other: 1 ok of 1 cells" in out
    assert (toy.root / "figs/smoke/other_times_points3.pdf").is_file()


def test_figure_sees_the_rows_of_the_other_device(measured):
    """Rows of another device in the store are offered to figures; here made by renaming the device of CPU records."""
    store = Store(measured.root / "results")
    for record in list(store.records("toy", "total")):
        loaded, arrays = store.load("toy", "total", record["key"])
        identity = {**loaded["identity"], "device": "cuda"}
        store.save({**loaded, "key": f"cuda{record['key']}", "identity": identity}, arrays)
    figures = (measured.root / "studies/toy/figures.py").read_text()
    seen = '    assert [row.device for row in context.other_device_rows] == ["cuda"] * 3\n    return drawing'
    measured.write("studies/toy/figures.py", figures.replace("    return drawing", seen))
    assert measured.run() == 0
