"""The leak of a whole field, reproduced beside the same training without it. Nothing else may use this module.

`python -m simulations.benchmarks.leaky_protocol --out leak.json` prints one table and writes the same numbers. It
trains PFedRec (Zhang et al. 2023), as its paper and reference code describe it, on MovieLens-100K: leave-last-out on
the clients' own users, one positive and 99 sampled candidates.

**The leak.** The reference code of this family draws training negatives from items that the user touches in neither
train, validation nor test. The test item is then the only item without a label that is never pushed down. With
*clean* negatives whoever draws knows the training rows alone. The sign of it is federation switched off: a client that
learns from nobody cannot know what its user does next, and with the leak it ranks it first.

The code that leaks is this module's own. No experiment can name it, and no module of the product imports it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import CanaryError
from fedrec.core.files import write_whole
from fedrec.core.places import default_cache
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for, torch_generator_for
from fedrec.data.interactions import Dataset, IntArray, Interactions
from fedrec.data.load import load_dataset
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import Control
from fedrec.evaluation.controls.canary import LOCAL_ONLY, check_canary
from fedrec.evaluation.controls.linear.ease import ease_scorer
from fedrec.evaluation.controls.uninformed import popularity_scorer
from fedrec.evaluation.statistics.significance import FloatArray
from fedrec.experiment.config import DataConfig
from fedrec.metrics.accuracy import METRICS
from fedrec.metrics.evaluation import Evaluation
from fedrec.privacy.disclosure import PRIVATE
from fedrec.tasks.base import Headline
from simulations.cli.options import Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

K = 10
CANDIDATES = 99
EASE_L2 = 500.0
LEGEND = (
    "HR@10 and NDCG@10 of the last round. Sampled: the last item among 99 items that the user never touches. Full: "
    "among all items but those of its training and validation. Picked: the same of the round with the best sampled "
    "HR@10 on the test items, a choice that no honest table may make. Canary: whether fedrec refuses such a run, "
    "because federation off beats EASE."
)

Mask = NDArray[np.bool_]
"""Which items are meant of each user, `[users, items]`."""


@dataclass(frozen=True, eq=False)
class LastOut:
    """Each user's last item to be found, the one before it for validation, the others to train on.

    Attributes:
        train: All but the last two rows of each user.
        target: The last item of each user, `[users]`.
        seen: Items of training and validation.
        untouched: Items that are in no row of the user: the negatives of the leak, and the candidates.
        candidates: The target and `CANDIDATES` of the untouched items, or all of them if they are fewer.
    """

    train: Interactions
    target: IntArray
    seen: Mask
    untouched: Mask
    candidates: Mask


@dataclass(frozen=True)
class Settings:
    """PFedRec's defaults for MovieLens-100K.

    Attributes:
        rounds: Rounds; every client takes part in each, with one epoch.
        width: Length of an item's vector.
        lr: Learning rate of the score function.
        item_factor: The item vectors' rate is `lr` times the number of items times this.
        batch: Examples of a batch.
        negatives: Negatives drawn for each positive, anew in each round.
    """

    rounds: int = 100
    width: int = 32
    lr: float = 0.1
    item_factor: float = 80.0
    batch: int = 256
    negatives: int = 4


@dataclass(frozen=True)
class Score:
    """HR@10 and NDCG@10 over users, sampled and full."""

    sampled_hit_rate: float
    sampled_ndcg: float
    full_hit_rate: float
    full_ndcg: float


@dataclass(frozen=True, eq=False)
class Row:
    """A recommender, its last round, and the round that the test items would pick.

    Attributes:
        name: What it is.
        leaky: Whether its negatives know what is asked.
        federated: Whether its clients learn from each other.
        last: Of the last round.
        per_user: Full NDCG@10 of each user in the last round.
        picked: Of the round that the test items would pick; None of what has no rounds.
        picked_round: Its number, from 1.
    """

    name: str
    leaky: bool
    federated: bool
    last: Score
    per_user: FloatArray
    picked: Score | None = None
    picked_round: int = 0


def last_out(rows: Interactions, seed: int = 0) -> LastOut:
    """Return the split, for users of at least three rows, no item twice; candidates are drawn by name."""
    places = np.arange(len(rows)) - np.repeat(rows.bounds[:-1], np.diff(rows.bounds))
    behind = np.repeat(np.diff(rows.bounds), np.diff(rows.bounds)) - places
    seen = np.zeros((rows.num_users, rows.num_items), dtype=bool)
    seen[rows.user[behind > 1], rows.item[behind > 1]] = True
    target = rows.item[behind == 1]
    untouched = ~seen
    untouched[np.arange(rows.num_users), target] = False
    drawn = np.where(untouched, rng_for(seed, "candidates").random(untouched.shape), np.inf)
    candidates = np.zeros_like(seen)
    np.put_along_axis(candidates, np.argsort(drawn, axis=1)[:, :CANDIDATES], values=True, axis=1)
    candidates &= untouched
    candidates[np.arange(rows.num_users), target] = True
    return LastOut(rows.where(behind > 2), target, seen, untouched, candidates)


def ranks_of(scores: NDArray[np.float32], split: LastOut) -> tuple[IntArray, IntArray]:
    """Return the rank of each user's target among the candidates and in full, by scores `[users, items]`.

    Ties are broken by one random order of the items.
    """
    users = np.arange(len(scores))
    ties = rng_for(0, "ties").permutation(scores.shape[1])
    wanted = scores[users, split.target][:, None]
    ahead = (scores > wanted) | ((scores == wanted) & (ties < ties[split.target][:, None]))
    sampled, full = ((ahead & among).sum(axis=1) + 1 for among in (split.candidates, ~split.seen))
    return sampled, full


def score(scores: NDArray[np.float32], split: LastOut) -> Score:
    """Return the means over users."""
    both = ranks_of(scores, split)
    return Score(*(float(_values(name, ranks).mean()) for ranks in both for name in ("hit_rate", "ndcg")))


def _values(name: str, ranks: IntArray) -> FloatArray:
    metric = METRICS.get(name)
    return np.array([metric(ranks[user : user + 1], K) for user in range(len(ranks))])


def pfedrec(
    split: LastOut, settings: Settings, seed: int, *, leaky: bool, federated: bool
) -> Iterator[NDArray[np.float32]]:
    """Yield all users' scores after each round, `[users, items]`, each by its own score function and tuned vectors.

    In a batch the score function takes its step first, then the vectors, by the loss of the new function. Without
    federation a client goes on with its own vectors. All clients are trained at once: they share nothing in a round.
    """
    users, items = split.seen.shape
    generator = torch_generator_for(seed, "start")
    shared = torch.randn(items, settings.width, generator=generator)
    bound = settings.width**-0.5
    function = (2 * torch.rand(settings.width, generator=generator) - 1) * bound
    offset = (2 * torch.rand(1, generator=generator) - 1) * bound
    functions, offsets = function.repeat(users, 1), offset.repeat(users)
    vectors = shared.expand(users, -1, -1).contiguous()
    allowed = split.untouched if leaky else ~_touched(split.train)
    pool, sizes_of = np.argsort(~allowed, axis=1, kind="stable"), allowed.sum(axis=1)  # the allowed items come first
    item_rate = settings.lr * items * settings.item_factor
    for number in range(settings.rounds):
        if number and federated:
            vectors.copy_(vectors.mean(dim=0).expand_as(vectors))
        rng = rng_for(seed, "negatives", number)
        for user, item, label in _batches(split.train, pool, sizes_of, settings, rng):
            places = user * items + item
            sizes = torch.bincount(user, minlength=users).clamp(min=1)[user]
            flat = vectors.view(-1, settings.width)
            own = flat[places]
            error = (torch.sigmoid((own * functions[user]).sum(dim=1) + offsets[user]) - label) / sizes
            functions.index_add_(0, user, own * error[:, None], alpha=-settings.lr)
            offsets.index_add_(0, user, error, alpha=-settings.lr)
            step = functions[user]
            error = (torch.sigmoid((own * step).sum(dim=1) + offsets[user]) - label) / sizes
            flat.index_add_(0, places, step * error[:, None], alpha=-item_rate)
        yield torch.bmm(vectors, functions[:, :, None]).squeeze(-1).numpy()


def _batches(
    train: Interactions, pool: IntArray, allowed: IntArray, settings: Settings, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield users, items and labels of every user's first batch, then of every user's second, and so on.

    Args:
        train: Whose rows are the positives.
        pool: Negatives of each user, in the first places of its row, `[users, items]`.
        allowed: How many of them there are, `[users]`.
        settings: How many are drawn, and the size of a batch.
        rng: Of the round.
    """
    user = np.repeat(train.user, 1 + settings.negatives)
    item = np.repeat(train.item, 1 + settings.negatives)
    label = np.tile(np.eye(1, 1 + settings.negatives, dtype=np.float32)[0], len(train))
    negative = label == 0
    drawn = rng.random(int(negative.sum())) * allowed[user[negative]]
    item[negative] = pool[user[negative], drawn.astype(np.int64)]
    order = np.argsort(user + rng.random(len(user)))
    user, item, label = user[order], item[order], label[order]
    begins = np.searchsorted(user, np.arange(train.num_users))
    turn = (np.arange(len(user)) - begins[user]) // settings.batch
    for number in range(int(turn.max()) + 1):
        now = turn == number
        yield torch.from_numpy(user[now]), torch.from_numpy(item[now]), torch.from_numpy(label[now])


def _touched(rows: Interactions) -> Mask:
    touched = np.zeros((rows.num_users, rows.num_items), dtype=bool)
    touched[rows.user, rows.item] = True
    return touched


def trained(  # noqa: PLR0913 - what differs between the rows
    split: LastOut, settings: Settings, seed: int, *, leaky: bool, federated: bool, progress: Progress
) -> Row:
    """Return PFedRec's row."""
    name = f"PFedRec, {'leaky' if leaky else 'clean'}, federation {'on' if federated else 'off'}"
    found: list[Score] = []
    for scores in pfedrec(split, settings, seed, leaky=leaky, federated=federated):
        found.append(score(scores, split))
        progress(name, len(found), settings.rounds, f"sampled HR@{K} {found[-1].sampled_hit_rate:.3f}")
    per_user = _values("ndcg", ranks_of(scores, split)[1])
    best = max(range(len(found)), key=lambda number: found[number].sampled_hit_rate)
    return Row(name, leaky, federated, found[-1], per_user, found[best], best + 1)


def compared(dataset: Dataset, settings: Settings, seed: int, progress: Progress) -> list[Row]:
    """Return popularity and EASE on the training rows, and PFedRec in its four forms."""
    split = last_out(dataset.interactions, seed)
    users = np.arange(split.train.num_users)
    queries = Queries(users, [split.train.items_of(int(user)) for user in users], ())
    makers: dict[str, Callable[[Interactions], Callable[[Queries], NDArray[np.float32]]]] = {
        "popularity, central": popularity_scorer,
        f"EASE, central, lambda {EASE_L2:g}": lambda train: ease_scorer(train, EASE_L2),
    }
    central = []
    for name, make in makers.items():
        scores = make(split.train)(queries)
        per_user = _values("ndcg", ranks_of(scores, split)[1])
        central.append(Row(name, leaky=False, federated=False, last=score(scores, split), per_user=per_user))
    return central + [
        trained(split, settings, seed, leaky=leaky, federated=federated, progress=progress)
        for federated in (True, False)
        for leaky in (True, False)
    ]


def canary(rows: list[Row], *, leaky: bool) -> str:
    """Return whether a run with these negatives is refused, by full NDCG@10 as fedrec's own canary."""
    headline = Headline("last", f"ndcg@{K}")
    ease = next(row for row in rows if row.name.startswith("EASE"))
    alone = next(row for row in rows if row.picked is not None and not row.federated and row.leaky == leaky)

    def control(row: Row, *, reference: bool) -> Control:
        users, nothing = np.arange(len(row.per_user)), np.empty((len(row.per_user), 0), dtype=np.int64)
        found = Evaluation(headline.target, users, {headline.metric: row.per_user}, (), nothing, {})
        return Control({headline.target: found}, row.name, PRIVATE, reference=reference)

    try:
        check_canary({"ease": control(ease, reference=True), LOCAL_ONLY: control(alone, reference=False)}, headline)
    except CanaryError:
        return "raised"
    return "quiet"


def main(
    out: Annotated[Path | None, typer.Option(help="File for the same numbers as JSON.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of each training.", min=1)] = Settings().rounds,
    seed: Annotated[int, typer.Option(help="Seed of every draw.", min=0)] = 0,
    *,
    quiet: Quiet = False,
) -> None:
    """Reproduce the leak, beside the same training without it."""
    settings = Settings(rounds=rounds)
    with RichProgress(quiet=quiet) as progress:
        dataset = load_dataset(DataConfig(), default_cache())
        rows = compared(dataset, settings, seed, progress)
    told = {("leaky" if leaky else "clean"): canary(rows, leaky=leaky) for leaky in (True, False)}
    if out is not None:
        content = {"benchmark": "leaky_protocol", "seed": seed, "settings": asdict(settings), "canary": told}
        write_whole(out, json.dumps(content | {"rows": [_told(row) for row in rows]}, indent=1) + "\n")
    columns = ["last item, MovieLens-100K", "sampled", "full", "picked, sampled", "picked, full", "picked round"]
    show_table("HR@10 / NDCG@10", columns, map(_cells, rows))
    show_text(f"Canary: leaky {told['leaky']}, clean {told['clean']}. {LEGEND}")


def _told(row: Row) -> dict[str, Any]:
    told = asdict(row)
    del told["per_user"]
    return told


def _cells(row: Row) -> list[str]:
    cells = [row.name, *_pair(row.last)]
    return [*cells, *(["", "", ""] if row.picked is None else [*_pair(row.picked), str(row.picked_round)])]


def _pair(found: Score) -> tuple[str, str]:
    return (
        f"{found.sampled_hit_rate:.3f} / {found.sampled_ndcg:.3f}",
        f"{found.full_hit_rate:.3f} / {found.full_ndcg:.3f}",
    )


if __name__ == "__main__":
    typer.run(main)
