"""Two revisions of a tiny repository raced against each other: who is slower, what broke, what stays untouched."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

from pipelines.output import comparison
from pipelines.plan import revisions
from pipelines.plan.tree import REPOSITORY
from pipelines.race import statistics
from pipelines.results import compare, helpers
from pipelines.testing.toy import Toy
from pipelines.workers.client import import_path

WAIT = "import time; time.sleep(0.004)"
FAST = (
    "size=smoke", "timing.min_block_seconds=0.0005", "timing.processes=2", "timing.min_rounds=6", "timing.max_rounds=6",
)  # fmt: skip


def git(root, *words):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    result = subprocess.run(["git", "-C", root, *identity, *words], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def commit(toy, message):
    git(toy.root, "add", "-A")
    git(toy.root, "commit", "-q", "-m", message)
    return git(toy.root, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def forgetful():
    helpers.forget()
    yield
    helpers.forget()


@pytest.fixture
def toy(tmp_path):
    """A repository with our harness, three systems and the study of sums."""
    toy = Toy(tmp_path / "repository")
    for folder in ("pipelines", "frameworks", "studies"):
        shutil.copytree(
            REPOSITORY / folder, toy.root / folder, dirs_exist_ok=True,
            ignore=lambda folder, names: [
                name for name in names if name == "__pycache__" or folder == str(REPOSITORY / "studies")
                and not name.endswith(".py") or folder == str(REPOSITORY / "frameworks") and name not in
                ("__init__.py", "base.py")
            ],
        )  # fmt: skip
    (toy.root / ".gitignore").write_text("__pycache__/\nresults/\nfigs/\n")
    git(toy.root, "init", "-q", "-b", "main")
    return toy


def race(toy, *words):
    return comparison.main(["--commits", *words], tree=toy.tree)


def told(toy):
    return {
        one["name"].rpartition(" ")[2]: one
        for one in json.loads((toy.root / "figs/compare/comparison.json").read_text())
    }


def test_two_commits_race_in_their_own_checkouts(toy, capsys):
    toy.model("second", before=WAIT)
    before = commit(toy, "The second system waits")
    toy.model("second")
    toy.model("third", wrong=1.0)
    after = commit(toy, "The second system is fast <script>")
    toy.write("notes.txt", "not committed")
    assert race(toy, before, "HEAD", *FAST) == 0
    shown, found = capsys.readouterr().out, told(toy)
    assert found["second"]["verdict"] == "faster" and found["second"]["time"]["value"] < 0.5
    assert found["third"]["verdict"] == "broke" and "total is off by 1" in found["third"]["detail"]
    assert found["first"]["verdict"] != "broke"  # equal programs, but six rounds on a busy machine may show anything
    assert before[:12] in shown and after[:12] in shown and "uncommitted changes" in shown
    page = (toy.root / "figs/compare/index.html").read_text()
    assert "<script>" not in page and "fast &lt;script&gt;" in page and 'class="forest"' in page
    # Records are of the revisions; the repository has forgotten the folders, and nothing in it has changed.
    records = [json.loads(path.read_text()) for path in (toy.root / "results/commits").rglob("record.json")]
    commits = {(r["identity"].get("instance", 0), r["provenance"]["commit"]["id"]) for r in records}
    assert commits == {(0, before), (1, after)}
    assert len(git(toy.root, "worktree", "list").splitlines()) == 1
    assert git(toy.root, "status", "--porcelain") == "?? notes.txt"
    # The same words again measure nothing but what is wrong, and end with 1 for CI.
    assert race(toy, before, "HEAD", *FAST, "frameworks=[second,third]", "--strict") == 1


def test_bad_input_is_one_line(toy, tmp_path, capsys, monkeypatch):
    good = commit(toy, "One")
    (toy.root / "pipelines/workers/protocol.py").write_text("VERSION = 99\n")
    other = commit(toy, "Another protocol")
    git(toy.root, "rm", "-rq", "pipelines")
    commit(toy, "No layout")
    cases = {
        ("nowhere", good): "git knows no revision 'nowhere'",
        (good, "--option"): "expected 2 arguments",
        (good, other): f"the workers of {other} speak protocol 99",
        (good, "HEAD"): "HEAD has no pipelines/workers/worker.py",
    }
    for words, line in cases.items():
        try:
            status = race(toy, *words, *FAST)
        except SystemExit as ended:  # argparse
            status = ended.code
        assert status == 2
        assert line in capsys.readouterr().err
    assert race(toy, good, good, "study=none") == 2 and "Unknown study" in capsys.readouterr().err
    assert len(git(toy.root, "worktree", "list").splitlines()) == 1
    shutil.rmtree(toy.root / ".git")
    helpers.forget()
    assert race(toy, good, good, *FAST) == 2 and "is not a repository that git reads" in capsys.readouterr().err
    helpers.forget()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert race(toy, good, good, *FAST) == 2 and "not installed" in capsys.readouterr().err


def test_folders_are_named_once_or_twice(toy, capsys):
    assert comparison.main([], tree=toy.tree) == 2
    assert "compare got 0 folders" in capsys.readouterr().err


def test_workers_of_a_revision_import_nothing_of_this_checkout(tmp_path):
    assert import_path(tmp_path, f"{REPOSITORY}:/elsewhere") == [str(tmp_path), "/elsewhere"]
    assert revisions._protocol(REPOSITORY / revisions.PROTOCOL) == revisions.protocol.VERSION


def side(ratios, n_processes=5, **more):
    arrays = {"samples_s": ratios, "baseline_samples_s": np.ones(len(ratios)), "processes": np.arange(len(ratios))}
    arrays["processes"] %= n_processes
    return compare.Side({"status": "ok", "timing": {}, "identity": {"seed": 1}, **more}, arrays)


def test_paired_verdicts():
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, 40))
    old = side(np.ones(40))

    def verdict(*pairs):
        (one,) = compare.corrected([compare.compare_paired("cell", *pairs)])
        return one.verdict

    assert verdict(old, side(0.8 * noise)) == "faster" and verdict(old, side(1.2 * noise)) == "slower"
    assert verdict(old, side(noise)) == "no difference shown"
    differing = np.array([0.6, 0.8, 1.0, 1.3, 1.7])[np.arange(40) % 5]  # from process to process
    assert verdict(old, side(differing * noise)) == "cannot tell"
    assert verdict(old, side(0.5 * noise, n_processes=1)) == "cannot tell"
    assert verdict(old, side(noise[:3])) == "cannot tell"
    wrong = side(noise, status="invalid", reason="wrong")
    assert (verdict(old, wrong), verdict(wrong, old), verdict(wrong, wrong)) == ("broke", "mended", "cannot tell")
    assert (verdict(None, old), verdict(old, None)) == ("new", "gone")


def test_paired_p_value_is_students():
    ratios = np.exp(np.random.default_rng(1).normal(0.01, 0.02, 40))
    processes = np.arange(40) % 5
    medians = [np.log(np.median(ratios[processes == one])) for one in range(5)]
    found = statistics.paired_p_value(ratios, np.ones(40), processes)
    assert found == pytest.approx(stats.ttest_1samp(medians, 0).pvalue, rel=1e-9)
    assert statistics.paired_p_value(ratios, np.ones(40), np.zeros(40, int)) is None


def test_small_sizes_unless_others_are_asked_for():
    assert list(comparison.chosen_words(["study=gol"])) == ["size=small", "study=gol"]
    assert list(comparison.chosen_words(["size=paper"])) == ["size=paper"]
