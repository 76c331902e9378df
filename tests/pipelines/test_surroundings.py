"""What the user's surroundings must not change: drawing settings, folders, terminals, logs, signals, odd names."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipelines.config.paths import quoted, typed_file, typed_path
from pipelines.output.progress import HEARTBEAT_SECONDS, Reporter
from pipelines.output.terminal import Terminal, in_markdown, printable
from pipelines.plan.tree import REPOSITORY
from pipelines.scratch import PREFIX, remove_left_over_files, scratch_folder
from pipelines.testing.toy import FAST, Toy

PROGRAM = (
    "import sys; from pathlib import Path; from pipelines.cli import main; from pipelines.plan.tree import Tree; "
    "sys.exit(main(sys.argv[2:], tree=Tree(Path(sys.argv[1]))))"
)


def command(toy: Toy, *words: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", PROGRAM, str(toy.root), *FAST, *words]


def surroundings(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path / "checkout")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Toy:
    """A checkout whose one framework is measured; tests only draw from it."""
    toy = Toy(tmp_path_factory.mktemp("measured"))
    assert toy.run("frameworks=[first]", "stages=[run]") == 0
    return toy


# ---- drawing


def draw(toy: Toy, figs: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    words = command(toy, "frameworks=[first]", "stages=[figures]", f"figs={figs}")
    return subprocess.run(
        words, cwd=toy.root, env=surroundings(**variables), capture_output=True, text=True, check=False
    )


def test_backend_of_a_notebook_does_not_reach_the_figures(measured, tmp_path):
    done = draw(measured, tmp_path, MPLBACKEND="module://no_such_backend.inline")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.pdf"))


def test_users_matplotlibrc_does_not_change_a_figure(measured, tmp_path):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.color: white\naxes.labelcolor: white\nxtick.color: white\nfigure.facecolor: black\n")
    assert draw(measured, tmp_path / "plain").returncode == 0
    assert draw(measured, tmp_path / "users", MATPLOTLIBRC=str(settings)).returncode == 0
    name = "toy_times_points3.png"
    assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "users" / name).read_bytes()


def test_fonts_of_a_pdf_are_truetype(measured, tmp_path):
    """Conferences refuse Type 3 fonts. A font's dictionary is not compressed, its kind can be read."""
    assert draw(measured, tmp_path).returncode == 0
    content = (tmp_path / "toy_times_points3.pdf").read_bytes()
    assert b"/Subtype /CIDFontType2" in content
    assert b"/Type3" not in content


# ---- folders


def test_typed_paths_begin_where_the_user_is(tmp_path, monkeypatch):
    user, checkout = tmp_path / "user", tmp_path / "checkout"
    user.mkdir(), checkout.mkdir()
    (user / "me.png").touch()
    (user / "wizards").touch()
    monkeypatch.chdir(checkout)  # as ./run and pixi do
    monkeypatch.setenv("INIT_CWD", str(user))
    assert typed_path("out", checkout) == user / "out"
    assert typed_path("/out", checkout) == Path("/out")
    assert typed_file("me.png", checkout) == str(user / "me.png")
    assert typed_file("wizards", checkout) == "wizards"  # a name of the configuration, though such a file is there
    assert typed_file("other.png", checkout) == "other.png"
    monkeypatch.chdir(user)  # a plain `python -m pipelines`: a variable left by something else does not count
    monkeypatch.setenv("INIT_CWD", "/elsewhere")
    assert typed_path("out", checkout) == user / "out"


def test_results_land_where_the_user_is(toy, tmp_path, monkeypatch):
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.chdir(toy.root)
    monkeypatch.setenv("INIT_CWD", str(user))
    assert toy.run("frameworks=[first]", "results=out", "stages=[run]") == 0
    assert list((user / "out").glob("toy/total/*/record.json"))
    assert not (toy.root / "out").exists()


@pytest.mark.parametrize("name", ["é", "a(b", "c,d", "e=f", "g'h", "i~j", "k#l", "m n", "ö[1]", "o:p"])
def test_folder_of_any_name(toy, tmp_path, name):
    folder = tmp_path / name
    assert toy.run("frameworks=[first]", f"results={quoted(folder)}", "stages=[run]") == 0
    assert list(folder.glob("toy/total/*/record.json"))


@pytest.mark.parametrize("name", ["é", "a(b", "g'h", "ö[1]"])
def test_folder_of_most_names_needs_no_quotes(toy, tmp_path, name):
    folder = tmp_path / name
    assert toy.run("frameworks=[first]", f"results={folder}", "stages=[run]") == 0
    assert list(folder.glob("toy/total/*/record.json"))


def test_comma_in_a_path_is_explained(toy, capsys):
    assert toy.run("results=c,d") == 2
    assert "results='c,d'" in capsys.readouterr().err


def test_stored_measurements_on_a_read_only_disk_are_drawn(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pipelines.output.closing.os.access", lambda path, mode: False)  # root may write everywhere
    assert measured.run("frameworks=[first]", f"figs={tmp_path}") == 0
    assert "cannot be written" in capsys.readouterr().out
    assert measured.run("frameworks=[first]", "seed=5", f"figs={tmp_path}") == 1
    assert "results=FOLDER" in capsys.readouterr().err


def test_figures_folder_that_cannot_be_written_names_its_own_setting(measured, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert measured.run("frameworks=[first]", f"figs={tmp_path / 'file' / 'figs'}") == 1
    message = capsys.readouterr().err
    assert "figs=FOLDER" in message
    assert "results=FOLDER" not in message


def test_line_ends_are_those_of_unix_in_every_clone():
    attributes = (REPOSITORY / ".gitattributes").read_text()
    assert "* text=auto eol=lf" in attributes


# ---- terminals and logs


def test_colours_that_are_forced_leave_a_log_plain(toy):
    words = command(toy, "frameworks=[first]", "stages=[run]")
    done = subprocess.run(words, cwd=toy.root, env=surroundings(FORCE_COLOR="1"), capture_output=True, text=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "prepare and gate first" in done.stdout


def on_a_terminal(words: list[str], folder: Path, **variables: str) -> tuple[int, str]:
    """A command's exit status and what it writes to a pseudo-terminal."""
    parent, child = pty.openpty()
    with subprocess.Popen(words, cwd=folder, env=surroundings(**variables), stdout=child, stderr=child) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                chunk = os.read(parent, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(parent)
    return process.returncode, shown.decode()


def test_dumb_terminal_gets_plain_lines(toy):
    status, shown = on_a_terminal(command(toy, "frameworks=[first]", "stages=[run]"), toy.root, TERM="dumb")
    assert status == 0
    assert "prepare and gate first" in shown
    assert "\x1b" not in shown


def test_reader_that_goes_away_does_not_end_the_run(toy):
    words = " ".join(f"'{word}'" for word in command(toy, "stages=[run]"))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{words} | head -n 1"], cwd=toy.root, env=surroundings(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(toy.records()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_log_is_not_called_a_full_results_disk(toy):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(toy, "stages=[run]"), cwd=toy.root, env=surroundings(), stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Standard output cannot be written" in done.stderr
    assert len(toy.records()) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("bell\x07 \x08back\rreturn", "bell backreturn"),
        ("\x9b2Jclear", "2Jclear"),
        ("tab\tand\nline, ümlaut, 漢", "tab\tand\nline, ümlaut, 漢"),
    ],
)
def test_escape_sequences_are_not_printed(text, shown):
    assert printable(text) == shown


def test_reasons_are_text_in_a_markdown_table():
    assert in_markdown("<script>x</script> | a\n\x1b[2Jb & c") == "&lt;script&gt;x&lt;/script&gt; \\| a b &amp; c"


def test_reasons_of_a_worker_reach_neither_terminal_nor_page_raw(toy, capsys):
    toy.model("second", before="raise ValueError('\\x1b[2J<b>bold</b>')")
    toy.run("frameworks=[first,second]")
    assert "\x1b" not in capsys.readouterr().out
    report = (toy.root / "results" / "report.md").read_text()
    assert "&lt;b&gt;bold" in report
    assert "\x1b" not in report and "<b>" not in report


def test_long_activity_shows_that_it_is_alive(capsys):
    now = [0.0]
    reporter = Reporter(Terminal(), clock=lambda: now[0])
    reporter.activity("compiling")
    reporter.say("something")
    assert "still at it" not in capsys.readouterr().out
    now[0] = HEARTBEAT_SECONDS + 1
    reporter.show_life()
    assert "still at it after 21 s: compiling" in capsys.readouterr().out
    reporter.show_life()
    assert capsys.readouterr().out == ""


def test_log_says_how_long_the_rest_takes(capsys):
    now = [0.0]
    reporter = Reporter(Terminal(), clock=lambda: now[0])
    with reporter.whole("the whole run", 10):
        reporter.activity("one")
        assert "left" not in capsys.readouterr().out
        reporter.advance(2)
        now[0] = 60.0
        reporter.activity("two")
        assert "[2/10, about 4 min left] two" in capsys.readouterr().out
        reporter.advance(7)
        now[0] = 90.0
        reporter.activity("three")
        assert "[9/10, about 10 s left] three" in capsys.readouterr().out


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_before_the_imports_are_done_ends_in_a_sentence(number):
    """As ./run starts a command: with these signals held back until the command can answer them."""
    code = (
        "import os, signal, sys\n"
        "signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
        "for each in signals: signal.signal(each, signal.SIG_DFL)\n"  # in the background they come ignored
        f"os.kill(os.getpid(), {int(number)})\n"
        "from pipelines.entry import guarded\n"
        "sys.exit(guarded(lambda: 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr.strip().startswith("Interrupted.")
    assert "Traceback" not in done.stderr


def test_hangup_that_is_ignored_stays_ignored():
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from pipelines.entry import guarded\n"
        "sys.exit(guarded(lambda: os.kill(os.getpid(), signal.SIGHUP) or 0))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_signals_of_a_run_are_as_before_it():
    from pipelines.entry import ENDING, guarded

    before = [signal.getsignal(number) for number in ENDING]
    assert guarded(lambda: 0) == 0
    assert [signal.getsignal(number) for number in ENDING] == before


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path / f"{PREFIX}{ended.pid}-abc"
    alive = tmp_path / f"{PREFIX}{os.getpid()}-abc"
    other = tmp_path / f"{PREFIX}of-the-user"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "array.npy").touch()
    link = tmp_path / f"{PREFIX}{ended.pid}-link"
    link.symlink_to(other)
    with scratch_folder() as own:
        assert own.is_dir()
        assert re.fullmatch(rf"{PREFIX}{os.getpid()}-\w+", own.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in (alive, other, link))
    assert (other / "array.npy").exists()


def test_half_a_figure_of_a_killed_run_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".figure.{ended.pid}.pdf"
    kept = [tmp_path / f".figure.{os.getpid()}.pdf", tmp_path / f".other.{ended.pid}.pdf", tmp_path / ".figure.notes"]
    for path in (left, *kept):
        path.touch()
    remove_left_over_files(tmp_path, "figure")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_checkout_of_any_name_can_sweep(tmp_path):
    """The folders of a sweep's jobs are values in Hydra's grammar, which brackets and accents end elsewhere."""
    checkout = tmp_path / "größe [1], (zwei) = 'drei'"
    for name in ("pipelines", "studies", "frameworks", "configs"):
        shutil.copytree(REPOSITORY / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["study=faircoin", "size=smoke", "seed=1,2", "stages=[plan]"]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.sweep", *words], cwd=checkout, env=surroundings(PYTHONPATH=str(checkout)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 jobs in" in done.stdout


def test_wall_clock_is_not_slept_away():
    """A run that only plans ends without waiting for its own heartbeat."""
    reporter = Reporter(Terminal())
    start = time.monotonic()
    with reporter.cells("a study", 1):
        reporter.activity("one")
    assert time.monotonic() - start < HEARTBEAT_SECONDS / 4
