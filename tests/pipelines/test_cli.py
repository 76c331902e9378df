"""The command line: every option acts or is an error that names the nearest valid one; all faults are said together."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from pipelines.cli import main
from pipelines.config.configuration import configure
from pipelines.output.progress import Reporter
from pipelines.output.report import print_plan
from pipelines.plan.plan import Problems, make_plan
from pipelines.plan.tree import Tree
from pipelines.results import machine
from pipelines.results.store import Store


def faults(toy, capsys, *words):
    assert toy.run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == "", "nothing runs when something is wrong"
    return captured.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study=toi", "Unknown study 'toi'. Did you mean toy?"),
        ("size=smal", "Unknown size 'smal'. Did you mean small"),
        ("device=cpuu", "Unknown device 'cpuu'. Did you mean cpu or cuda?"),
        ("device=gpu", "Unknown device 'gpu'. Did you mean cpu?"),
        ("frameworks=[frist]", "Unknown framework 'frist'. Did you mean first?"),
        ("tasks=[totals]", "Unknown task 'totals'. Did you mean total?"),
        ("figures=[time]", "Unknown figure 'time'. Did you mean times?"),
        ("stages=[plam]", "Unknown stage 'plam'. Did you mean plan?"),
        ("timing.budget=3", "Unknown override 'timing.budget'. Did you mean timing.budget_seconds"),
        ("n_points=3", "Unknown override 'n_points'. Did you mean study.parameters.n_points"),
        ("study.parameters.points=3", "Did you mean study.parameters.n_points"),
        ("--sed=3", "Unknown flag '--sed'. Did you mean --seed"),
        ("study.parameters.n_points=0", "study.parameters.n_points=0: must be above zero."),
        ("study.parameters.n_points=-3", "study.parameters.n_points=-3: must be above zero."),
        ("study.parameters.n_points=many", "expected a whole number"),
        ("study.parameters.n_points=2.5", "expected a whole number"),
        ("study.parameters.n_points=5000", "The study toy cannot use its parameters: n_points=5000: at most 1000."),
        ("timing.budget_seconds=-1", "timing.budget_seconds=-1: must be a number of seconds, above 0 to 1e+06."),
        ("timing.budget_seconds=null", "timing.budget_seconds=null: must be a number of seconds"),
        ("timing.budget_seconds=nan", "timing.budget_seconds=nan: must be a number of seconds"),
        ("timing.budget_seconds=true", "timing.budget_seconds=True: must be a number of seconds"),
        ("timing.budget_seconds='4'", "timing.budget_seconds='4': must be a number of seconds"),
        ("timing.min_rounds=0", "timing.min_rounds=0: must be a whole number of rounds, from 1 to 1,000,000."),
        ("timing.min_rounds=9", "timing.min_rounds=9 is above timing.max_rounds=5.\nRun with"),
        (
            "timing.calls=-5",
            "timing.calls=-5: must be a whole number of calls in a block, from 1 to 1,048,576, or null",
        ),
        ("timing.calls=0", "timing.calls=0: must be a whole number of calls in a block"),
        ("timing.calls=2.5", "timing.calls=2.5: must be a whole number of calls in a block"),
        ("timing.warmup_blocks=-1", "timing.warmup_blocks=-1: must be a whole number of blocks, from 0 to 1,000."),
        ("timing.interval_width=0", "timing.interval_width=0: must be a number of the ratio, above 0 to 10."),
        (
            "timing.max_idle_fraction=2",
            "timing.max_idle_fraction=2: must be a number of the time of a block, from 0 to 1.",
        ),
        ("timing.processes=0", "timing.processes=0: must be a whole number of processes, from 1 to 100."),
        ("timing.cores=0", "timing.cores=0: must be a whole number of cores, from 1, or null for all."),
        ("timing.cores=4000", "timing.cores=4000: this machine has"),
        ("limits.block_seconds=0", "limits.block_seconds=0: must be a number of seconds, above 0 to 1e+06."),
        ("limits.block_seconds=99999999999", "limits.block_seconds=99999999999: must be a number of seconds"),
        ("limits.start_seconds=null", "limits.start_seconds=null: must be a number of seconds"),
        ("worker.recycle_after=0", "worker.recycle_after=0: must be a whole number of programs"),
        ("skip.figures=maybe", "skip.figures='maybe': must be true or false."),
        ("results=null", "results=null: must be a folder."),
        ("figs=7", "figs=7: must be a folder."),
        ("seed=-1", "seed=-1: must be a whole number of a generator's state, from 0 to 2,147,483,647."),
        ("seed=1e20", "seed=1e+20: must be a whole number"),
        ("seed=100000000000000000000", "seed=100000000000000000000: must be a whole number"),
        ("seed=null", "seed=null: must be a whole number"),
        ("seed=x", "seed='x': must be a whole number"),
        ("dtype=float16", "dtype='float16': must be float32 or float64."),
        ("tasks=[total,total]", "tasks: total is in the list more than once; name each once."),
        ("study.parameters.n_points=null", "study.parameters.n_points=null: expected a whole number, such as 3."),
        ("frameworks=first", "frameworks=first: write a list, frameworks=[first]."),
        ("frameworks=[]", "leaves none of the studies' own"),
        ("stages=[]", "asks for nothing"),
        ("paper", "'paper' is not an override. Write KEY=VALUE"),
        ("+extra=3", "only KEY=VALUE is possible here"),
        ("~seed", "'~seed' is not an override"),
        ("seed=1,2", "./run sweep seed=1,2"),
        ("results=", "gives no value (an unset variable?)"),
        ("seed=[1", "Cannot read the override 'seed=[1'"),
    ],
)
def test_faults_are_clear(toy, capsys, word, message):
    assert message in faults(toy, capsys, word)


def test_faults_are_said_together(toy, capsys):
    error = faults(toy, capsys, "size=tiny", "frameworks=[x]", "seed=-1", "study.parameters.n_points=0", "--nothing")
    assert error.count("error: ") == 5


def test_flag_that_lacks_its_value(toy, capsys):
    assert "--seed needs a value" in faults(toy, capsys, "--seed", "--size=smoke")


def test_flags_mean_their_overrides(toy, capsys):
    assert toy.run("--frameworks", "first", "second", "--seed", "3", "stages=[run]") == 0
    out = capsys.readouterr().out
    assert "toy: 2 ok of 2 cells" in out
    assert toy.run("frameworks=[first,second]", "seed=3", "stages=[run]") == 0
    assert "Nothing to measure" in capsys.readouterr().out


def test_flags_of_the_artifact_for_faircoin():
    from pipelines.config.flags import translate

    words = ["--combined", "--num-obs", "50", "--num-samples", "2000", "--repeats=10"]
    overrides, wrong = translate(words, "faircoin", Tree())
    assert wrong == []
    assert overrides == [
        "figures=[combined]",
        "study.parameters.n_observations=50",
        "study.parameters.n_particles=2000",
        "timing.min_rounds=10",
        "timing.max_rounds=10",
    ]
    assert "Unknown flag '--num-obs'" in translate(words, "toy", Tree())[1][1]


def test_user_overrides_win_over_the_size(toy, capsys):
    assert toy.run("study.parameters.n_points=6", "stages=[run]") == 0
    assert (toy.root / "results/toy/total").is_dir()
    record = next((toy.root / "results/toy/total").glob("*/record.json")).read_text()
    assert '"n_points":6' in record


def test_cuda_without_a_gpu_is_refused(toy, capsys, monkeypatch):
    monkeypatch.setattr(machine, "gpus", list)
    assert toy.run("device=cuda") == 2
    captured = capsys.readouterr()
    assert "error: device=cuda: no CUDA device on this machine" in captured.err
    assert "there is no fallback" in captured.err
    assert not (toy.root / "results").exists()


def test_cpu_only_framework_is_skipped_on_cuda(toy, capsys):
    toy.framework("second", 'devices = ("cpu",)')
    assert toy.run("device=cuda", "stages=[plan]") == 0
    assert "skip   toy/total [second] 1 cell: Second runs on cpu only" in capsys.readouterr().out


def test_plan_runs_and_writes_nothing(toy, capsys):
    assert toy.run("stages=[plan]") == 0
    assert "Plan of toy (size smoke, cpu)" in capsys.readouterr().out
    assert not (toy.root / "results").exists() and not (toy.root / "figs").exists()


def test_results_and_figs_are_relative_to_the_user(toy, monkeypatch, tmp_path):
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    assert toy.run("results=rows", "figs=pictures", "frameworks=[first]") == 0
    assert list((here / "rows/toy/total").iterdir()) and list((here / "pictures").glob("*.pdf"))
    assert not (toy.root / "results").exists()


def test_figures_asked_for_bring_only_their_tasks(toy, capsys):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace("figures:\n", "  unseen:\n    frameworks: [first]\nfigures:\n"))
    assert toy.run("stages=[plan]", "figures=[times]") == 0
    assert "toy/unseen" not in capsys.readouterr().out
    assert toy.run("stages=[plan]") == 0
    assert "toy/unseen" in capsys.readouterr().out


def test_figure_lists_must_agree(toy, capsys):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace("  times: {}", "  times: {}\n  missing: {}"))
    assert "lists the figures ['missing', 'times'], but figures.py draws ['times']" in faults(toy, capsys)


def test_framework_attributes_must_be_told_by_the_text(toy, capsys):
    toy.framework("second", "sources = tuple(sorted('x'))")
    error = faults(toy, capsys)
    assert "frameworks/second.py, line " in error and "cannot tell what \"tuple(sorted('x'))\" is" in error


def test_help_names_what_exists(toy, capsys):
    assert main(["--help"], tree=toy.tree) == 0
    out = capsys.readouterr().out
    for word in ("toy", "smoke", "cuda", "first, second, third", "stages=[plan]", "--seed"):
        assert word in out


def test_version(toy, capsys):
    assert main(["--version"], tree=toy.tree) == 0
    assert capsys.readouterr().out.startswith("genjax-artifact")


def test_plan_on_a_terminal_is_a_table_that_keeps_brackets(toy):
    output = io.StringIO()
    (configuration,) = configure(["size=smoke"], toy.tree)
    plan = make_plan(configuration, Store(toy.root / "results"), Problems(toy.tree))
    (cells,) = (race.cells for race in plan.races)
    odd = replace(plan, races=(replace(plan.races[0], cells=(replace(cells[0], why="failed: shape [1] of x"),)),))
    print_plan(odd, Reporter(Console(file=output, force_terminal=True, width=120)))
    assert "toy/total" in output.getvalue() and "failed: shape [1] of x" in output.getvalue()
