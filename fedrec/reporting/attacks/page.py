"""The page of attacks: success against epsilon in charts and tables, one HTML file to be read anywhere and offline."""

import math
from collections.abc import Sequence

from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from fedrec.attacks.success import BASELINES, CEILING, Success, label
from fedrec.evaluation.statistics.significance import Interval
from fedrec.reporting.frontier.figures import Line, against_epsilon
from fedrec.reporting.html import framed
from fedrec.reporting.run.figures import Chart
from fedrec.reporting.wording import DASH, epsilon_text, score_text

TITLES = {"membership": "Was this user trained on?", "recovery": "Which items has this user?"}
"""By the attack's name."""


def render_attacks(successes: Sequence[Success]) -> str:
    """Return the page of at least one attack, in the order given."""
    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sections = [
        {
            "success": success,
            "title": TITLES.get(success.attack, success.attack),
            "charts": [_chart(success, measure) for measure in measures_of(success)],
            "tables": [(label(measure), *table(success, measure)) for measure in measures_of(success)],
        }
        for success in successes
    ]
    return templates.from_string(ATTACKS).render(sections=sections, plotly=get_plotlyjs())


def measures_of(success: Success) -> list[str]:
    """Return the names of all measures, in the order in which they first appear; none without a point."""
    return list(dict.fromkeys(measure for point in success.points for measure in point.measures))


def table(success: Success, measure: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a measure's table: an epsilon a row, an attack or what it is put beside a column."""
    lines = _lines_of(success, measure)
    rows = [
        [
            _epsilon(point.epsilon),
            _epsilon(point.spent),
            f"{point.delta:.2g}",
            *(_cell(point.measures.get(measure, {}).get(line)) for line in lines),
        ]
        for point in success.points
    ]
    return ["epsilon", "spent", "delta", *map(label, lines)], rows


def _chart(success: Success, measure: str) -> Chart:
    """Return the measure's curves; what needs no attack, and is the same at every epsilon, is a level."""
    curves: list[Line] = []
    levels = []
    for line in _lines_of(success, measure):
        points = [(at.epsilon, at.measures[measure][line]) for at in success.points if line in at.measures[measure]]
        if line in BASELINES:
            levels.append((label(line), points[0][1].mean))
        else:
            curves.append((label(line), points))
    caption = (
        f"{label(measure)} of the attack, with 95 % bootstrap intervals over users; less epsilon is more privacy. "
        "Broken lines need no attack."
    )
    return against_epsilon(f"{label(measure)} against epsilon", caption, curves, levels, label(measure))


def _lines_of(success: Success, measure: str) -> list[str]:
    found = dict.fromkeys(line for point in success.points for line in point.measures.get(measure, {}))
    return sorted(found, key=lambda line: (line in BASELINES, line == CEILING, line))


def _epsilon(value: float) -> str:
    return "∞" if math.isinf(value) else epsilon_text(value)


def _cell(found: Interval | None) -> str:
    if found is None or math.isnan(found.mean):
        return DASH
    bounds = (
        "" if math.isnan(found.low + found.high) or found.low == found.high else f" [{found.low:.3f}, {found.high:.3f}]"
    )
    return score_text(found.mean) + bounds


ATTACKS = framed(
    "Attacks · fedrec",
    """<header>
  <h1>What attacks find out</h1>
  <p>Attacks by fedrec on its own simulation: success against epsilon</p>
</header>
{% for one in sections %}
<section id="{{ one.success.attack }}">
  <h2>{{ one.title }}</h2>
  <p>{{ one.success.adversary }}</p>
  <div class="charts">{% for chart in one.charts %}{{ draw(chart) }}{% endfor %}</div>
  {% for name, head, rows in one.tables %}
  <div class="scroll"><table>
    <caption>{{ name }}, with 95 % bootstrap intervals over users</caption>
    <thead><tr>{% for column in head %}<th scope="col" class="number">{{ column }}</th>{% endfor %}</tr></thead>
    <tbody>
      {% for row in rows %}
      <tr>{% for cell in row %}<td class="number">{{ cell }}</td>{% endfor %}</tr>
      {% endfor %}
    </tbody>
  </table></div>
  {% endfor %}
  <p class="quiet">Experiment {{ one.success.experiment }}, fingerprint {{ one.success.fingerprint }}.</p>
  <details><summary>The experiment</summary><pre>{{ one.success.toml }}</pre></details>
</section>
{% endfor %}
""",
)
"""Jinja template; it lies in a module because Flower's app bundles leave other kinds of file out."""
