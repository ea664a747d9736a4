"""The membership attack on real runs: it finds users of a model without privacy, and guesses under privacy."""

from pathlib import Path

import pytest

from fedrec.attacks.membership import attack_power
from fedrec.core.progress import silent
from simulations.attacks.membership import membership
from tests.integration.audits import LOCAL, Audits, small


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Audits:
    return Audits(tmp_path_factory.mktemp("membership"), cache)


def test_users_show_without_privacy_and_hardly_with_it(audits: Audits, tmp_path: Path) -> None:
    adapter, training = {"private": (), "item_delta": True}, {"optimizer": "adam", "lr": 0.1, "steps": 4}
    open_ = small({"epsilon": float("inf")}, rounds=3, adapter=adapter, training=training)
    closed = small({**LOCAL, "epsilon": 1.0}, rounds=1)
    prepared = audits.folder / "prepared"
    seen = membership(open_, prepared, tmp_path / "open", 6, silent)
    hidden = membership(closed, prepared, tmp_path / "closed", 4, silent)
    found, guessed = (attack_power(one.ratios, one.members) for one in (seen, hidden))
    assert (found.decisions, guessed.decisions) == (6 * 33, 4 * 33)
    assert found.auc > 0.6
    assert 0.4 < guessed.auc < 0.6
    assert (seen.spent, hidden.spent) == (float("inf"), pytest.approx(1.0, rel=2e-3))
