"""The command line, as it is put together; each command is thin: it reads what was asked, calls, and shows.

How a command ends is the matter of `simulations.cli.terminal.errors`.
"""

import typer

from simulations.cli import attack, audit, bench, data, inspect, new, periods, privacy, replay, rerank, run, sweep
from simulations.cli.terminal.errors import Commands

MANUAL = """Federated recommendation, simulated under differential privacy.

A server coordinates many simulated clients. Each fine-tunes a small adapter of a text-based recommender on its own
interactions; the server aggregates; the global recommender ranks the whole catalogue for users it has never seen, and
is put beside popularity, EASE, central training and others.

\b
Start here:
  fedrec run                              the main job: MovieLens-100K, real text, real privacy
  fedrec run smoke                        the same data and code, in under a minute
  fedrec run --set privacy.epsilon=8 --set seed=1
  fedrec run my-experiment.toml --engine flower --out runs/mine
  fedrec resume runs/mine                 goes on after an interruption, to the same bits
  fedrec sweep --over privacy.epsilon=1,8,inf --over seed=0,1
  fedrec attack membership smoke          what an adversary finds out, against epsilon
  fedrec rerank runs/mine                 more diverse lists, and their price in NDCG
  fedrec privacy explain runs/mine
  fedrec data describe movielens-100k
  fedrec list strategies
  fedrec new strategy half_step           a plug-in of your own and its test, to start from

\b
Exit codes: 0 done, 2 your mistake (one message says what to change),
1 a failure of fedrec or its surroundings, 130 interrupted.

\b
Environment: FEDREC_CACHE is the folder of downloads and item vectors,
FEDREC_OFFLINE=1 (or yes, true, on) forbids the network.
"""

app = typer.Typer(
    cls=Commands,
    help=MANUAL,
    no_args_is_help=True,
    add_completion=False,
    suggest_commands=False,  # click does, too
    rich_markup_mode=None,
)
app.callback(help=MANUAL)(inspect.asked_for_version)
app.command()(run.run)
app.command()(run.resume)
app.command()(sweep.sweep)
app.command()(audit.audit)
app.command()(rerank.rerank)
app.command()(periods.periods)
app.command()(replay.replay)
app.add_typer(attack.app, name="attack")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.add_typer(privacy.app, name="privacy")
app.command(name="list")(inspect.list_names)
app.command()(new.new)
app.command()(inspect.validate)
app.command()(inspect.report)
app.command()(inspect.version)
