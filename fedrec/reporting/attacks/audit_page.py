"""The page of an audit: what is claimed, what guesses prove of it, and what was measured; one HTML file, offline."""

import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from fedrec.reporting.html import framed
from fedrec.reporting.wording import DASH, epsilon_text, get_path, number, p_text

Verdict = Mapping[str, Any]

SURVIVES = "The claim survives: this audit did not refute it, which is no proof that it is true."
REFUTED = "The claim is false."


def render_audit(record: Mapping[str, Any]) -> str:
    """Return the page of an audit from its JSON."""
    verdict = record["verdict"]
    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return templates.from_string(PAGE).render(
        experiment=record["experiment"],
        asked=[(key.replace("_", " "), str(value)) for key, value in record["asked"].items()],
        answer=REFUTED if verdict["faults"] else SURVIVES,
        verdict=verdict,
        tiles=_tiles(verdict),
        proofs=_proofs(verdict),
        noise=_noise(verdict),
        contribution=_contribution(verdict),
        plotly="",  # there is no chart
    )


def _tiles(verdict: Verdict) -> list[tuple[str, str]]:
    return [
        ("epsilon claimed", _epsilon(verdict["epsilon_claimed"])),
        ("epsilon is at least", _epsilon(verdict["epsilon_at_least"])),
        ("at least, if the mechanism is Gaussian", _epsilon(verdict["epsilon_at_least_if_gaussian"])),
    ]


def _proofs(verdict: Verdict) -> list[list[str]]:
    """Return a row for each bound: canaries, guesses, right ones, the bound, and the most that it could have been."""
    bounds = {"any mechanism": verdict["guesses"], "a Gaussian trade-off curve": verdict["guesses_if_gaussian"]}
    return [
        [name, *(str(found[key]) for key in ("canaries", "guesses", "right")), *map(_epsilon, _ends(found))]
        for name, found in bounds.items()
        if found is not None
    ]


def _ends(bound: Verdict) -> tuple[Any, Any]:
    return bound["epsilon"], bound["most"]


def _noise(verdict: Verdict) -> list[list[str]]:
    """Return a row for each test of noise; none where it was not seen."""
    noise = verdict["noise"]
    if noise is None:
        return []
    tests = [test for test in (noise["updates"], *noise["groups"], *noise["others"]) if test["numbers"]]
    return [
        [test["of"], f"{test['numbers']:,}", f"{number(test['relative_deviation']):.4f}", p_text(number(test["p"]))]
        for test in tests
    ]


def _contribution(verdict: Verdict) -> str:
    users, clips = (get_path(verdict, "contribution").get(key) for key in ("users", "clip_norms"))
    if not users:
        return "Contributions of single users were not measured."
    return f"The longest of {users} contributions of one user is {number(clips):.4f} clip norms; at most 1 is claimed."


def _epsilon(value: object) -> str:
    found = number(value)
    return DASH if math.isnan(found) else epsilon_text(found)


PAGE = framed(
    "Audit of {{ experiment.name }} · fedrec",
    """<header>
  <h1>Audit of {{ experiment.name }}</h1>
  <p>By fedrec on its own simulation, with canary users · experiment <code>{{ experiment.fingerprint[:12] }}</code></p>
  <p class="quiet">All of this is what only a simulation sees: nothing here may be published as a run's result.</p>
</header>
<section id="answer">
  <h2>The answer</h2>
  <p class="answer">{{ answer }}</p>
  {{ tiles_of(tiles) }}
</section>
{% if verdict.faults %}
<section class="warnings" id="faults">
  <h2>What is wrong</h2>
  <ul>{% for fault in verdict.faults %}<li>{{ fault }}</li>{% endfor %}</ul>
</section>
{% endif %}
<section id="words">
  <h2>In words</h2>
  <p>{{ verdict.statement }}</p>
</section>
<section id="guesses">
  <h2>What guesses prove</h2>
  {{ numbers(["Of", "Canaries", "Guessed", "Right", "Epsilon is at least", "Most that could be proved"], proofs, "With " ~ "%.0f" % (100 * verdict.guesses.confidence) ~ " % confidence, at delta " ~ "%.4g" % verdict.guesses.delta) }}
</section>
<section id="measured">
  <h2>What was measured</h2>
  <p>{{ contribution }}</p>
  {% if noise %}
  {{ numbers(["Noise of", "Numbers", "Deviation", "p"], noise, "Noise in claimed deviations: exact two-sided chi-square tests") }}
  {% endif %}
  {% if verdict.unseen %}<p>Not looked at: {{ verdict.unseen | join(", ") }}.</p>{% endif %}
</section>
<section id="experiment">
  <h2>What was audited</h2>
  {{ table(asked, "How") }}
  <details><summary>The experiment</summary><pre>{{ experiment.toml }}</pre></details>
</section>
""",
)
"""Jinja template; it lies in a module because Flower's app bundles leave other kinds of file out."""
