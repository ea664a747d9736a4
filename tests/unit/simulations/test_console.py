"""Progress: bars on a terminal, lines elsewhere, nothing if quiet."""

import re
from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from simulations.cli.terminal.progress import RichProgress

CONTROL = re.compile(r"\x1b|\r|\x08")
FRAME = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
"""How a live display goes back to its first line."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_of(*calls: tuple[str, int, int, str], clock: Clock | None = None, every: float = 0.0) -> list[str]:
    """Return what is printed after the first line, `every` seconds passing between two calls."""
    out, clock = StringIO(), clock or Clock()
    with RichProgress(console=Console(file=out), clock=clock) as progress:
        for call in calls:
            progress(*call)
            clock.now += every
    first, *rest = out.getvalue().splitlines()
    assert first == "starting"
    assert not CONTROL.search(out.getvalue())
    return rest


def screen_of(width: int, *calls: tuple[float, str, int, int, str]) -> list[str]:
    """Return the last lines of a terminal after calls, each some seconds after the one before, and 3 more seconds."""
    out, clock = StringIO(), Clock()
    console = Console(file=out, force_terminal=True, force_interactive=True, width=width, height=30)
    with RichProgress(console=console, clock=clock) as progress:
        for seconds, *call in calls:
            clock.now += seconds
            progress(*call)
        clock.now += 3
    shown = Text.from_ansi(FRAME.split(out.getvalue())[-1]).plain
    return [line.rstrip() for line in shown.splitlines() if line.strip("\r ")]


# lines


def test_a_line_for_the_first_call_and_each_further_tenth() -> None:
    found = lines_of(*(("rounds", done, 30, "") for done in range(31)))
    # tenths of 30 rounds are 0, 3, 6, ..., 30: 1 + 10 lines
    assert [line.partition(",")[0] for line in found] == [f"rounds {done}/30" for done in range(0, 31, 3)]


def test_work_that_goes_on_is_told_every_half_minute() -> None:
    found = lines_of(*(("rounds", done, 1000, "") for done in range(8)), every=12.0)
    # told at 0 s; 12 and 24 s later it was told less than 30 s ago; so at 36 and 72 s
    assert found == ["rounds 0/1,000, 0 s", "rounds 3/1,000, 36 s", "rounds 6/1,000, 72 s"]


def test_a_line_ends_with_the_note_as_it_is() -> None:
    assert lines_of(("rounds", 3, 30, "loss 5.31 [bold]")) == ["rounds 3/30, 0 s, loss 5.31 [bold]"]


def test_notes_of_several_lines_are_one_line() -> None:
    assert lines_of(("trials", 0, 2, "seed=0: rounds 1/3\nseed=1: rounds 2/3")) == [
        "trials 0/2, 0 s, seed=0: rounds 1/3; seed=1: rounds 2/3"
    ]


def test_work_of_unknown_size_has_one_line() -> None:
    assert lines_of(("reading", 0, 0, ""), ("reading", 5, 0, ""), ("reading", 9, 0, "")) == ["reading 0, 0 s"]


def test_work_that_starts_over_is_told_again() -> None:
    found = lines_of(("evaluating", 1, 2, ""), ("evaluating", 2, 2, ""), ("evaluating", 1, 2, ""))
    assert found == ["evaluating 1/2, 0 s", "evaluating 2/2, 0 s", "evaluating 1/2, 0 s"]


def test_a_note_is_a_line_of_its_own() -> None:
    assert lines_of(("note", 0, 0, "terms: [see] there")) == ["terms: [see] there"]


# bars

NOTE = "loss 5.312  NDCG@10 0.104  epsilon 8.00"


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_terminal_has_room_for_the_bar_the_count_both_times_and_the_note(width: int) -> None:
    bar, note = screen_of(width, (0, "rounds", 0, 1200, ""), (40, "rounds", 20, 1200, NOTE))
    assert len(bar) <= width
    # 20 rounds in 40 s: 2 s each, so 1180 rounds take 2360 s; 3 s of them are over: 2357 s = 39:17
    assert re.search(r"rounds [━╸╺]+ +20/1,200 0:43, 39:17 left$", bar), bar
    assert len(re.findall("[━╸╺]", bar)) >= width // 3
    assert note == f"  {NOTE}"


def test_the_clock_runs_before_the_first_item_is_done() -> None:
    (bar,) = screen_of(80, (0, "rounds", 0, 30, ""))
    assert bar.endswith("0/30 0:03")


def test_the_clock_runs_before_any_work_is_named() -> None:
    """It is shown at once, and gone as soon as there is something better to show."""
    out, clock = StringIO(), Clock()
    console = Console(file=out, force_terminal=True, force_interactive=True, width=80)
    with RichProgress(console=console, clock=clock):
        assert "starting" in out.getvalue()
    assert screen_of(80) == []
    assert "starting" not in "".join(screen_of(80, (5, "rounds", 0, 30, "")))


def test_work_done_before_a_run_was_resumed_has_taken_no_time() -> None:
    (bar,) = screen_of(80, (0, "rounds", 10, 30, ""), (8, "rounds", 12, 30, ""))
    # 2 rounds in 8 s: the 18 that are left take 72 s; 3 s of them are over: 69 s
    assert bar.endswith("12/30 0:11, 1:09 left")


def test_finished_work_shows_what_it_took() -> None:
    (bar,) = screen_of(80, (0, "controls", 0, 2, ""), (3725, "controls", 2, 2, ""))
    assert bar.startswith("✓ controls")
    assert bar.endswith("2/2 1:02:05")


def test_work_that_starts_over_starts_its_clock_over() -> None:
    (bar,) = screen_of(80, (0, "rounds", 5, 9, ""), (60, "rounds", 9, 9, ""), (30, "rounds", 0, 9, ""))
    assert bar.endswith("0/9 0:03")


def test_every_trial_that_runs_has_a_line_under_the_bars() -> None:
    doing = "\n".join(f"privacy.epsilon={epsilon}, seed=0: rounds 3/30" for epsilon in (1, 8))
    bar, *notes = screen_of(60, (0, "trials", 0, 4, doing))
    assert "trials" in bar
    assert notes == [f"  {line}" for line in doing.splitlines()]


def test_texts_are_shown_as_they_are_above_the_bars() -> None:
    assert screen_of(80, (0, "note", 0, 0, "[hello]"), (0, "reading", 3, 0, "a [x]"))[-1] == "  a [x]"


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = StringIO()
    with RichProgress(console=Console(file=out, force_terminal=True)) as progress:
        progress("rounds", 1, 1)
    assert out.getvalue() == "starting\nrounds 1/1, 0 s\n"


def test_quiet_is_silent() -> None:
    out = StringIO()
    with RichProgress(quiet=True, console=Console(file=out)) as progress:
        progress("rounds", 1, 1)
        progress.notify("hello")
    assert out.getvalue() == ""
