"""./run: what it prints, passes on, installs, and how it meets faults. Nothing here uses a network.

Faults that a test cannot cause (a full disk, a read-only file system, an old Python) are put in by replacing the pip of
the environment, or by a `sitecustomize` module that Python loads before `run`.
"""

import ast
import json
import os
import signal
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from pipelines.install.environment import wanted_groups
from tests.run.checkout import GROUPS, ROOT, TASKS, Checkout, interrupt, wait_for


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Checkout:
    """One checkout whose environment was made by ./run, to be copied by tests that change it."""
    checkout = Checkout.make(tmp_path_factory.mktemp("installed") / "a folder")
    result = checkout.run("hello")
    assert result.returncode == 0, result.stderr
    assert "[1/4] installing core (1 packages)" in result.stderr
    assert json.loads(result.stdout)["packages"] == dict.fromkeys(["alpha", "beta", "gamma", "delta"], "1.0")
    return checkout


@pytest.fixture
def checkout(installed, tmp_path) -> Checkout:
    return installed.copy(tmp_path / "checkout")


@pytest.fixture
def bare(tmp_path) -> Checkout:
    """A checkout without an environment."""
    return Checkout.make(tmp_path / "bare")


def one_line(result, *parts: str) -> None:
    """The last thing on standard error is one line of ./run that has these parts, and nothing is a traceback."""
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("run: ")
    for part in parts:
        assert part in line


# ---- tasks


def test_without_a_task_it_lists_them(bare):
    result = bare.run()
    assert result.returncode == 0
    assert "  hello            Show what a task sees\n" in result.stdout
    assert "_first" not in result.stdout
    assert result.stderr == ""
    assert not bare.venv.exists()


def test_unknown_task_names_the_nearest(bare):
    result = bare.run("helo")
    assert result.returncode == 2
    one_line(result, "no task 'helo'", "Nearest: hello")


def test_current_environment_adds_no_output(installed):
    result = installed.run("hello")
    assert result.returncode == 0
    assert result.stderr == ""


def test_arguments_pass_unchanged(installed):
    words = ["study=faircoin", "stages=[plan]", "two words", "$HOME", "*", "", "--flag", "it's"]
    assert json.loads(installed.run("hello", *words).stdout)["arguments"] == words


def test_from_another_folder(installed, tmp_path):
    shown = json.loads(installed.run("hello", folder=tmp_path).stdout)
    assert shown["folder"] == str(installed.root)
    assert not (tmp_path / ".venv").exists()


def test_through_a_link(installed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(installed.root)
    assert json.loads(Checkout(link).run("hello").stdout)["folder"] == str(installed.root)


def test_exit_status_is_the_tasks(installed):
    assert installed.run("fail").returncode == 7


def test_signal_reaches_the_task(installed):
    process = installed.start("sleep")
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_dependencies_run_first_and_a_failure_stops(installed):
    assert installed.run("all").stdout == "1\n2\n"
    result = installed.run("stops")
    assert (result.returncode, result.stdout) == (7, "")


def test_task_of_parts_takes_no_arguments(bare):
    result = bare.run("all", "size=smoke")
    assert result.returncode == 2
    one_line(result, "takes no arguments", "_first, _second")


def test_task_that_depends_on_itself(bare):
    result = bare.run("loop")
    assert result.returncode == 2
    one_line(result, "depends on itself (loop -> loop)")


def test_missing_command(installed):
    result = installed.run("missing-command")
    assert result.returncode == 127
    one_line(result, "'no-such-command'")


def test_task_without_environment_installs_nothing(bare):
    result = bare.run("bare", "x")
    assert json.loads(result.stdout)["arguments"] == ["x"]
    assert not bare.venv.exists()


@pytest.mark.parametrize(("text", "part"), [("[tasks", "not valid TOML"), (None, "is missing")])
def test_broken_manifest(bare, text, part):
    (bare.root / "pixi.toml").write_text(text) if text else (bare.root / "pixi.toml").unlink()
    result = bare.run("hello")
    assert result.returncode == 1
    one_line(result, "pixi.toml", part)


# ---- the caller's variables


def test_callers_python_settings_do_not_leak(installed, tmp_path):
    (tmp_path / "alpha.py").write_text("VERSION = 'foreign'\n")
    result = installed.run("hello", PYTHONPATH=str(tmp_path), VIRTUAL_ENV=str(tmp_path), PYTHONUSERBASE=str(tmp_path))
    shown = json.loads(result.stdout)
    assert shown["packages"]["alpha"] == "1.0"
    assert shown["prefix"] == str(installed.venv)
    assert shown["variables"] == {
        "PYTHONPATH": str(installed.root),
        "VIRTUAL_ENV": str(installed.venv),
        "TASK_VARIABLE": "from the task",
        "PYTHONHOME": None,
    }
    one_line(result, "PYTHONPATH", str(tmp_path))


def test_callers_pip_target_is_not_used(checkout, tmp_path):
    checkout.write_requirements({**GROUPS, "core": ["alpha==2.0"]})
    target = tmp_path / "target"
    result = checkout.run("hello", PIP_TARGET=str(target), PYTHONPATH=str(tmp_path))
    assert json.loads(result.stdout)["packages"]["alpha"] == "2.0"
    assert not target.exists()


# ---- Python


def old_python(checkout: Checkout, path: str, *arguments: str):
    """Run `run` under an interpreter that says it is 3.9."""
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 1, 'final', 0); "
        f"sys.argv = {[str(checkout.root / 'run'), *arguments]!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env={**checkout.environment({}), "PATH": path}, cwd=checkout.root,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_old_python_names_what_it_looked_for(bare, tmp_path):
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n")
    broken.chmod(0o755)
    result = old_python(bare, f"{tmp_path}:/no-such-folder", "hello")
    assert result.returncode == 1
    one_line(result, "needs Python 3.11 or later", "python3 is 3.9", "python3.13, python3.12, python3.11")
    assert len(result.stderr.splitlines()) == 1


def test_old_python_uses_a_newer_one_that_is_there(installed, tmp_path):
    (tmp_path / "python3.12").symlink_to(os.path.realpath(sys.executable))
    result = old_python(installed, str(tmp_path), "hello", "x")
    assert json.loads(result.stdout)["arguments"] == ["x"]
    one_line(result, "python3 is 3.9; using python3.12 instead")


def test_it_parses_on_old_pythons():
    ast.parse((ROOT / "run").read_text(encoding="utf-8"), feature_version=(3, 6))


# ---- installing


def test_changed_requirement_refreshes_only_its_group(checkout):
    checkout.write_requirements({**GROUPS, "core": ["alpha==2.0"]})
    result = checkout.run("hello")
    assert json.loads(result.stdout)["packages"] == {"alpha": "2.0", "beta": "1.0", "gamma": "1.0", "delta": "1.0"}
    assert "[1/1] installing core" in result.stderr


def test_run_without_leaves_out_and_removes(checkout):
    result = checkout.run("hello", RUN_WITHOUT="torch")
    # Pyro runs on PyTorch, and goes with it.
    assert json.loads(result.stdout)["packages"] == {"alpha": "1.0", "beta": "1.0"}
    again = checkout.run("hello")
    assert json.loads(again.stdout)["packages"] == dict.fromkeys(["alpha", "beta", "gamma", "delta"], "1.0")
    assert "RUN_WITHOUT=torch,pyro would leave the systems among them out" in again.stderr


def test_run_with_adds_an_optional_group_and_keeps_it_until_told_otherwise(checkout):
    (checkout.root / "requirements-optional.txt").write_text("# [cuda] for a GPU\ngamma==1.0\n")
    first = checkout.run("hello", RUN_WITHOUT="torch", RUN_WITH="cuda")
    with_cuda = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert json.loads(first.stdout)["packages"] == with_cuda
    assert "[1/1] installing cuda" in first.stderr
    assert json.loads(checkout.run("hello", RUN_WITHOUT="torch").stdout)["packages"] == with_cuda
    last = checkout.run("hello", RUN_WITHOUT="torch", RUN_WITH="none")
    assert json.loads(last.stdout)["packages"] == {"alpha": "1.0", "beta": "1.0"}


def test_run_with_of_an_unknown_group_names_those_that_there_are(checkout):
    (checkout.root / "requirements-optional.txt").write_text("# [cuda] for a GPU\ngamma==1.0\n")
    result = checkout.run("hello", RUN_WITH="cuda13")
    assert result.returncode == 2
    one_line(result, "'cuda13'", "['cuda']")


@pytest.mark.parametrize("name", ["core", "toch"])
def test_run_without_refuses_what_it_cannot_leave_out(bare, name):
    result = bare.run("hello", RUN_WITHOUT=f"pyro,{name}")
    assert result.returncode == 2
    one_line(result, repr(name), "['torch', 'pyro']")
    assert not bare.venv.exists()


@pytest.mark.parametrize("damage", ["state file", "interpreter"])
def test_unusable_environment_is_made_anew(checkout, damage):
    state = checkout.venv / "made-by-run.json"
    if damage == "state file":
        state.write_text('["not", "ours"]')
    else:
        (checkout.venv / "bin" / "python").unlink()
        (checkout.venv / "bin" / "python").symlink_to("/no-such-python")
    (checkout.venv / "left-over").mkdir()
    result = checkout.run("hello", RUN_WITHOUT="torch")
    assert json.loads(result.stdout)["packages"] == {"alpha": "1.0", "beta": "1.0"}
    assert "making it again" in result.stderr
    assert not (checkout.venv / "left-over").exists()


def test_environment_of_another_python_that_still_works_is_kept(checkout):
    state = checkout.venv / "made-by-run.json"
    state.write_text(state.read_text().replace("cpython 3.", "cpython 9.").replace('"packages"', '"was"'))
    (checkout.venv / "left-over").mkdir()
    result = checkout.run("hello")
    assert json.loads(result.stdout)["packages"]["alpha"] == "1.0"
    assert "was made with cpython 9." in result.stderr
    assert "installing" not in result.stderr
    assert (checkout.venv / "left-over").exists()


def test_damaged_package_is_installed_again(checkout):
    (checkout.packages / "alpha.py").unlink()
    state = checkout.venv / "made-by-run.json"
    state.write_text(state.read_text().replace('"packages"', '"was"'))  # as after any change of the requirements
    result = checkout.run("hello")
    assert "installed again, since files of them are missing or changed: alpha" in result.stderr
    assert json.loads(result.stdout)["packages"]["alpha"] == "1.0"


def test_package_that_was_replaced_by_hand_is_put_back(checkout):
    pip = [checkout.venv / "bin" / "python", "-m", "pip", "install", "alpha==2.0", "--quiet"]
    subprocess.run(pip, env=checkout.environment({}), check=True, capture_output=True)
    result = checkout.run("hello")
    assert "by other means than ./run" in result.stderr
    assert json.loads(result.stdout)["packages"]["alpha"] == "1.0"
    assert checkout.run("hello").stderr == ""


@pytest.mark.parametrize("variable", ["PIP_DRY_RUN", "PIP_PYTHON", "PIP_NO_DEPS", "PIP_ROOT"])
def test_variables_that_redirect_pip_do_not_reach_it(checkout, variable, tmp_path):
    (checkout.packages / "alpha.py").unlink()
    result = stale(checkout, "core").run(
        "hello", **{variable: {"PIP_PYTHON": sys.executable, "PIP_ROOT": str(tmp_path)}.get(variable, "1")}
    )
    assert json.loads(result.stdout)["packages"]["alpha"] == "1.0"


@pytest.mark.parametrize("line", ["target = elsewhere", "dry-run = true", "user = true", "prefix = elsewhere"])
def test_pip_configuration_that_redirects_is_refused_by_name(checkout, tmp_path, line):
    stale(checkout, "core")
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[install]\n{line}\n")
    result = checkout.run("hello", PIP_CONFIG_FILE=str(settings))
    assert result.returncode == 1
    one_line(result, f"install.{line.partition(' ')[0]}", "PIP_CONFIG_FILE=")
    assert json.loads(checkout.run("hello").stdout)["packages"]["alpha"] == "1.0"


def test_installation_is_looked_at_not_believed(checkout):
    stale(checkout, "core").replace_pip("sys.exit(0) if 'install' in sys.argv else real()")
    (checkout.packages / "alpha.py").unlink()
    for part in ("METADATA", "RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json"):
        (checkout.packages / "alpha-1.0.dist-info" / part).unlink(missing_ok=True)
    (checkout.packages / "alpha-1.0.dist-info").rmdir()
    result = checkout.run("hello")
    assert result.returncode == 1
    one_line(result, "pip ended well", "alpha missing instead of 1.0")
    checkout.restore_pip()
    assert json.loads(checkout.run("hello").stdout)["packages"]["alpha"] == "1.0"


def test_somebody_elses_folder_is_not_touched(bare, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("three years")
    result = bare.run("hello", RUN_VENV=str(own))
    assert result.returncode == 1
    one_line(result, "./run did not make it", "RUN_VENV=DIR")
    assert (own / "thesis.txt").read_text() == "three years"


def test_lock_file_of_another_tool_beside_the_environment_is_left_alone(bare):
    (bare.root / "uv.lock").write_text("pins of another tool")
    assert bare.run("hello", RUN_VENV="uv", RUN_WITHOUT="torch").returncode == 0
    assert (bare.root / "uv.lock").read_text() == "pins of another tool"


def test_package_that_was_half_written_is_installed_again(checkout):
    # What a pip that is killed leaves: metadata, but not yet the list of files.
    (checkout.packages / "alpha-1.0.dist-info" / "RECORD").unlink()
    (checkout.packages / "alpha.py").unlink()
    state = checkout.venv / "made-by-run.json"
    recorded = json.loads(state.read_text())
    del recorded["groups"]["core"]
    state.write_text(json.dumps(recorded))
    assert json.loads(checkout.run("hello").stdout)["packages"]["alpha"] == "1.0"


# ---- faults while installing


def stale(checkout: Checkout, *groups: str) -> Checkout:
    """Make ./run believe that these groups are not installed."""
    state = checkout.venv / "made-by-run.json"
    recorded = json.loads(state.read_text())
    for group in groups:
        del recorded["groups"][group]
    state.write_text(json.dumps(recorded))
    return checkout


def test_no_network(checkout):
    checkout.write_requirements({**GROUPS, "core": ["unheard-of==1.0"]})
    # A port that nothing listens on: the true pip, and its true complaint.
    offline = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    result = checkout.run("hello", **offline)
    assert (result.returncode, result.stdout) == (1, "")
    one_line(result, "could not reach a package index while installing core", "unheard-of==1.0", "same command again")


def test_pip_failure_says_which_group_and_how_to_leave_it_out(checkout):
    checkout.write_requirements({**GROUPS, "torch": ["unheard-of==1.0"]})
    result = checkout.run("hello")
    assert result.returncode == 1
    one_line(
        result, "could not install torch", "No matching distribution found for unheard-of==1.0", "RUN_WITHOUT=torch"
    )
    assert "unheard-of" in (checkout.venv / "pip-torch.log").read_text()


def test_disk_full_during_pip(checkout):
    stale(checkout, "pyro").replace_pip("sys.exit('ERROR: [Errno 28] No space left on device')")
    result = checkout.run("hello")
    assert result.returncode == 1
    one_line(result, "is full", "RUN_VENV=DIR", "same command again")


def test_environment_without_pip_fails_in_one_line(checkout):
    stale(checkout, "pyro").replace_pip("sys.exit(3)")
    result = checkout.run("hello")
    assert result.returncode == 1
    one_line(result, "could not install pyro: nothing")


SITECUSTOMIZE = """
import builtins, errno, os
true_open = builtins.open
def refusing(path, mode="r", *arguments, **settings):
    if set("wa") & set(mode) and str(path).startswith({root!r}):
        raise OSError(errno.{code}, os.strerror(errno.{code}), str(path))
    return true_open(path, mode, *arguments, **settings)
builtins.open = refusing
"""


@pytest.mark.parametrize(("code", "part"), [("EROFS", "Read-only file system"), ("EACCES", "Permission denied")])
def test_read_only_checkout_names_the_way_out(bare, tmp_path, code, part):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE.format(root=str(bare.root), code=code))
    result = bare.run("hello", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    one_line(result, part, "RUN_VENV=DIR")
    elsewhere = bare.run("hello", PYTHONPATH=str(tmp_path), RUN_VENV=str(tmp_path / "elsewhere"), RUN_WITHOUT="torch")
    assert json.loads(elsewhere.stdout)["prefix"] == str(tmp_path / "elsewhere")
    assert not bare.venv.exists()


def test_disk_full_before_pip(bare, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE.format(root=str(bare.root), code="ENOSPC"))
    result = bare.run("hello", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    one_line(result, "is full")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_folder_without_write_permission(bare):
    bare.root.chmod(0o555)
    result = bare.run("hello")
    bare.root.chmod(0o755)
    assert result.returncode == 1
    one_line(result, "Permission denied", "RUN_VENV=DIR")


# A pip that installs `core`, and waits for a file before it installs anything else.
WAITING_PIP = """
if any('pyro.txt' in word for word in sys.argv):
    open({started!r}, 'w').write(str(os.getpid()))
    while not os.path.exists({go!r}):
        time.sleep(0.02)
real()
"""


def with_waiting_pip(checkout: Checkout) -> tuple[Path, Path]:
    """Returns the files by which the pip says that it has started, and is told to go on."""
    started, go = checkout.root / "started", checkout.root / "go"
    stale(checkout, "core", "pyro").replace_pip(WAITING_PIP.format(started=str(started), go=str(go)))
    return started, go


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A child whose parent was killed may wait as a zombie until init collects it.
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_run_again(checkout, number):
    started, _ = with_waiting_pip(checkout)
    process = checkout.start("hello")
    wait_for(lambda: started.exists() and started.read_text(), "pip to start")
    interrupt(process) if number == signal.SIGINT else process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("run: interrupted.")
    wait_for(lambda: not is_alive(int(started.read_text())), "pip to end")
    checkout.restore_pip()
    again = checkout.run("hello")
    assert json.loads(again.stdout)["packages"]["delta"] == "1.0"
    # The finished group is not installed again.
    assert "[1/1] installing pyro" in again.stderr


def test_what_pip_started_ends_with_it(checkout):
    child = checkout.root / "child"
    grandchild = "import os, time; open({child!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess\nsubprocess.run([sys.executable, '-c', {grandchild.format(child=str(child))!r}])"
    stale(checkout, "core").replace_pip(f"if 'install' not in sys.argv: real(); sys.exit()\n{code}")
    process = checkout.start("hello")
    wait_for(lambda: child.exists() and child.read_text(), "the child of pip to start")
    process.terminate()
    process.communicate()
    wait_for(lambda: not is_alive(int(child.read_text())), "the child of pip to end")


def test_hangup_that_the_caller_ignores_is_ignored(checkout):
    started, go = with_waiting_pip(checkout)
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        process = checkout.start("hello")
    finally:
        signal.signal(signal.SIGHUP, previous)
    wait_for(started.exists, "pip to start")
    process.send_signal(signal.SIGHUP)
    go.touch()
    output, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(output)["packages"]["delta"] == "1.0"


def test_two_at_once(checkout):
    started, go = with_waiting_pip(checkout)
    first = checkout.start("hello")
    wait_for(started.exists, "pip to start")
    second = checkout.start("hello", "second")
    assert "another ./run is preparing" in second.stderr.readline()
    go.touch()
    outputs = [process.communicate() for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert json.loads(outputs[1][0])["arguments"] == ["second"]
    # The second finds the work done.
    assert "installing" in outputs[0][1]
    assert "installing" not in outputs[1][1]


def test_killed_while_pip_goes_on(checkout):
    started, go = with_waiting_pip(checkout)
    first = checkout.start("hello")
    wait_for(started.exists, "pip to start")
    first.kill()
    second = checkout.start("hello")
    # The pip that was left behind holds the lock until it ends.
    assert "another ./run is preparing" in second.stderr.readline()
    go.touch()
    output, _ = second.communicate()
    first.communicate()
    assert second.returncode == 0
    assert json.loads(output)["packages"] == dict.fromkeys(["alpha", "beta", "gamma", "delta"], "1.0")


# ---- against the true files of this project


@pytest.fixture(scope="module")
def run_module():
    loader = SourceFileLoader("run_script", str(ROOT / "run"))
    module = module_from_spec(spec_from_loader("run_script", loader))
    loader.exec_module(module)
    return module


def test_groups_of_this_project(monkeypatch, tmp_path):
    monkeypatch.delenv("RUN_WITHOUT", raising=False)
    monkeypatch.delenv("RUN_WITH", raising=False)
    fresh = str(tmp_path / "none")
    assert list(wanted_groups(fresh)) == [
        "core",
        "test",
        "numpyro",
        "blackjax",
        "tfp",
        "torch",
        "pyro",
        "arviz",
        "docs",
    ]
    monkeypatch.setenv("RUN_WITHOUT", "torch")
    assert list(wanted_groups(fresh)) == ["core", "test", "numpyro", "blackjax", "tfp", "arviz", "docs"]
    monkeypatch.setenv("RUN_WITH", "cuda")
    assert list(wanted_groups(fresh)) == ["core", "test", "numpyro", "blackjax", "tfp", "arviz", "docs", "cuda"]


def test_every_task_key_is_understood(run_module):
    understood = {"cmd", "depends-on", "env", "description"}
    for tasks in (run_module.read_manifest()["tasks"], run_module.read_tasks()):
        assert tasks
    for entry in run_module.read_manifest()["tasks"].values():
        assert isinstance(entry, str) or set(entry) <= understood


def test_made_up_tasks_are_valid_toml():
    assert set(tomllib.loads(TASKS)) == {"tasks", "tool"}
