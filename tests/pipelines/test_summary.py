"""The end of a run of several studies: one display, every count and reason, and the exit status."""

import json
import re

import pytest

from pipelines.output.closing import MEASURING, overhead
from pipelines.output.summary import duration
from pipelines.results import machine
from pipelines.spent import Spent
from pipelines.testing import toy as checkout


@pytest.fixture
def two(toy):
    """The toy checkout with a second study, which one system cannot run here."""
    toy.write("configs/study/other.yaml", checkout.CONFIG.replace("name: toy", "name: other"))
    toy.write("studies/other/problem.py", checkout.PROBLEM)
    toy.write("studies/other/figures.py", checkout.FIGURES.replace("toy_times", "other_times"))
    for name in ("first", "second"):
        toy.model(name, study="other")
    toy.model("third", study="other", before="from frameworks.base import Unavailable; raise Unavailable('no licence')")
    return toy


def closing(out: str) -> list[str]:
    return out[out.index("The whole run") :].splitlines()


def test_closing_summary_counts_cells_figures_and_time(two, capsys):
    assert two.run() == 0
    lines = closing(capsys.readouterr().out)
    assert lines[1].split() == ["study", "figures", "cells", "ok", "skipped", "invalid", "failed", "time"]
    found = [re.split(r"\s{2,}", line.strip()) for line in lines[2:5]]
    assert [line[:-1] for line in found] == [
        ["other", "1 of 1", "3", "2", "1", "0", "0"],
        ["toy", "1 of 1", "3", "3", "0", "0", "0"],
        ["total", "2 of 2", "6", "5", "1", "0", "0"],
    ]
    assert all(re.fullmatch(r"\d+ s", line[-1]) for line in found)
    assert "skipped  1 cell (other: Third): no licence" in lines[5]


def test_wrong_and_failed_cells_are_told_once_per_reason_and_decide_the_exit_status(two, capsys):
    for study in ("toy", "other"):
        two.model("first", before="raise RuntimeError('broken')", study=study)
    two.model("second", wrong=1.0)
    assert two.run() == 1
    lines = closing(capsys.readouterr().out)
    assert re.split(r"\s{2,}", lines[4].strip())[:-1] == ["total", "2 of 2", "6", "2", "1", "1", "2"]
    assert "  failed   2 cells (other: First; toy: First): RuntimeError: broken" in lines
    assert "  invalid  1 cell (toy: Second): total is off by 1 (limit 1e-6)" in lines


def test_figure_that_cannot_be_drawn_is_named(two, capsys):
    text = (two.root / "studies/other/figures.py").read_text()
    two.write("studies/other/figures.py", text.replace("    drawing =", "    raise ValueError('no')\n    drawing ="))
    assert two.run() == 1
    out = capsys.readouterr().out
    assert "no figure other/times: ValueError: no" in closing(out)[6]


def test_one_display_counts_on_through_all_studies(two, capsys):
    assert two.run() == 0
    out = capsys.readouterr().out
    counts = [int(done) for done in re.findall(r"^  \[(\d+)/8[,\]]", out, re.MULTILINE)]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] >= 6, "six cells and two figures"


def test_report_has_the_summary(two):
    assert two.run() == 0
    text = (two.root / "results/report.md").read_text()
    assert re.search(r"\| other \| 1 of 1 \| 3 \| 2 \| 1 \| 0 \| 0 \| \d+ s \|", text)
    assert "- skipped  1 cell (other: Third): no licence" in text


def test_single_study_has_no_closing_summary(toy, capsys):
    assert toy.run() == 0
    assert "The whole run" not in capsys.readouterr().out


def test_whole_paper_on_cuda_stops_before_anything_where_there_is_no_gpu(two, capsys, monkeypatch):
    monkeypatch.setattr(machine, "gpus", list)
    assert two.run("device=cuda") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("error: ") == 1
    assert "no CUDA device on this machine" in captured.err
    assert not (two.root / "results").exists()


def test_record_has_the_type_that_a_system_computed_in(toy):
    text = (toy.root / "studies/toy/models/second.py").read_text().replace("np.float32", "np.float64")
    toy.write("studies/toy/models/second.py", text.replace('{"calls": "one sum"}', '{"dtype": "float64"}'))
    assert toy.run("stages=[run]") == 0
    records = [json.loads(path.read_text()) for path in toy.records()]
    found = {record["identity"]["framework"]: record["provenance"]["dtype"] for record in records}
    assert found == {"first": "float32", "second": "float64", "third": "float32"}


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 119, 120, 1800)] == ["0 s", "119 s", "2.0 min", "30.0 min"]


def test_lines_of_a_study_name_only_what_varies_in_their_task(toy, capsys):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    other = "  other:\n    frameworks: [first]\n    parameters: {n_points: 9}\nfigures:\n"
    toy.write("configs/study/toy.yaml", text.replace("figures:\n", other))
    model = (toy.root / "studies/toy/models/first.py").read_text()
    toy.write("studies/toy/models/first.py", model + "\ndef other(*words):\n    return total(*words)\n")
    assert toy.run("stages=[run]") == 0
    out = capsys.readouterr().out
    assert re.search(r"^  other first +[\d.]+ ms", out, re.MULTILINE) and "n_points" not in out[out.index("times:") :]


def test_the_harness_tells_what_it_costs():
    parts = {MEASURING: 191.0, "drawing": 6.5, "planning": 0.04}
    assert overhead(200.0, 190.0, parts).startswith(
        "harness: 10.0 s of 200.0 s (5%) were not spent preparing, gating or timing (drawing 6.5, the rest 2.5, "
        "between requests 1.0); the target"
    )
    assert overhead(30.0, 31.0, {}).startswith("harness: 0.0 s of 30.0 s (0%) were not")


def test_seconds_inside_others_count_once():
    now = [0.0]
    spent = Spent(lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    with spent.on("measuring"):
        wait(1.0)
        for _ in range(2):
            with spent.on("storing"):
                wait(2.0)
                with spent.on("ending"):
                    wait(4.0)
        wait(8.0)
    with pytest.raises(RuntimeError), spent.on("ending"):
        wait(16.0)
        raise RuntimeError
    assert spent.parts == {"measuring": 9.0, "storing": 4.0, "ending": 24.0}


def test_requests_and_gates_are_the_cells_own(toy, capsys):
    toy.model("second", before="import time; time.sleep(0.02)")
    assert toy.run("frameworks=[second]") == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("harness:")]
    rest, total = (float(word) for word in re.findall(r"([0-9.]+) s ", line)[:2])
    assert rest <= total - 5 * 0.02
    assert {"planning", "ending workers", "drawing"} & set(re.findall(r"[a-z]+(?: [a-z]+)*(?= [0-9.]+[,)])", line))
    assert toy.run("frameworks=[second]") == 0
    assert "harness:" not in capsys.readouterr().out, "nothing was measured"
