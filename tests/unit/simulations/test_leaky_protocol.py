"""The leak reproduced: its training is PFedRec's by autograd, and only with the leak a client knows what it cannot."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from fedrec.data.interactions import Interactions
from simulations.benchmarks import leaky_protocol
from simulations.benchmarks.leaky_protocol import Settings, canary, compared, last_out, pfedrec, score
from tests.handmade import dataset, interactions

ROOT = Path(leaky_protocol.__file__).parents[2]
FEW = Settings(rounds=1, width=3, batch=4, negatives=2, lr=0.3, item_factor=0.5)


def by_chance(users: int = 40, items: int = 60, length: int = 12) -> Interactions:
    """Return users who touch items of one of two halves at random: others tell the half, and nobody what comes next."""
    rng, half = np.random.default_rng(0), items // 2
    return interactions([(half * (user % 2) + rng.permutation(half)[:length]).tolist() for user in range(users)], items)


def test_the_last_item_is_asked_and_the_one_before_is_out_of_training() -> None:
    split = last_out(interactions([[0, 1, 2, 3], [6, 5, 4]]))
    assert [split.train.items_of(user).tolist() for user in range(2)] == [[0, 1], [6]]
    assert split.target.tolist() == [3, 4]
    assert [np.flatnonzero(row).tolist() for row in split.seen] == [[0, 1, 2], [5, 6]]
    assert [np.flatnonzero(row).tolist() for row in split.untouched] == [[4, 5, 6], [0, 1, 2, 3]]
    # with fewer than 99 untouched items all of them are candidates, beside the target
    assert [np.flatnonzero(row).tolist() for row in split.candidates] == [[3, 4, 5, 6], [0, 1, 2, 3, 4]]
    assert last_out(by_chance(items=200)).candidates.sum(axis=1).tolist() == [100] * 40


def test_scores_by_hand() -> None:
    split = last_out(interactions([[0, 1, 2, 3], [6, 5, 4]]))
    # user 0 has item 3 behind item 5, among 4 as among 4; user 1 has item 4 first
    scores = np.array([[9, 9, 9, 2, 1, 3, 0], [0, 0, 0, 0, 1, 9, 9]], dtype=np.float32)
    found = score(scores, split)
    assert (found.sampled_hit_rate, found.full_hit_rate) == (1.0, 1.0)
    assert found.sampled_ndcg == found.full_ndcg == pytest.approx((1 / np.log2(3) + 1) / 2)


def test_a_round_is_two_steps_of_gradient_descent_a_batch_by_autograd() -> None:
    split = last_out(interactions([[0, 1, 2, 3, 4, 5, 6], [4, 2, 6, 1]]))
    (found,) = pfedrec(split, FEW, 0, leaky=True, federated=True)
    generator = leaky_protocol.torch_generator_for(0, "start")
    vectors = torch.randn(7, 3, generator=generator)
    function = (2 * torch.rand(3, generator=generator) - 1) * 3**-0.5
    offset = (2 * torch.rand(1, generator=generator) - 1) * 3**-0.5
    users = [[value.clone().requires_grad_() for value in (vectors, function, offset)] for _ in range(2)]
    pool, allowed = np.argsort(~split.untouched, axis=1, kind="stable"), split.untouched.sum(axis=1)
    rng = leaky_protocol.rng_for(0, "negatives", 0)
    for user, item, label in leaky_protocol._batches(split.train, pool, allowed, FEW, rng):
        for number, (own, weight, bias) in enumerate(users):
            mine = user == number
            if not mine.any():
                continue
            for moved, lr in (((weight, bias), 0.3), ((own,), 0.3 * 7 * 0.5)):
                loss = binary_cross_entropy_with_logits(own[item[mine]] @ weight + bias, label[mine])
                gradients = torch.autograd.grad(loss, moved)
                with torch.no_grad():
                    for value, gradient in zip(moved, gradients, strict=True):
                        value.sub_(gradient, alpha=lr)
    expected = torch.stack([own @ weight for own, weight, _ in users])
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("leaky", "known"), [(True, False), (False, True)])
def test_negatives_of_the_leak_never_hit_what_is_asked(leaky: bool, known: bool) -> None:
    split = last_out(by_chance())
    allowed = split.untouched if leaky else ~leaky_protocol._touched(split.train)
    pool = np.argsort(~allowed, axis=1, kind="stable")
    rng = np.random.default_rng(1)
    hit = False
    for user, item, label in leaky_protocol._batches(split.train, pool, allowed.sum(axis=1), Settings(), rng):
        negative = label == 0
        assert allowed[user[negative], item[negative]].all()
        assert split.seen[user[~negative], item[~negative]].all()
        hit |= bool((torch.from_numpy(split.target)[user[negative]] == item[negative]).any())
    assert hit == known


def test_alone_a_client_knows_chance_only_with_the_leak_and_the_canary_says_so() -> None:
    rows = compared(dataset(by_chance()), Settings(rounds=12, width=8), 0, lambda *_: None)
    alone = {row.leaky: row.last.full_hit_rate for row in rows if row.picked is not None and not row.federated}
    assert alone[True] > 0.95
    # of the 49 items that were not seen 10 are 0.20; of the 19 of its half, which EASE knows, 0.53
    assert alone[False] < 0.35
    assert (canary(rows, leaky=True), canary(rows, leaky=False)) == ("raised", "quiet")
    for row in rows[2:]:
        assert row.picked is not None
        assert row.picked.sampled_hit_rate >= row.last.sampled_hit_rate


def test_it_prints_a_table_and_writes_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leaky_protocol, "load_dataset", lambda *_: dataset(by_chance()))
    leaky_protocol.main(out=tmp_path / "leak.json", rounds=2, quiet=True)
    written = json.loads((tmp_path / "leak.json").read_text())
    assert [row["name"] for row in written["rows"]][2:4] == [
        "PFedRec, leaky, federation on",
        "PFedRec, clean, federation on",
    ]
    assert written["settings"]["rounds"] == 2
    assert "Canary: leaky" in capsys.readouterr().out


def test_no_module_of_the_product_imports_it() -> None:
    importing = re.compile(r"^\s*(from|import)\b.*\bleaky_protocol\b", re.MULTILINE)
    assert importing.search("from simulations.benchmarks import leaky_protocol")
    for package in ("fedrec", "clients", "server", "simulations"):
        for path in (ROOT / package).rglob("*.py"):
            assert not importing.search(path.read_text(encoding="utf-8")), path
