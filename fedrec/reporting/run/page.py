"""The report's page. It is a module because Flower's app bundles leave other kinds of file out."""

from fedrec.reporting.html import framed

PAGE = framed(
    '{{ summary.name | default("run", true) }} · fedrec',
    """<header>
  <h1>{{ summary.name | default("A run", true) }}</h1>
  <p>A federated run by fedrec {{ summary.fedrec | default("of unknown version", true) }} · experiment <code>{{ (summary.fingerprint | default("unrecorded", true))[:12] }}</code></p>
  {% if simulation %}<p class="quiet">This page also shows what only a simulation sees. What a deployment could publish is <code>public/report.html</code>.</p>{% endif %}
</header>

<section id="answer">
  <h2>The answer</h2>
  <p class="answer">{{ headline }}</p>
  {{ tiles_of(tiles) }}
</section>

{% if summary.warnings | default([], true) %}
<section class="warnings" id="warnings">
  <h2>Read with care</h2>
  <ul>{% for warning in summary.warnings %}<li>{{ warning }}</li>{% endfor %}</ul>
</section>
{% endif %}

<section id="privacy">
  <h2>What is promised</h2>
  {% if parts %}
  <dl class="parts">{% for name, text in parts.items() %}<dt>{{ name }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>
  {% else %}
  <p>{{ (summary.privacy | default({}, true)).statement | default("This run recorded no privacy statement, so nothing may be claimed.", true) }}</p>
  {% endif %}
  {% if tradeoff %}<div class="alone">{{ draw(tradeoff) }}</div>{% endif %}
  {% if privacy %}
  <details><summary>The statement in numbers</summary>{{ table(privacy, "As in summary.json") }}</details>
  {% endif %}
</section>

<section id="controls">
  <h2>Beside its controls</h2>
  {% if controls_chart %}<div class="alone">{{ draw(controls_chart) }}</div>{% endif %}
  <div class="scroll"><table>
    <caption>{{ metric | metric }} on the test users with its 95 % interval over users; p from a paired Wilcoxon test against the federated model, Holm-corrected. Best in bold.{% if simulation %} Rows marked "seen only because this is a simulation" look at private users without privacy, for comparison.{% endif %}</caption>
    <thead>
      <tr><th scope="col">Recommender</th>{% for words in targets.values() %}<th scope="col" class="number">{{ words }}</th><th scope="col" class="number">p</th>{% endfor %}</tr>
    </thead>
    <tbody>
      {% for row in rows %}
      <tr{% if row.federated %} class="federated"{% endif %}>
        <th scope="row">{{ row.label }}{% if row.note %}<span class="note">{{ row.note }}</span>{% endif %}</th>
        {% for target in targets %}
        {% set cell = row.cells[target] %}
        <td class="number"><span{% if cell.best %} class="best"{% endif %}>{{ cell.value | score }}</span> <span class="interval">{{ cell.interval }}</span></td>
        <td class="number">{{ cell.p_value | p if not row.federated else "" }}</td>
        {% endfor %}
      </tr>
      {% endfor %}
    </tbody>
  </table></div>
  {% if shown_differences %}<p class="quiet">{{ shown_differences }}</p>{% endif %}
  {% if unpublished %}<p class="quiet">{{ unpublished }}</p>
  {% elif rows | length == 1 %}<p class="quiet">No control was run, so there is nothing to compare with; see evaluation.controls.</p>{% endif %}
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

{% if later %}
<section id="later">
  <h2>The clients' own later items</h2>
  <div class="scroll"><table>
    <caption>{{ metric | metric }} with its 95 % interval over users: {{ later_clients }}, each ranked on the latest of its own interactions, which no training saw. p from a paired Wilcoxon test against the first row, Holm-corrected. Best in bold. Seen only because this is a simulation; nothing was picked by it.</caption>
    <thead><tr><th scope="col">Recommender</th><th scope="col" class="number">their own later items</th><th scope="col" class="number">p</th></tr></thead>
    <tbody>
      {% for row in later %}
      {% set cell = row.cells.later %}
      <tr{% if loop.first %} class="federated"{% endif %}>
        <th scope="row">{{ row.label }}</th>
        <td class="number"><span{% if cell.best %} class="best"{% endif %}>{{ cell.value | score }}</span> <span class="interval">{{ cell.interval }}</span></td>
        <td class="number">{{ cell.p_value | p if not loop.first else "" }}</td>
      </tr>
      {% endfor %}
    </tbody>
  </table></div>
</section>
{% endif %}

<section id="curves">
  <h2>Round by round</h2>
  {% if curves %}
  <div class="charts">{% for chart in curves %}{{ draw(chart) }}{% endfor %}</div>
  {% else %}
  <p>No round was evaluated.</p>
  {% endif %}
  {% if noise %}<p class="quiet">Validation users are no volunteers: their values are released with noise. Its standard deviation is {{ noise }}.</p>{% endif %}
  {{ grid(round_columns, rounds, "The numbers of every round") }}
</section>

<section id="groups">
  <h2>Who is served well, and who is not</h2>
  {% if groups or worst_decile == worst_decile %}
  <p>The worst-served tenth of the test users gets {{ metric | metric }} {{ worst_decile | score }} on {{ worst_on }}.</p>
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
  <h2>Data</h2>
  {{ table(data, "Data, users by role, clients") }}
</section>

{% if simulation %}
<section id="simulation">
  <h2>Seen only because this is a simulation</h2>
  <p>Nothing here may be published where the data are real: no ledger has paid for it.</p>
  {{ table(unseen, "Counted exactly: interactions, cleaning rules with what they removed, replies that did not count") }}
  {{ grid(["Round", "Cohort", "Replies", "Rejected", "Sent", "Received"], asked, "Who was asked and answered, round by round") }}
  {{ table(timing, "Time taken") }}
</section>
{% endif %}

<section id="experiment">
  <h2>The experiment</h2>
  <pre>{{ experiment }}</pre>
</section>

<section id="environment">
  <h2>Computed with</h2>
  {{ table(environment, "Versions and settings that can change the last bits") }}
</section>

<section id="reproduce">
  <h2>How to reproduce</h2>
  <p>Save the experiment above as <code>experiment.toml</code>, then:</p>
  <pre>pip install "fedrec{% if summary.fedrec | default("", true) %}=={{ summary.fedrec }}{% endif %}"
fedrec run experiment.toml --out again</pre>
  {% if repeats %}
  <p>With the versions above, <code>again/public/summary.json</code> holds the same two hashes, on either engine:</p>
  {% else %}
  <p>The noise comes from a key of this run alone, so another run has the same fingerprint and other parameters. Two runs end with the same bits if both set <code>privacy.noise_key</code>, which protects nobody.</p>
  {% endif %}
  {{ table([("fingerprint", summary.fingerprint | default("not recorded", true)), ("parameters_sha256", summary.parameters_sha256 | default("not recorded", true))], "The experiment, and the parameters it ends with") }}
</section>
""",
)
"""Jinja template."""
