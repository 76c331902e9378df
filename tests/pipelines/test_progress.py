"""What a run says while it works, on a terminal and elsewhere."""

import io

from rich.console import Console

from pipelines.output.progress import PLAIN_LINE_SECONDS, Reporter


def test_plain_lines_are_new_activities_and_a_slow_pulse():
    output, now = io.StringIO(), [0.0]
    reporter = Reporter(Console(file=output), clock=lambda: now[0])
    with reporter.cells("toy", 3):
        for second in range(25):
            now[0] = float(second)
            reporter.activity("racing 3", f"round {second}")
        reporter.activity("gate")
        reporter.advance()
    pulses = [f"  racing 3 round {int(k * PLAIN_LINE_SECONDS)}" for k in range(3)]
    assert output.getvalue().splitlines() == [*pulses, "  gate"]


def test_terminal_shows_a_bar_with_counts():
    output = io.StringIO()
    reporter = Reporter(Console(file=output, force_terminal=True, width=100))
    with reporter.cells("toy", 3):
        reporter.activity("racing sizes=[1,2]", "round 1")
        reporter.advance(2)
    assert "racing sizes=[1,2] round 1" in output.getvalue() and "2/3" in output.getvalue()


def test_lines_are_never_wrapped_or_marked_up():
    output = io.StringIO()
    Reporter(Console(file=output, width=20)).say("[bold]stays as it is[/bold] and on one line")
    assert output.getvalue() == "[bold]stays as it is[/bold] and on one line\n"


def test_whole_counts_on_through_its_parts():
    output, now = io.StringIO(), [0.0]
    reporter = Reporter(Console(file=output), clock=lambda: now[0])
    with reporter.whole("all", 5):
        for name in ("a", "b"):
            with reporter.cells(name, 2):
                reporter.activity(f"gate {name}")
                reporter.advance(2)
        reporter.activity("drawing")
    reporter.activity("after")
    assert output.getvalue().splitlines() == ["  [0/5] gate a", "  [2/5] gate b", "  [4/5] drawing", "  after"]


def test_whole_is_one_bar_on_a_terminal():
    output = io.StringIO()
    reporter = Reporter(Console(file=output, force_terminal=True, width=100))
    with reporter.whole("all", 5):
        for name in ("a", "b"):
            with reporter.cells(name, 2):
                reporter.activity(f"gate {name}")
                reporter.advance(2)
    shown = output.getvalue()
    assert "gate a" in shown and "4/5" in shown and "2/2" not in shown and "0/2" not in shown


def test_time_left_is_expected_and_then_corrected_by_what_the_work_took():
    output, now = io.StringIO(), [0.0]
    reporter = Reporter(Console(file=output), clock=lambda: now[0])
    reporter.expect({"a": 60.0, "b": 140.0})
    with reporter.whole("all", 4):
        reporter.begin("a", 60.0)
        reporter.activity("first")
        now[0] = 130.0  # twice what was expected, but for the 10 s that count as expected
        reporter.worked()
        reporter.advance(2)
        reporter.begin("b", 140.0)
        reporter.activity("second")
        now[0] = 410.0
        reporter.worked()
        reporter.advance(2)
        reporter.activity("figures")
    assert output.getvalue().splitlines() == [
        "  [0/4, about 3 min left, a 60 s] first",
        "  [2/4, about 5 min left, b 5 min] second",
        "  [4/4] figures",
    ]


def test_small_cells_before_a_long_one_say_nothing_about_the_rest():
    output, now = io.StringIO(), [0.0]
    reporter = Reporter(Console(file=output), clock=lambda: now[0])
    reporter.expect({"a": 1200.0})
    with reporter.whole("all", 9):
        reporter.begin("a", 1.0)
        reporter.worked()
        reporter.begin("a", 1199.0)
        now[0] = 41.0  # the first long cell is at work, and not done
        reporter.activity("second")
    assert output.getvalue().splitlines() == ["  [0/9, about 19 min left] second"]


def test_a_part_that_takes_long_corrects_what_is_left_before_it_is_done():
    """So that a run of an hour does not say for ten minutes that seven are left."""
    output, now = io.StringIO(), [0.0]
    reporter = Reporter(Console(file=output), clock=lambda: now[0])
    reporter.expect({"a": 400.0})
    with reporter.whole("all", 9):
        reporter.begin("a", 20.0)
        now[0] = 320.0
        reporter.activity("gate")  # 330 s for what should have taken 30
    assert output.getvalue().splitlines() == ["  [0/9, about 70 min left] gate"]


def test_terminal_shows_the_time_left():
    output = io.StringIO()
    reporter = Reporter(Console(file=output, force_terminal=True, width=100))
    reporter.expect({"a": 40.0})
    with reporter.cells("toy", 3):
        reporter.activity("racing")
    assert "about 40 s left" in output.getvalue()
