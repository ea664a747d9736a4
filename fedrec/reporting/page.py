"""The report's page. It is a module because Flower's app bundles leave other kinds of file out."""

PAGE = """{# The report of one run. Everything from data is escaped by jinja; `plotly` alone is trusted code. #}
{% macro table(rows, caption) %}
  {% if rows %}
  <div class="scroll"><table class="pairs">
    <caption>{{ caption }}</caption>
    {% for name, text in rows %}
    <tr><th scope="row">{{ name }}</th><td>{{ text }}</td></tr>
    {% endfor %}
  </table></div>
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
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{{ summary.name | default("run", true) }} · fedrec</title>
<style>
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
</style>
</head>
<body>
<main>
<header>
  <h1>{{ summary.name | default("A run", true) }}</h1>
  <p>A federated run by fedrec {{ summary.fedrec | default("of unknown version", true) }} · experiment <code>{{ (summary.fingerprint | default("unrecorded", true))[:12] }}</code></p>
</header>

<section id="answer">
  <h2>The answer</h2>
  <p class="answer">{{ headline }}</p>
  <dl class="tiles">
    {% for name, text in tiles %}
    <div><dd>{{ text }}</dd><dt>{{ name }}</dt></div>
    {% endfor %}
  </dl>
</section>

{% if summary.warnings | default([], true) %}
<section class="warnings" id="warnings">
  <h2>Read with care</h2>
  <ul>{% for warning in summary.warnings %}<li>{{ warning }}</li>{% endfor %}</ul>
</section>
{% endif %}

<section id="privacy">
  <h2>What is promised</h2>
  <p>{{ (summary.privacy | default({}, true)).statement | default("This run recorded no privacy statement, so nothing may be claimed.", true) }}</p>
  {% if privacy %}
  <details><summary>The statement in numbers</summary>{{ table(privacy, "As in summary.json") }}</details>
  {% endif %}
</section>

<section id="controls">
  <h2>Beside its controls</h2>
  {% if controls_chart %}<div class="alone">{{ draw(controls_chart) }}</div>{% endif %}
  <div class="scroll"><table>
    <caption>{{ metric | metric }} on the test users with its 95 % interval over users; p from a paired Wilcoxon test against the federated model, Holm-corrected. Best in bold. Controls are computed without privacy, for comparison only.</caption>
    <thead>
      <tr><th scope="col">Recommender</th>{% for words in cases.values() %}<th scope="col" class="number">{{ words }}</th><th scope="col" class="number">p</th>{% endfor %}</tr>
    </thead>
    <tbody>
      {% for row in rows %}
      <tr{% if row.federated %} class="federated"{% endif %}>
        <th scope="row">{{ row.label }}{% if row.note %}<span class="note">{{ row.note }}</span>{% endif %}</th>
        {% for case in cases %}
        {% set cell = row.cells[case] %}
        <td class="number"><span{% if cell.best %} class="best"{% endif %}>{{ cell.value | score }}</span> <span class="interval">{{ cell.interval }}</span></td>
        <td class="number">{{ cell.p_value | p if not row.federated else "" }}</td>
        {% endfor %}
      </tr>
      {% endfor %}
    </tbody>
  </table></div>
  {% if rows | length == 1 %}<p class="quiet">No control was run, so there is nothing to compare with; see evaluation.controls.</p>{% endif %}
  {% for words, metrics in all_metrics.items() if metrics %}
  <details>
    <summary>Every metric on {{ words }}</summary>
    <div class="scroll"><table>
      <thead><tr><th scope="col">Metric</th>{% for row in rows %}<th scope="col" class="number">{{ row.label }}</th>{% endfor %}</tr></thead>
      <tbody>
        {% for name, values in metrics %}
        <tr><th scope="row">{{ name }}</th>{% for value in values %}<td class="number">{{ value | score }}</td>{% endfor %}</tr>
        {% endfor %}
      </tbody>
    </table></div>
  </details>
  {% endfor %}
</section>

<section id="curves">
  <h2>Round by round</h2>
  {% if curves %}
  <div class="charts">{% for chart in curves %}{{ draw(chart) }}{% endfor %}</div>
  {% else %}
  <p>No round was evaluated.</p>
  {% endif %}
  {% if rounds %}
  <details>
    <summary>The numbers of every round</summary>
    <div class="scroll"><table>
      <thead><tr><th scope="col">Round</th><th scope="col" class="number">Loss</th>{% for words in cases.values() %}<th scope="col" class="number">{{ metric | metric }}, {{ words }}</th>{% endfor %}<th scope="col" class="number">Epsilon</th><th scope="col" class="number">Cohort</th><th scope="col" class="number">Replies</th><th scope="col" class="number">Rejected</th><th scope="col" class="number">Sent</th></tr></thead>
      <tbody>
        {% for cells in rounds %}
        <tr><th scope="row">{{ cells[0] }}</th>{% for text in cells[1:] %}<td class="number">{{ text }}</td>{% endfor %}</tr>
        {% endfor %}
      </tbody>
    </table></div>
  </details>
  {% endif %}
</section>

<section id="groups">
  <h2>Who is served well, and who is not</h2>
  {% if groups or worst_decile == worst_decile %}
  <p>The worst-served tenth of the test users gets {{ metric | metric }} {{ worst_decile | score }} on {{ cases.last20 }}.</p>
  {% if group_charts %}<div class="charts">{% for chart in group_charts %}{{ draw(chart) }}{% endfor %}</div>{% endif %}
  {% if groups %}
  <div class="scroll"><table>
    <caption>Largest less smallest group mean of {{ metric | metric }}, over groups that are large enough to compare</caption>
    <thead><tr><th scope="col">Attribute</th><th scope="col" class="number">Gap</th><th scope="col" class="number">Users of unknown value</th></tr></thead>
    <tbody>{% for name, gap, unknown in groups %}<tr><th scope="row">{{ name }}</th><td class="number">{{ gap | score }}</td><td class="number">{{ unknown }}</td></tr>{% endfor %}</tbody>
  </table></div>
  {% endif %}
  {% else %}
  <p>No groups were compared.</p>
  {% endif %}
  {% if missing_groups %}<p class="quiet">Asked for, but not in the data: {{ missing_groups | join(", ") }}.</p>{% endif %}
</section>

<section id="traffic">
  <h2>What was sent</h2>
  {{ table(traffic, "Payload of parameters") }}
</section>

<section id="data">
  <h2>Data, exclusions and faults</h2>
  {{ table(data, "Data, cleaning rules with what they removed, users by role, clients") }}
  {{ table(faults, "Replies that did not count") }}
</section>

<section id="experiment">
  <h2>The experiment</h2>
  <pre>{{ experiment }}</pre>
</section>

<section id="environment">
  <h2>Computed with</h2>
  {{ table(environment, "Versions and settings that can change the last bits") }}
  {{ table(timing, "Time taken") }}
</section>

<section id="reproduce">
  <h2>How to reproduce</h2>
  <p>Save the experiment above as <code>experiment.toml</code>, then:</p>
  <pre>pip install "fedrec{% if summary.fedrec | default("", true) %}=={{ summary.fedrec }}{% endif %}"
fedrec run experiment.toml --out again</pre>
  <p>With the versions above, <code>again/summary.json</code> holds the same two hashes, on either engine:</p>
  {{ table([("fingerprint", summary.fingerprint | default("not recorded", true)), ("parameters_sha256", summary.parameters_sha256 | default("not recorded", true))], "The experiment, and the parameters it ends with") }}
</section>
</main>
<noscript><p class="quiet">The charts need JavaScript; their numbers are in the tables.</p></noscript>
<script>{{ plotly | safe }}</script>
<script>
for (const place of document.querySelectorAll(".plot")) {
  const chart = JSON.parse(place.querySelector("script").textContent);
  place.replaceChildren();
  Plotly.newPlot(place, chart.data, chart.layout, {displayModeBar: false, responsive: true});
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
</script>
</body>
</html>
"""
"""Jinja template; everything from data is escaped by jinja, `plotly` alone is trusted code."""
