"""The engines' benchmark as tables for people."""

from collections.abc import Mapping
from typing import Any

from simulations.benchmarks.engines.times import LIMIT
from simulations.cli.terminal.output import show_facts, show_table, show_text


def show(result: Mapping[str, Any]) -> None:
    """Print a table a comparison, and what it was measured with."""
    for name, case in result["cases"].items():
        show_text(f"{name}: {case['about']}")
        for comparison in case["comparisons"]:
            _show_comparison(comparison)
    around = result["environment"]
    versions = ", ".join(f"{package} {around[package]}" for package in ("fedrec", "torch", "flwr", "ray", "opacus"))
    facts = {"Cores": result["cores"], "Python": around["python"], "On": around["platform"], "With": versions}
    show_facts({**facts, "Kept in": f"{result['kept']} (remove it to measure again)"})


def _show_comparison(comparison: Mapping[str, Any]) -> None:
    references = list(
        dict.fromkeys(name for competitor in comparison["competitors"].values() for name in competitor["ratios"])
    )
    columns = ["competitor", "clients/s", "ms a client", "range, s", "MB", *(_heading(r) for r in references)]
    rows = [
        [
            name,
            f"{competitor['clients_per_s']:,.1f}",
            f"{competitor['ms_per_client']:.3f}",
            f"{min(competitor['seconds']):.3f} - {max(competitor['seconds']):.3f} ({len(competitor['seconds'])})",
            "" if competitor["peak_mb_above_start"] is None else f"{competitor['peak_mb_above_start']:,.0f}",
            *(_ratio(reference, competitor["ratios"].get(reference)) for reference in references),
        ]
        for name, competitor in comparison["competitors"].items()
    ]
    show_table(comparison["title"], columns, rows)
    facts = {
        "Limit": comparison["limit"],
        "Padding": ", ".join(f"{name} {share:.1%}" for name, share in comparison["facts"].get("padding", {}).items()),
        "Failed": ", ".join(comparison["failed"]),
        "Same work": {True: "yes", False: "NO: the competitors' aggregated changes differ"}.get(
            comparison["same_work"]
        ),
    }
    if known := {name: value for name, value in facts.items() if value}:
        show_facts(known)


def _heading(reference: str) -> str:
    return "of the limit" if reference == LIMIT else f"times {reference}"


def _ratio(reference: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if reference == LIMIT else f"{value:.2f}"
