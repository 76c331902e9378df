"""The Julia files: their syntax with and without Julia, and what of them runs without Gen.jl.

With Gen.jl set up, the last test runs the comparison's smallest size with it; the gates of perfbench judge the answers.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.plan.tree import REPOSITORY, Tree
from pipelines.race.timing import ContestantFailure
from pipelines.workers.client import WorkerClient
from tests.julia.julia_text import SyntaxFault, check, code

FILES = sorted([*REPOSITORY.glob("julia/*.jl"), *REPOSITORY.glob("studies/*/models/*.jl")])
SECONDS = 300
"""Julia starts in a second or two; a loaded machine may need longer."""

PARSE = """
function parse_all(path)
    text, position = read(path, String), 1
    while position <= ncodeunits(text)
        expression, position = Meta.parse(text, position)
        expression isa Expr && expression.head in (:error, :incomplete) && error("$path: $expression")
    end
end
foreach(parse_all, ARGS)
"""
NPY = """
include(ARGS[1])
for name in ("f4", "f8", "i4", "i8")
    values = read_npy(joinpath(ARGS[2], name * ".npy"))
    write_npy(joinpath(ARGS[2], name * "_back.npy"), Float64.(values))
end
read_npy(joinpath(ARGS[2], "scalar.npy")) === 2.5 || error("scalar")
write_npy(joinpath(ARGS[2], "cube.npy"), reshape(collect(1.0:24.0), 2, 3, 4))
"""

needs_julia = pytest.mark.skipif(shutil.which("julia") is None, reason="there is no julia on the PATH")


def julia(program, *arguments):
    command = ["julia", "--startup-file=no", "-e", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def julia_version():
    said = subprocess.run(["julia", "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    return tuple(map(int, re.search(r"(\d+)\.(\d+)", said).groups()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_blocks_fit_and_nothing_is_newer_than_julia_1_5(path):
    check(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("function f(x)\n    x\n", "function is not closed"),
        ("f(x) = x\nend\n", "line 2: end closes nothing"),
        ("x = [1, 2)\n", "closes nothing"),
        ("if x\n    y(\nend\n", "( is not closed"),
        ('x = "$(f("a"))\n', "does not end"),
        ("import Gen as G\n", "1.6"),
        ("@kwdef struct A\n    x = 1\nend\n", "@kwdef"),
        ("(; a, b) = x\n", "1.7"),
        ("x = [1;; 2]\n", "1.7"),
        ("public f\n", "1.11"),
        ("x::Int = 3\n", "1.8"),
    ],
)
def test_the_check_finds_faults(text, fault):
    with pytest.raises(SyntaxFault, match=re.escape(fault)):
        check(text)


def test_the_check_accepts_what_is_right():
    check(
        "module A # if\n#= begin\n=#\nx = y[end]\nz = [a for a in b if a > 1]\n"
        "f(x) = x'\nc = 'e' == '\\''\ns = \"$(join(x, \", \")) for\"\n"
        "g(;\n  a = 1,\n) = map(x) do y\n    y\nend\nend\n"
    )
    assert code('a # b\n"c" * r"\\d\\""') == 'a \n"" * r""'


@pytest.mark.parametrize("framework", ["genjl", "genjl_static"])
def test_the_worker_gives_up_installing_before_the_pipeline_gives_up_on_it(framework):
    worker = (REPOSITORY / "julia" / "worker.jl").read_text(encoding="utf-8")
    (limit,) = re.findall(r'"GENJL_SETUP_SECONDS", "(\d+)"', worker)
    assert int(limit) + 5 < Tree(REPOSITORY).describe(framework).start_seconds


@needs_julia
@pytest.mark.julia
def test_every_file_parses():
    done = julia(PARSE, *FILES)
    assert done.returncode == 0, done.stderr
    assert julia(PARSE, Path(__file__)).returncode != 0


@needs_julia
@pytest.mark.julia
def test_arrays_go_to_julia_and_back(tmp_path):
    arrays = {
        "f4": np.linspace(0, 1, 7, dtype=np.float32),
        "f8": np.linspace(-1, 1, 50),
        "i4": np.arange(-2, 3, dtype=np.int32),
        "i8": np.arange(0),
    }
    for name, values in {**arrays, "scalar": np.array(2.5)}.items():
        np.save(tmp_path / f"{name}.npy", values)
    done = julia(NPY, REPOSITORY / "julia" / "npy.jl", tmp_path)
    assert done.returncode == 0, done.stderr
    for name, values in arrays.items():
        back = np.load(tmp_path / f"{name}_back.npy")
        assert back.dtype == np.float64
        np.testing.assert_array_equal(back, values.astype(np.float64))
    cube = np.load(tmp_path / "cube.npy")
    np.testing.assert_array_equal(cube, np.arange(1.0, 25.0).reshape(4, 3, 2).transpose(2, 1, 0))


@needs_julia
@pytest.mark.julia
def test_julia_that_is_too_old_is_named(tmp_path):
    if julia_version() >= (1, 9):
        pytest.skip("this Julia is new enough")
    tree = Tree(REPOSITORY)
    worker = WorkerClient(tree.describe("genjl"), tree, {}, tmp_path / "log")
    with pytest.raises(ContestantFailure, match="too old for Gen.jl here: it needs Julia 1.9") as caught:
        worker.request("hello", SECONDS, protocol=1, device="cpu", dtype="float32")
    worker.close()
    assert caught.value.status == "skipped"
    assert worker.process.returncode == 0
    done = subprocess.run(
        ["julia", "--startup-file=no", "julia/setup.jl"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1 and "too old" in done.stdout


@needs_julia
@pytest.mark.julia
def test_gen_answers_right(tmp_path):
    """With the real Gen.jl. The gates of six rows: fewer than one false alarm in ten thousand runs."""
    if julia_version() < (1, 9):
        pytest.skip("this Julia is too old for Gen.jl")
    if not list((REPOSITORY / "julia").glob("Manifest*.toml")):
        pytest.skip("Gen.jl is not set up: ./run perfbench-julia-setup")
    words = ["size=smoke", "frameworks=[genjl,genjl_static]", f"results={tmp_path / 'results'}"]
    assert main([*words, f"figs={tmp_path / 'figs'}", "stages=[run]"], study="perfbench") == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/perfbench/*/*/record.json")]
    assert len(records) == 6
    assert {(one["status"], one["reason"]) for one in records} == {("ok", None)}
    assert {one["notes"]["dtype"] for one in records} == {"float64"}
