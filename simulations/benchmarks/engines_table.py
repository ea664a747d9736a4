"""The engines' benchmark as tables for people."""

from collections.abc import Mapping
from typing import Any

from simulations.benchmarks.engines_times import LIMIT
from simulations.show import show_facts, show_table, show_text


def show(result: Mapping[str, Any]) -> None:
    """Print a table a heat, and what it was measured with."""
    for name, case in result["cases"].items():
        show_text(f"{name}: {case['about']}")
        for heat in case["heats"]:
            _show_heat(heat)
    around = result["environment"]
    versions = ", ".join(f"{package} {around[package]}" for package in ("fedrec", "torch", "flwr", "ray", "opacus"))
    facts = {"Cores": result["cores"], "Python": around["python"], "On": around["platform"], "With": versions}
    show_facts({**facts, "Kept in": f"{result['kept']} (remove it to measure again)"})


def _show_heat(heat: Mapping[str, Any]) -> None:
    references = list(dict.fromkeys(name for rival in heat["rivals"].values() for name in rival["ratios"]))
    columns = ["rival", "clients/s", "ms a client", "range, s", "MB", *(_heading(r) for r in references)]
    rows = [
        [
            name,
            f"{rival['clients_per_s']:,.1f}",
            f"{rival['ms_per_client']:.3f}",
            f"{min(rival['seconds']):.3f} - {max(rival['seconds']):.3f} ({len(rival['seconds'])})",
            "" if rival["peak_mb_above_start"] is None else f"{rival['peak_mb_above_start']:,.0f}",
            *(_ratio(reference, rival["ratios"].get(reference)) for reference in references),
        ]
        for name, rival in heat["rivals"].items()
    ]
    show_table(heat["title"], columns, rows)
    facts = {
        "Limit": heat["limit"],
        "Padding": ", ".join(f"{name} {share:.1%}" for name, share in heat["facts"].get("padding", {}).items()),
        "Same work": {True: "yes", False: "NO: the rivals' aggregated changes differ"}.get(heat["same_work"]),
    }
    if known := {name: value for name, value in facts.items() if value}:
        show_facts(known)


def _heading(reference: str) -> str:
    return "of the limit" if reference == LIMIT else f"times {reference}"


def _ratio(reference: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if reference == LIMIT else f"{value:.2f}"
