"""Progress: bars on a terminal, lines elsewhere, nothing if quiet."""

from io import StringIO

import pytest
from rich.console import Console

from simulations.console import RichProgress


def lines_of(*calls: tuple[str, int, int, str]) -> list[str]:
    out = StringIO()
    with RichProgress(console=Console(file=out)) as progress:
        for call in calls:
            progress(*call)
    return out.getvalue().splitlines()


def test_a_line_for_the_first_call_and_each_further_tenth() -> None:
    found = lines_of(*(("rounds", done, 30, "") for done in range(31)))
    # tenths of 30 rounds are 0, 3, 6, ..., 30: 1 + 10 lines
    assert [line.partition(",")[0] for line in found] == [f"rounds {done}/30" for done in range(0, 31, 3)]


def test_a_line_ends_with_the_note_as_it_is() -> None:
    assert lines_of(("rounds", 3, 30, "loss 5.31 [bold]")) == ["rounds 3/30, 0 s, loss 5.31 [bold]"]


def test_work_of_unknown_size_has_one_line() -> None:
    assert lines_of(("reading", 0, 0, ""), ("reading", 5, 0, ""), ("reading", 9, 0, "")) == ["reading 0, 0 s"]


def test_work_that_starts_over_is_told_again() -> None:
    found = lines_of(("evaluating", 1, 2, ""), ("evaluating", 2, 2, ""), ("evaluating", 1, 2, ""))
    assert found == ["evaluating 1/2, 0 s", "evaluating 2/2, 0 s", "evaluating 1/2, 0 s"]


def test_a_note_is_a_line_of_its_own() -> None:
    assert lines_of(("note", 0, 0, "terms: [see] there")) == ["terms: [see] there"]


def test_bars_on_a_terminal_show_count_and_note() -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, force_interactive=True, width=120)
    with RichProgress(console=console) as progress:
        progress.notify("[hello]")
        progress("rounds", 1, 1200, "loss 5.31 [x]")
        progress("rounds", 1200, 1200, "loss 4.20 [x]")
        progress("rounds", 2, 1200, "loss 4.10 [x]")
        progress("reading", 3, 0)
    text = out.getvalue()
    assert "[hello]" in text
    last_bar = text.rpartition("rounds")[2]
    assert " 2/1,200 " in last_bar
    assert "loss 4.10 [x]" in last_bar


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = StringIO()
    with RichProgress(console=Console(file=out, force_terminal=True)) as progress:
        progress("rounds", 1, 1)
    assert out.getvalue() == "rounds 1/1, 0 s\n"


def test_quiet_is_silent() -> None:
    out = StringIO()
    with RichProgress(quiet=True, console=Console(file=out)) as progress:
        progress("rounds", 1, 1)
        progress.notify("hello")
    assert out.getvalue() == ""
