"""What the terminal shows of a result, on standard output."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def show_summary(summary: Mapping[str, Any], path: Path, report: Path) -> None:
    """Print a finished run: its answer, its scores beside the controls, its promise, and where the report is.

    Args:
        summary: The run's `summary.json`; what it lacks is a dash.
        path: The run's directory.
        report: Its page.
    """
    from fedrec.reporting.reading import reading
    from fedrec.reporting.run.tables import control_rows, headline, shown_differences
    from fedrec.reporting.wording import bytes_text, get_path, metric_label, score_text

    read = reading(summary)
    metric, targets = metric_label(read.metric), read.targets
    rows = [
        [row.label, *(f"{score_text(cell.value)} {cell.interval}".strip() for cell in row.cells.values())]
        for row in control_rows(summary)
    ]
    show_text(headline(summary))
    for warning in summary.get("warnings", []):
        show_text(f"Read with care: {warning}")
    title = "Test users, full ranking" if read.ranks else "Test users"
    show_table(title, ["", *(f"{metric}, {target}" for target in targets.values())], rows)
    if shown := shown_differences(summary):
        show_text(shown)
    show_text(str(get_path(summary, "privacy").get("statement", "No privacy statement is recorded.")))
    upload = bytes_text(get_path(summary, "communication").get("upload_bytes_per_client_round"))
    show_facts(
        {
            "Sent": f"{upload} by a client in a round",
            "Parameters": f"sha256 {summary.get('parameters_sha256', 'not recorded')}",
            "Run": path,
            "Report": report,
        }
    )


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; texts are shown as they are, whatever brackets they hold."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one a line; no line is broken, so that hashes and paths can be copied."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        text = str(value).replace("\n", "\n" + " " * width)
        Console().print(Text.assemble((name.ljust(width), "bold"), text), soft_wrap=True)


def show_text(text: str) -> None:
    """Print a paragraph with a blank line around it."""
    Console().print(Padding(Text(text), (1, 0)))
