"""The page of a sweep. It is a module because Flower's app bundles leave other kinds of file out."""

from fedrec.reporting.html import framed

FRONTIER = framed(
    "{{ name }}, a sweep · fedrec",
    """<header>
  <h1>{{ name }}</h1>
  <p>A sweep by fedrec: {{ results | length }} trials{% if varied %} over {{ varied }}{% endif %}</p>
</header>

<section id="answer">
  <h2>The frontier</h2>
  {% for sentence in answer %}<p class="answer">{{ sentence }}</p>{% endfor %}
</section>

{% if failures %}
<section class="warnings" id="failures">
  <h2>What failed</h2>
  <ul>{% for one in failures %}<li><b>{{ one.trial }}</b>: {{ one.message }}</li>{% endfor %}</ul>
</section>
{% endif %}

<section id="cost">
  <h2>What the whole sweep costs in privacy</h2>
  {% for sentence in cost %}<p>{{ sentence }}</p>{% endfor %}
</section>

{% if charts %}
<section id="curves">
  <h2>Utility against epsilon</h2>
  {% for chart in charts %}{{ draw(chart) }}{% endfor %}
  <div class="scroll"><table>
    <caption>{{ metric }} on the test users: mean with its 95 % interval over users and what was repeated, seeds inside user splits (see fedrec.evaluation.statistics.replicates). Epsilon is the largest claim among the trials of a row. Whoever picks a point here by its test score should not quote that score: pick by the validation users.</caption>
    <thead><tr><th scope="col">Setting</th><th scope="col" class="number">Epsilon</th><th scope="col" class="number">Splits</th><th scope="col" class="number">Seeds</th><th scope="col" class="number">Users</th><th scope="col" class="number">Validation users, {{ targets.get(target, "") }}</th>{% for words in targets.values() %}<th scope="col" class="number">{{ words }}</th>{% endfor %}</tr></thead>
    <tbody>
      {% for row in rows %}
      <tr><th scope="row">{{ row.setting }}</th><td class="number">{{ row.epsilon }}</td>{% for count in row.counts %}<td class="number">{{ count }}</td>{% endfor %}<td class="number">{{ row.validation }}</td>{% for cell in row.cells %}<td class="number">{{ cell.mean }} <span class="interval">{{ cell.interval }}</span></td>{% endfor %}</tr>
      {% endfor %}
    </tbody>
  </table></div>
  {% if compared %}
  <div class="scroll"><table>
    <caption>What {{ metric }} differs by on the same test users, splits and seeds: mean with its 95 % interval; p of the same Student's t, Holm-corrected over all of this table</caption>
    <thead><tr><th scope="col">Setting</th><th scope="col">less</th>{% for words in targets.values() %}<th scope="col" class="number">{{ words }}</th><th scope="col" class="number">p</th>{% endfor %}</tr></thead>
    <tbody>
      {% for row in compared %}
      <tr><th scope="row">{{ row.name }}</th><td>{{ row.against }}</td>{% for cell in row.cells %}<td class="number">{{ cell.mean }} <span class="interval">{{ cell.interval }}</span></td><td class="number">{{ cell.p }}</td>{% endfor %}</tr>
      {% endfor %}
    </tbody>
  </table></div>
  {% endif %}
  {% if shown_differences %}<p class="quiet">{{ shown_differences }}</p>{% endif %}
</section>
{% endif %}

{% if groups %}
<section id="groups">
  <h2>Who pays for privacy</h2>
  <div class="charts">{% for chart in groups %}{{ draw(chart) }}{% endfor %}</div>
</section>
{% endif %}

<section id="trials">
  <h2>Every trial</h2>
  <div class="scroll"><table>
    <caption>{{ metric }} on {{ targets.get(target, "what was judged") }}; a name leads to the trial's own report, with its intervals over users, its controls and its privacy statement</caption>
    <thead><tr><th scope="col">Trial</th><th scope="col" class="number">Epsilon claimed</th><th scope="col" class="number">{{ metric }}</th></tr></thead>
    <tbody>
      {% for one in trials %}
      <tr><th scope="row">{% if one.folder %}<a href="{{ one.folder }}/report.html">{{ one.label }}</a>{% else %}{{ one.label }}{% endif %}</th><td class="number">{{ one.epsilon }}</td><td class="number">{{ one.score }}</td></tr>
      {% endfor %}
    </tbody>
  </table></div>
</section>

<section id="reproduce">
  <h2>How to reproduce</h2>
  <p>Save this as <code>sweep.toml</code>, then <code>fedrec sweep sweep.toml --out again</code>. The numbers of every trial are in <code>trials.parquet</code> beside this page.</p>
  <details><summary>The sweep</summary><pre>{{ asked }}</pre></details>
</section>
""",
)
"""Jinja template."""
