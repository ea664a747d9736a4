"""Canaries as further users and clients; the books and the verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.attacks.audit.answers import uncharged
from fedrec.attacks.audit.canaries import Canaries, directions, draw_canaries
from fedrec.attacks.audit.noise import noise_check
from fedrec.attacks.audit.one_run import LowerBound
from fedrec.attacks.audit.verdict import AuditError, Reach, Verdict, require_true
from fedrec.core.errors import ConfigError
from fedrec.data.columns import RaggedArray, StringColumn
from fedrec.data.federation import Federation
from fedrec.data.interactions import Interactions
from fedrec.experiment.config import Experiment
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.unpaid import unpaid
from fedrec.training.task import CohortUpdate
from tests.tiny import strategy_context

TRAIN = Interactions.from_rows(
    np.array([0, 0, 1]), np.array([4, 2, 3]), np.array([5, 6, 7]), np.ones(3, dtype=np.float32), 2, 5
)
TWO = Canaries(1, np.array([True, False]), [np.array([1, 0, 2]), np.array([3, 4, 0])])
PLAN = strategy_context(noise=1.0, central=True).plan


def test_canaries_follow_the_users_and_one_that_is_out_keeps_a_single_item() -> None:
    rows = TWO.rows_in(TRAIN)
    assert [rows.items_of(user).tolist() for user in range(rows.num_users)] == [[4, 2], [3], [1, 0, 2], [3]]
    assert TWO.rows_in(TRAIN, everybody=True).items_of(3).tolist() == [3, 4, 0]
    assert len(rows.item) == len(rows.time) == len(rows.value) == rows.bounds[-1]
    assert (rows.time.dtype, rows.value.dtype) == (TRAIN.time.dtype, TRAIN.value.dtype)


def test_canaries_are_clients_of_their_own() -> None:
    shared = Federation(RaggedArray.of([np.array([0, 1])]), StringColumn.of(["both"]))
    federation = TWO.clients_in(shared, num_users=2)
    assert [users.tolist() for users in federation.users] == [[0, 1], [2], [3]]
    assert list(federation.names) == ["both", "canary-0", "canary-1"]
    assert list(TWO.clients) == [1, 2]


def test_a_canary_fills_the_window_or_is_one_example_where_that_is_the_unit() -> None:
    window = Experiment().model.window
    whole = draw_canaries(3, [range(100)] * 10, Experiment())
    assert [len(items) for items in whole.sequences] == [window + 1] * 3
    assert all(len(np.unique(items)) == len(items) for items in whole.sequences)
    single = Experiment.model_validate({"privacy": {"unit": "example"}, "training": {"example": "prefix"}})
    assert [len(items) for items in draw_canaries(3, [range(100)] * 10, single).sequences] == [2] * 3
    assert [len(items) for items in draw_canaries(1, [range(5)] * 10, Experiment()).sequences] == [5]


def test_coins_are_fair_and_named_by_the_seed() -> None:
    coins = draw_canaries(2000, [range(5)] * 1, Experiment()).included
    assert 0.45 < coins.mean() < 0.55
    assert (coins == draw_canaries(2000, [range(9)] * 1, Experiment(rounds=3)).included).all()
    assert (coins != draw_canaries(2000, [range(5)] * 1, Experiment(seed=1)).included).any()


@pytest.mark.parametrize(("count", "items"), [(0, 5), (3, 1)])
def test_no_canary_is_refused(count: int, items: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 canary"):
        draw_canaries(count, [range(items)] * 1, Experiment())


def test_directions_are_orthogonal_and_no_more_than_there_is_room_for() -> None:
    basis = directions(3, 5, seed=0)
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
    with pytest.raises(ConfigError, match="at most 5"):
        directions(6, 5, seed=0)


def test_a_round_is_unpaid_if_any_of_its_cohort_has_not_paid() -> None:
    local = replace(PLAN, trust="local", whole_population=False)
    ledger = Ledger().charge(1, [0, 1], local.release).charge(2, [0], local.release)
    cohorts = {1: [0, 1], 2: [0, 1], 3: []}
    assert unpaid(ledger, local, cohorts.__getitem__, 3) == [2]
    assert unpaid(Ledger(), local, cohorts.__getitem__, 3) == [1, 2], "an empty cohort costs nobody anything"
    assert unpaid(Ledger(), replace(local, whole_population=True), cohorts.__getitem__, 3) == [1, 2, 3]
    assert unpaid(Ledger(), replace(local, trust="none"), cohorts.__getitem__, 3) == []


@pytest.mark.parametrize("trust", ["local", "central"])
def test_a_weight_and_a_loss_are_releases_under_privacy(trust: str) -> None:
    def told(plan: PrivacyPlan) -> list[str]:
        return uncharged(CohortUpdate([4, 5], {"w": torch.zeros(2, 1)}, {}, [1.0, 7.0], [0.5, None]), plan)

    private = told(replace(PLAN, trust=trust))  # type: ignore[arg-type]
    assert private[0].startswith("client 5 says its weight 7")
    assert private[1].startswith("client 4 tells its training loss")
    assert told(replace(PLAN, trust="none")) == []


@pytest.mark.parametrize(("trust", "unpaid_for"), [("none", 0), ("local", 0), ("central", 2)])
def test_a_payload_is_paid_for_by_local_noise_alone(trust: str, unpaid_for: int) -> None:
    update = CohortUpdate([4, 5], {"w": torch.zeros(2, 1)}, {}, [1.0, 1.0], [None, None], extras={"c": torch.zeros(2)})
    told = uncharged(update, replace(PLAN, trust=trust))  # type: ignore[arg-type]
    assert [one.split(" beside")[0] for one in told] == ["client 4 sends c", "client 5 sends c"][:unpaid_for]


def test_canaries_of_clients_of_many_users_are_dealt_out_to_them() -> None:
    shared = Federation(RaggedArray.of([np.array([0]), np.array([1])]), StringColumn.of(["one", "two"]))
    shards = Experiment.model_validate({"federation": {"partition": "shards"}, "privacy": {"trust": "local"}})
    dealt = draw_canaries(3, [range(5)] * 2, shards)
    assert dealt.holders.tolist() == [0, 1, 0]
    assert [users.tolist() for users in dealt.clients_in(shared, num_users=2).users] == [[0, 2, 4], [1, 3]]
    assert [users.tolist() for users in dealt.clients_apart(shared, num_users=2).users] == [[0], [1], [2], [3], [4]]
    own = shards.model_copy(update={"federation": shards.federation.model_copy(update={"partition": "users"})})
    assert draw_canaries(3, [range(5)] * 2, own).holders.tolist() == [2, 3, 4]


BOUND = LowerBound(2.0, 1e-5, 0.95, 100, 50, 48, most=3.0)


def test_a_verdict_names_every_fault_and_an_honest_claim_survives() -> None:
    assert Verdict(2.0, BOUND, "white-box").faults == []
    require_true(Verdict(2.0, BOUND, "white-box").to_json())
    seen = noise_check([{"w": np.zeros(9)}])
    bad = Verdict(1.5, BOUND, "black-box", None, True, seen, Reach(2.0, 4), [1, 2, 3, 4], ["client 3 tells its loss"])
    words = r"at least 2\.000, and 1\.500 is claimed.*curve.*by 2 times the clip.*less than chance.*1, 2, 3 and 1 more"
    with pytest.raises(AuditError, match=words):
        require_true(bad.to_json())
    assert bad.to_json()["faults"] == bad.faults
    assert "client 3 tells its loss" in bad.text
    assert "guessed 50 of 100 canaries and was right 48 times" in bad.text
    assert Verdict(8.0, BOUND, "white-box", reach=Reach(1.0005, 4)).faults == [], "single precision"


def test_a_verdict_says_what_it_could_have_proved_and_what_it_did_not_look_at() -> None:
    curve = LowerBound(2.5, 1e-5, 0.95, 100, 50, 48, most=5.0, mu=0.7)
    verdict = Verdict(8.0, BOUND, "white-box", curve, unseen=["the masks"])
    assert "at most 3.00 can be proved so with 100 canaries" in verdict.text
    assert "not 0.700-GDP: if its trade-off curve is Gaussian, epsilon is at least 2.500 (at most 5.00" in verdict.text
    assert "refute no epsilon above 5.00, so not this claim, however false" in verdict.text
    assert "Not looked at: the masks." in verdict.text
    found = verdict.to_json()
    assert (found["most_provable"], found["most_provable_if_gaussian"]) == (3.0, 5.0)
    assert "refute no epsilon" not in Verdict(4.0, BOUND, "white-box", curve).text
