"""What every page looks like: the frame that the report of a run, the page of a sweep and that of attacks share."""

_POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">"""
"""Nothing is loaded from anywhere."""

_MACROS = """{% macro table(rows, caption) %}
  {% if rows %}
  <div class="scroll"><table class="pairs">
    <caption>{{ caption }}</caption>
    {% for name, text in rows %}
    <tr><th scope="row">{{ name }}</th><td>{{ text }}</td></tr>
    {% endfor %}
  </table></div>
  {% endif %}
{% endmacro %}
{% macro tiles_of(tiles) %}
  <dl class="tiles">
    {% for name, text in tiles %}
    <div><dd>{{ text }}</dd><dt>{{ name }}</dt></div>
    {% endfor %}
  </dl>
{% endmacro %}
{% macro numbers(columns, rows, caption="") %}
    <div class="scroll"><table>
      {% if caption %}<caption>{{ caption }}</caption>{% endif %}
      <thead><tr>{% for name in columns %}<th scope="col"{% if not loop.first %} class="number"{% endif %}>{{ name }}</th>{% endfor %}</tr></thead>
      <tbody>
        {% for cells in rows %}
        <tr><th scope="row">{{ cells[0] }}</th>{% for text in cells[1:] %}<td class="number">{{ text }}</td>{% endfor %}</tr>
        {% endfor %}
      </tbody>
    </table></div>
{% endmacro %}
{% macro grid(columns, rows, summary) %}
  {% if rows %}
  <details>
    <summary>{{ summary }}</summary>
    {{ numbers(columns, rows) }}
  </details>
  {% endif %}
{% endmacro %}
{% macro draw(chart) %}
  <figure class="chart">
    <h3>{{ chart.title }}</h3>
    <div class="plot" role="img" aria-label="{{ chart.title }}. {{ chart.caption }}" style="height:{{ chart.spec.layout.height }}px">
      <script type="application/json">{{ chart.spec | tojson }}</script>
    </div>
    <figcaption>{{ chart.caption }}</figcaption>
  </figure>
{% endmacro %}
"""

_STYLE = """
:root {
  --page: #f6f7f9; --card: #fff; --ink: #1b1f26; --quiet: #5c6470; --line: #dfe3e8; --accent: #1f66b8;
  --tint: #eaf2fb; --warn: #fff4e0; --warn-line: #d9951f;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --card: #181c22; --ink: #e7eaee; --quiet: #a0a8b4; --line: #2d333c; --accent: #76b0f2;
    --tint: #1b2a3d; --warn: #33270f; --warn-line: #c98a1c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere; }
header { margin: 0 0 1.5rem; }
header p { color: var(--quiet); overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem 1.5rem; margin: 0 0 1.25rem; }
h2 { margin: 0 0 .75rem; font-size: 1.2rem; }
h3 { margin: 0 0 .25rem; font-size: 1rem; }
p { margin: 0 0 .75rem; max-width: 75ch; overflow-wrap: anywhere; }
p:last-child { margin-bottom: 0; }
.answer { font-size: 1.08rem; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .88rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; }
.tiles div { background: var(--tint); border-radius: 10px; padding: .75rem 1rem; }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.parts { display: grid; grid-template-columns: minmax(6rem, 9rem) 1fr; gap: .5rem 1rem; margin: 0; max-width: 62rem; }
.parts dt { color: var(--quiet); font-size: .88rem; }
.parts dd { margin: 0; }
@media (max-width: 40rem) { .parts { grid-template-columns: 1fr; } }
.tiles dt { color: var(--quiet); font-size: .88rem; }
.warnings { background: var(--warn); border-color: var(--warn-line); }
.warnings ul { margin: 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .4rem; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
thead th { color: var(--quiet); font-weight: 550; font-size: .88rem; vertical-align: bottom; }
tbody th, .pairs th { font-weight: 500; }
.pairs th { width: 40%; color: var(--quiet); }
.pairs td { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
.interval { color: var(--quiet); font-size: .88rem; }
.best { font-weight: 750; }
tr.federated > * { background: var(--tint); }
tr.federated > th { color: var(--accent); font-weight: 700; padding-left: .6rem; border-left: 3px solid var(--accent); }
.note { display: block; color: var(--quiet); font-size: .84rem; font-weight: 400; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.25rem; margin: .5rem 0 1rem; }
.chart { margin: 0; min-width: 0; break-inside: avoid; }
.alone { max-width: 42rem; margin: 0 0 1.25rem; }
.chart text:not(.hoverlayer text):not(.bartext) { fill: var(--ink) !important; }
.chart .gridlayer path { stroke: var(--line) !important; }
figcaption { margin-top: .35rem; }
.scroll + .scroll, .quiet { margin-top: 1rem; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--accent); }
details > :nth-child(2) { margin-top: .75rem; }
pre { margin: 0 0 .75rem; padding: .9rem 1rem; overflow-x: auto; background: var(--page); border: 1px solid var(--line); border-radius: 8px; font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media (max-width: 40rem) { main { padding: 1rem .75rem 3rem; } section { padding: 1rem; } .pairs th { width: auto; } }
@media print {
  body { background: #fff; font-size: 10pt; }
  main { padding: 0; max-width: none; }
  section { border: 0; border-top: 1px solid var(--line); border-radius: 0; padding: .75rem 0; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  details table { font-size: 8pt; }
  .charts { grid-template-columns: 1fr; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .tiles div, tr.federated > *, .warnings { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

_SCRIPT = """
for (const place of document.querySelectorAll(".plot")) {
  const chart = JSON.parse(place.querySelector("script").textContent);
  place.replaceChildren();
  Plotly.newPlot(place, chart.data, chart.layout, {displayModeBar: false, responsive: true});
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
"""


def framed(title: str, main: str) -> str:
    """Return the Jinja template of a page; everything from data is escaped by jinja, `plotly` alone is trusted code.

    Args:
        title: Template of its title.
        main: Template of what it says, which may use the macros `table`, `grid` and `draw`.
    """
    return f"""{_MACROS}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{_POLICY}
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{main}</main>
<noscript><p class="quiet">The charts need JavaScript; their numbers are in the tables.</p></noscript>
<script>{{{{ plotly | safe }}}}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""
