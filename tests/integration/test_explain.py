"""`fedrec privacy explain` on real runs: interrupted after a round, and as far as the rounds go."""

import json

from typer.testing import CliRunner

from simulations.cli.app import app
from tests.integration.conftest import NewRun
from tests.tiny import rounds_of, tiny


def explained(path):
    result = CliRunner().invoke(app, ["privacy", "explain", str(path), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_interrupted_run_names_what_the_next_round_brings(start: NewRun) -> None:
    run = start(tiny())
    rounds_of(run)
    whole = explained(run.path)
    assert (whole["round"], whole["finished"]) == (2, False)
    # Without its newest checkpoint the run stands where it stood while round 2 was under way.
    (run.private / "checkpoints" / "round-000002.safetensors").unlink()
    half = explained(run.path)
    assert half["round"] == 1
    assert half["epsilon"] < half["epsilon_if_sent"] == whole["epsilon"] <= 8
    assert "User-level differential privacy" in CliRunner().invoke(app, ["privacy", "explain", str(run.path)]).stdout
