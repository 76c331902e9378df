"""Claims: every verdict on scripted rows, every metric against arithmetic by hand, and the file against the studies."""

import json
import shlex
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.output import claims
from pipelines.output.claim_metrics import METRICS, CannotTell, Measured
from pipelines.output.claims import (
    CANNOT_TELL,
    NEEDS_CUDA,
    NOT_REPRODUCED,
    REPRODUCED,
    Claim,
    as_family,
    judge,
    read_claims,
)
from pipelines.plan.cells import races
from pipelines.plan.tree import REPOSITORY, Tree
from pipelines.results.store import Store
from pipelines.testing.toy import FAST
from studies.base import Row, Rows

PIXI = tomllib.loads((REPOSITORY / "pixi.toml").read_text(encoding="utf-8"))["tasks"]
CLAIMS = {claim.name: claim for claim in read_claims(Tree())}


def row(framework="genjax", status="ok", device="cpu", seconds=(2.0, 1.9, 2.1), ratio=(1.0, 0.98, 1.02), **more):
    times = {"median_s": seconds[0], "interval_s": seconds[1:]} if status == "ok" and seconds else {}
    factors = {"ratio": ratio[0], "ratio_interval": ratio[1:]} if status == "ok" and ratio else {}
    diagnostics = more.pop("diagnostics", {})
    reason = None if status == "ok" else "not measured" if status == "failed" else "julia is not installed"
    return Row(
        study="toy", task="sum", framework=framework, label=framework.title(), color="", parameters=more, seed=0,
        device=device, status=status, reason=reason, diagnostics=diagnostics, record={"key": f"key-{framework}"},
        **times, **factors,
    )  # fmt: skip


def claim(metric="ratio", device="any", accept=None, rows=None, **settings):
    return Claim(
        "name", "It is so", "1", "1.0", "toy", "sum", {"framework": "genjax"} if rows is None else rows,
        {"name": metric, **settings}, accept or {"at_most": 1.05}, "why", device, "paper-toy",
    )  # fmt: skip


def verdict(one, *rows, device="cpu"):
    return judge(one, device, lambda study, size, where: [found for found in rows if found.device == where])


@pytest.mark.parametrize(
    ("interval", "accept", "expected"),
    [
        ((1.0, 0.98, 1.02), {"at_most": 1.05}, REPRODUCED),
        ((1.2, 1.1, 1.3), {"at_most": 1.05}, NOT_REPRODUCED),
        ((1.04, 1.0, 1.08), {"at_most": 1.05}, CANNOT_TELL),
        ((1.4, 1.3, 1.5), {"at_least": 1.1}, REPRODUCED),
        ((1.0, 0.98, 1.02), {"at_least": 1.1}, NOT_REPRODUCED),
        ((1.0, 0.98, 1.02), {"at_least": 0.99, "at_most": 1.01}, CANNOT_TELL),
        ((1.0, 0.98, 1.02), {"at_least": 0.9, "at_most": 1.1}, REPRODUCED),
    ],
)
def test_interval_decides(interval, accept, expected):
    judged = verdict(claim(accept=accept), row(ratio=interval), row("other", ratio=(9.0, 9.0, 9.0)))
    assert judged.verdict == expected
    assert judged.measured == Measured(*interval) and judged.keys == ("key-genjax",)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no row of sum has framework=genjax at this size; measure with: ./run paper-toy"),
        ([row(status="failed")], "sum genjax: not measured; measure with: ./run paper-toy"),
        ([row(status="skipped")], "all rows are skipped; measure with: ./run paper-toy"),
        ([row(ratio=None)], "sum genjax was not timed beside its baseline; measure with: ./run paper-toy"),
        ([row(), row()], "the claim is about one row, and 2 match; measure with: ./run paper-toy"),
    ],
)
def test_without_a_number_there_is_no_verdict_but_a_command(rows, why):
    judged = verdict(claim(), *rows)
    assert (judged.verdict, judged.why, judged.measured) == (CANNOT_TELL, why, None)


def test_invalid_row_beside_right_ones_leaves_the_claim_open():
    asked = claim("largest_ratio", rows={"framework": ["genjax", "other"]})
    assert verdict(asked, row(), row("other")).verdict == REPRODUCED
    judged = verdict(asked, row(), row("other", status="invalid"))
    assert judged.verdict == CANNOT_TELL and "sum other" in judged.why


def test_skipped_system_is_named_and_a_missing_size_is_not_passed_over():
    asked = claim("largest_ratio", rows={"framework": ["genjax", "gen"], "n": [1, 2]})
    judged = verdict(asked, row(n=1), row(n=2), row("gen", status="skipped", n=1))
    assert judged.verdict == REPRODUCED and judged.why.endswith("without Gen, skipped")
    judged = verdict(asked, row(n=1), row("gen", n=1))
    assert judged.verdict == CANNOT_TELL and "no row of sum has n=2 at this size" in judged.why
    judged = verdict(asked, row(n=1), row(n=2))
    assert judged.verdict == CANNOT_TELL and "no row of sum has framework=gen at this size" in judged.why


def test_claims_about_a_gpu():
    asked = claim("seconds", device="cuda", accept={"at_most": 3.0})
    assert verdict(asked, row()).verdict == NEEDS_CUDA
    assert verdict(asked, row(device="cuda", status="skipped")).verdict == NEEDS_CUDA
    judged = verdict(asked, row(), row(device="cuda"))
    assert judged.verdict == REPRODUCED and judged.devices == ("cuda",)
    assert verdict(claim(), row(), row(device="cuda", ratio=(2.0, 1.9, 2.1)), device="cuda").verdict == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("name", "rows", "settings", "expected"),
    [
        ("largest_ratio", [row(ratio=(1.0, 0.8, 1.3)), row(ratio=(1.1, 1.05, 1.15))], {}, (1.1, 1.05, 1.3)),
        (
            "margin",
            [row(n=1), row("b", n=1, seconds=(4.0, 3.8, 4.2)), row(n=2), row("b", n=2, seconds=(3.0, 2.1, 3.8))],
            {"of": "genjax", "group": "n"},
            (1.5, 1.0, 2.0),
        ),
        (
            "overhead",
            [row(n=1, ratio=(0.9, 0.9, 0.9)), row("b", n=1, ratio=(1.0, 1.0, 1.0))]
            + [row(n=2, ratio=(1.2, 1.0, 1.44)), row("b", n=2, ratio=(0.8, 0.8, 0.8))],
            {"of": "genjax", "over": "b", "group": "n"},
            (1.5, 1.25, 1.8),
        ),
        ("seconds", [row()], {}, (2.0, 1.9, 2.1)),
        (
            "bend",
            [row(n=0), row(n=50, seconds=(3.3, 3.15, 3.45)), row(n=100, seconds=(4.0, 3.9, 4.1))],
            {"over": "n"},
            (0.1, 0.05, 0.15),
        ),
        (
            "growth_of_speedup",
            [row(n=1), row(n=9, seconds=(40.0, 38.0, 42.0))]
            + [row(n=n, device="cuda", seconds=(1.0, 1.0, 1.0)) for n in (1, 9)],
            {"over": "n"},
            (20.0, 38 / 2.1, 42 / 1.9),
        ),
        (
            "diagnostic",
            [row(diagnostics={"x": 3.0, "l": 2.0, "h": 5.0})],
            {"diagnostic": "x", "low": "l", "high": "h"},
            (3.0, 2.0, 5.0),
        ),
        ("diagnostic", [row(diagnostics={"x": 3.0})], {"diagnostic": "x"}, (3.0, 3.0, 3.0)),
        ("spread", [row(diagnostics={"x": x}) for x in (1.0, 2.0, 6.0)], {"diagnostic": "x"}, (3.0, 1.0, 6.0)),
        (  # Student's 97.5% point with 3 degrees of freedom is 3.182446
            "mean",
            [row(diagnostics={"x": 3.0, "s": 2.0}, n=9, m=4)],
            {"diagnostic": "x", "sd": "s", "counts": ["n", "m"]},
            (3.0, 3 - 3.182446, 3 + 3.182446),
        ),
    ],
)
def test_metrics(name, rows, settings, expected):
    found = METRICS[name](Rows(rows), settings)
    assert (found.value, found.low, found.high) == pytest.approx(expected, rel=1e-4)


def test_slope_is_exact_for_a_power_law_and_wide_for_scatter():
    exact = [row(n=n, seconds=(n**0.5,) * 3) for n in (1, 10, 100, 1000)]
    found = METRICS["slope"](Rows(exact), {"over": "n"})
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    scattered = [row(n=n, seconds=(t,) * 3) for n, t in ((1, 1.0), (10, 5.0), (100, 2.0), (1000, 9.0))]
    found = METRICS["slope"](Rows(scattered), {"over": "n"})
    assert found.low < 0 < found.value < found.high


@pytest.mark.parametrize(
    ("name", "rows", "settings"),
    [
        ("slope", [row(n=1), row(n=2)], {"over": "n"}),
        ("bend", [row(n=1), row(n=2)], {"over": "n"}),
        ("margin", [row(n=1)], {"of": "genjax", "group": "n"}),
        ("margin", [row("b", n=1)], {"of": "genjax", "group": "n"}),
        ("growth_of_speedup", [row(n=1)], {"over": "n"}),
        ("diagnostic", [row()], {"diagnostic": "x"}),
        ("diagnostic", [row(diagnostics={"x": np.nan})], {"diagnostic": "x"}),
        ("mean", [row(diagnostics={"x": 1.0, "s": 1.0}, n=1)], {"diagnostic": "x", "sd": "s", "counts": ["n"]}),
        ("seconds", [row(seconds=None)], {}),
    ],
)
def test_metrics_say_what_they_lack(name, rows, settings):
    with pytest.raises(CannotTell):
        METRICS[name](Rows(rows), settings)


TOY_CLAIMS = """
claims:
  close:
    text: The second sums as fast as the first
    figure: 1
    published: 1.0
    study: toy
    task: total
    rows: {framework: second}
    metric: {name: ratio}
    accept: {at_most: 1000.0}
    tolerance: a toy
    device: any
    run: toy
  exact:
    text: The third is exact
    figure: 1
    published: 0.0
    study: toy
    task: total
    rows: {framework: third}
    metric: {name: diagnostic, diagnostic: error}
    accept: {at_most: 0.0}
    tolerance: a toy
    device: any
    run: toy
  gpu:
    text: A GPU is fast
    figure: 1
    published: 1 s
    study: toy
    task: total
    rows: {framework: first}
    metric: {name: seconds}
    accept: {at_most: 1.0}
    tolerance: a toy
    device: cuda
    run: toy
"""


def test_task_judges_what_is_stored_and_writes_it(toy, capsys):
    toy.write("configs/claims.yaml", TOY_CLAIMS)
    words = [*FAST, "size=smoke"]
    assert claims.main(words, toy.tree) == 0
    assert "claims: 2 cannot tell, 1 needs CUDA" in capsys.readouterr().out
    assert toy.run("frameworks=[first,second]", "stages=[run]") == 0
    capsys.readouterr()
    assert claims.main(words, toy.tree) == 0
    out = capsys.readouterr().out
    assert "claims: 2 cannot tell, 1 needs CUDA" in out
    assert "flagged: second: the interval is within one process" in " ".join(out.split())
    (record,) = [path for path in toy.records() if json.loads(path.read_text())["identity"]["framework"] == "second"]
    facts = json.loads((toy.root / "figs/smoke/claims.json").read_text())
    assert facts[0]["keys"] == [record.parent.name] and facts[0]["measured"]["value"] > 0
    table = (toy.root / "figs/smoke/claims.md").read_text()
    assert "| cannot tell | accepted: at most 1000; flagged: second: the interval" in table
    assert f"toy/total/{record.parent.name[:12]} |" in table
    assert "measure with: ./run toy" in table


def test_whole_run_ends_with_the_claims(toy, capsys):
    toy.write("configs/claims.yaml", TOY_CLAIMS)
    for source in ("configs/study/toy.yaml", "studies/toy/problem.py", "studies/toy/figures.py"):
        toy.write(source.replace("toy", "other"), (toy.root / source).read_text().replace("name: toy", "name: other"))
    toy.model("first", study="other")
    assert toy.run() == 0
    out = capsys.readouterr().out
    assert (
        out.index("The whole run")
        < out.index("claims: 1 cannot tell, 1 reproduced, 1 needs CUDA")
        < out.index("report: ")
    )


def test_a_run_configures_what_claims_are_about_once(toy, monkeypatch):
    """However often its page is refreshed: a configuration takes a quarter of a second, and claims are about many."""
    toy.write("configs/claims.yaml", TOY_CLAIMS.replace("The third is exact", "The third is exact\n    size: small"))
    for name in ("other", "third"):
        for source in ("configs/study/toy.yaml", "studies/toy/problem.py", "studies/toy/figures.py"):
            text = (toy.root / source).read_text().replace("name: toy", f"name: {name}")
            toy.write(source.replace("toy", name), text)
        toy.model("first", study=name)
    made = []
    configure = claims.configure
    monkeypatch.setattr(claims, "configure", lambda words, tree: made.append(words) or configure(words, tree))
    judged = []
    judge_all = claims.judge_all
    monkeypatch.setattr(claims, "judge_all", lambda *words: judged.append(judge_all(*words)) or judged[-1])
    assert toy.run("frameworks=[first]") == 0
    assert made == [["study=toy", "size=small", "device=cpu"]], "the second claim is about another size"
    assert len(judged) == 3, "after the first study, after the second, and at the end"
    assert judged[-1][2].verdict == NEEDS_CUDA, "nothing is configured to find that there is no row of a GPU"
    store = Store(toy.root / "results")
    (record,) = store.records("toy", "total")
    record = {**record, "key": "gpu", "identity": {**record["identity"], "device": "cuda"}}
    store.save(record, {})
    made.clear()
    assert toy.run("frameworks=[first]") == 0
    assert sorted(made) == [["study=toy", "size=small", "device=cpu"], ["study=toy", "size=smoke", "device=cuda"]]
    assert judged[-1][2].verdict != NEEDS_CUDA


def test_power_is_printed(toy, capsys):
    toy.write("configs/claims.yaml", TOY_CLAIMS)
    assert claims.main([*FAST, "--power"], toy.tree) == 0
    assert "no number  1      The third is exact" in capsys.readouterr().out


def test_flags_on_times_leave_a_claim_open_but_a_wide_interval_decides_for_itself():
    flagged = replace(row(ratio=(1.0, 0.98, 1.02)), flags=("it went on computing after its blocks: 60% of their time",))
    judged = verdict(claim(), flagged)
    assert judged.verdict == CANNOT_TELL and "it went on computing" in judged.why
    wide = replace(row(ratio=(0.5, 0.4, 0.6)), flags=("95% interval is 40% wide (aim 4%)",))
    assert verdict(claim(), wide).verdict == REPRODUCED
    error = claim("diagnostic", diagnostic="error", accept={"at_most": 1.0})
    assert verdict(error, replace(flagged, diagnostics={"error": 0.5})).verdict == REPRODUCED, "not about times"


def test_flags_leave_an_overhead_open():
    of, over = row("genjax", n=1), row("handcoded", n=1)
    settings = {"of": "genjax", "over": "handcoded", "group": "n"}
    one = claim("overhead", accept={"at_most": 2.0}, rows={"framework": ["genjax", "handcoded"]}, **settings)
    assert verdict(one, of, over).verdict == REPRODUCED
    flagged = replace(over, flags=("it went on computing after its blocks: 60% of their time",))
    assert verdict(one, of, flagged).verdict == CANNOT_TELL


def test_a_claim_that_the_gate_demands_is_not_counted_as_reproduced():
    demanded = replace(claim(), gated=True)
    assert verdict(demanded, row()).verdict == "gated"
    assert verdict(demanded, row(ratio=(1.2, 1.1, 1.3))).verdict == NOT_REPRODUCED


def test_the_family_of_claims_is_controlled_and_verdicts_that_flip_are_left_open():
    sure, close = verdict(claim(), row(ratio=(0.5, 0.49, 0.51))), verdict(claim(), row(ratio=(1.0, 0.955, 1.047)))
    assert close.verdict == REPRODUCED and 0.01 < close.p_value < 0.025 and close.flip > 0.05
    alone = as_family([close])
    assert alone[0].verdict == CANNOT_TELL and "another measurement would say otherwise in" in alone[0].why
    family = as_family([sure, *[close] * 9])
    assert [one.verdict for one in family] == [REPRODUCED] + [CANNOT_TELL] * 9
    assert "Holm" in family[1].why


def test_lost_runs_are_a_proportion_with_its_exact_interval():
    lost = claim("proportion", accept={"at_least": 0.9}, diagnostic="lost_fraction", count="n_runs", extreme="least")
    twenty = row(diagnostics={"lost_fraction": 0.9}, n_runs=20)
    judged = verdict(lost, twenty)
    assert judged.verdict == CANNOT_TELL and judged.measured.low == pytest.approx(0.683, abs=1e-3)
    hundred = row(diagnostics={"lost_fraction": 0.98}, n_runs=100)
    assert verdict(lost, hundred).verdict == REPRODUCED
    both = verdict(replace(lost, rows={"task": "sum"}), hundred, twenty)
    assert both.measured.value == 0.9


def test_faults_of_the_file_are_named(toy, capsys):
    toy.write(
        "configs/claims.yaml", TOY_CLAIMS.replace("name: ratio", "name: ration").replace("study: toy", "study: t")
    )
    assert claims.main([], toy.tree) == 2
    error = capsys.readouterr().err
    assert "claim close: Unknown metric 'ration'. Did you mean ratio" in error and "Unknown study 't'" in error
    toy.write("configs/claims.yaml", TOY_CLAIMS.replace("at_most", "below"))
    with pytest.raises(ConfigurationFaults, match="accept needs at_least"):
        read_claims(toy.tree)


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_about_cells_that_its_command_measures(name):
    one = CLAIMS[name]
    task = PIXI[one.run]
    words = shlex.split(task["cmd"])
    overrides = [word for word in words if "=" in word] + [f"study={one.study}"]
    assert f"study={one.study}" in words or f"studies.{one.study}" in words
    assert ("device=cuda" in words) == (one.device != "any")
    assert ("size=published" in words) == (one.size == "published")
    (configuration,) = configure(overrides, Tree())
    cells = [cell for race in races(configuration) for cell in race.cells if cell.task == one.task]
    for key, wanted in one.rows.items():
        found = {str(cell.framework if key == "framework" else cell.parameters[key]) for cell in cells}
        assert {str(value) for value in (wanted if isinstance(wanted, list) else [wanted])} <= found


def test_every_published_claim_has_an_entry():
    figures = [one.figure for one in CLAIMS.values()]
    assert {"16(a)", "16(b)", "5", "6", "18", "19(b)"} == set(figures)
    assert len(CLAIMS) >= 20
