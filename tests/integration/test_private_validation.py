"""Private validation users in real runs: interrupted and resumed, forgotten by a ledger, asked by either form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedrec.core.errors import RunError
from fedrec.privacy.ledger import Ledger
from fedrec.reporting.explain import explain
from fedrec.run.directory import RunDirectory
from simulations.engine.cohorts import OneProcess
from tests.integration.conftest import outcome
from tests.integration.many import Many


def asking(form: str) -> dict[str, Any]:
    return {
        "privacy": {"trust": "central"},
        "adapter": {"private": ()},
        "evaluation": {"every": 2, "select": "best", "private": {"epsilon": 4.0, "form": form}},
    }


def back_to(run: RunDirectory, number: int) -> None:
    """Take the checkpoints after a round away, as a crash before they were saved would."""
    for path in (run.private / "checkpoints").iterdir():
        if path.name > f"round-{number:06}.safetensors":
            path.unlink()


@pytest.mark.parametrize("form", ["mean", "histogram"])
def test_a_resumed_run_tells_the_same_bits_and_pays_once(form: str, many: Many) -> None:
    run, last = many.run(OneProcess(), **asking(form))
    whole, paid = outcome(run, last), last.validation_ledger
    back_to(run, 1)
    assert run.latest_checkpoint().round == 1  # type: ignore[union-attr]
    assert explain(run).facts["epsilon_of_validation_if_told"] > explain(run).facts["validation"]["epsilon"]
    again = many.go_on(run, OneProcess())
    assert outcome(run, again) == whole
    assert again.validation_ledger == paid


def test_a_ledger_that_forgot_what_validation_users_paid_is_refused(many: Many) -> None:
    run, _ = many.run(OneProcess(), **asking("mean"))
    back_to(run, 1)
    here = run.latest_checkpoint()
    assert here is not None
    run.save_checkpoint(replace(here, validation_ledger=Ledger()))
    with pytest.raises(RunError, match=r"validation users' ledger .* lacks rounds"):
        many.go_on(run, OneProcess())


def test_training_and_its_price_do_not_depend_on_who_validates(many: Many) -> None:
    private, asked = many.run(OneProcess(), **asking("mean"))
    volunteers = asking("mean") | {"evaluation": {"every": 2, "select": "best"}}
    open_, told = many.run(OneProcess(), **volunteers)
    assert asked.ledger == told.ledger
    assert outcome(private, asked).sha256 == outcome(open_, told).sha256
    exact = [line["exact"]["loss"] for line in private.rounds()]
    assert exact == pytest.approx([line["loss"] for line in open_.rounds()], rel=1e-6), "float64 against float32"
    assert told.validation_ledger == Ledger()


def test_a_histogram_tells_every_cut_off_and_picks_by_rank(many: Many) -> None:
    run, last = many.run(OneProcess(), **asking("histogram"))
    lines = run.rounds()
    assert all("loss" not in line for line in lines)
    ranks = [line["validation"]["last"]["log_rank"] for line in lines]
    assert last.best_round == int(np.argmin(ranks))
    assert {"ndcg@5", "ndcg@20", "hit_rate@10"} <= lines[1]["validation"]["last"].keys()
    # 20 single ranks, then up to 40, 80, ... 1,280 and 1,682
    assert len(lines[0]["rank_counts"]) == 20 + 7
