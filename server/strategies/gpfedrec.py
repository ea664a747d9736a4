"""GPFedRec (Zhang et al. 2024): a graph of users whose item tables are alike tells each client whom to resemble.

Both halves of it. In each round the server compares the tables that clients send, joins each client with those that are
more like it than `threshold` times the mean over all pairs (itself, if nobody is), and averages a table of the client's
own over these. Every client starts from the mean of these tables, and is pulled towards its own by `pull * mean((w -
own)^2)`.

So the authors' code does it: `similarity` in the sense of the paper is the cosine, but the code takes scikit-learn's
cosine *distance* for it, and so joins the users that are most unlike; `inverted = true` reproduces that, and nothing
else should use it. Their settings for MovieLens-100K: width 32, 100 rounds of all clients with one epoch, plain
gradient descent at a rate of .1, that times 80 times the number of items for tables (`item_factor`), pull 1, threshold
1, 4 negatives, batches of 256. Their score function, a perceptron on a user's and an item's vector, stays with its
client; here it is whatever stays: the user factors of `matrix_factorization` with `model.options.bias = false`.

Clients serve their own users with the table that they tuned, as the authors' do (`pfedrec`; set `evaluation.select =
"last"`). A user that nobody trained on is served with the mean table. The server sees and compares every client's
change, so the strategy is refused wherever only a noised sum may be seen; under `privacy.trust = "local"` the tables
have their noise before it looks. It keeps a table for each client of the last round, in every checkpoint, and a client
that was not in that round is told the mean.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import Adapter, LocalWork, Stack
from server.aggregation.update import Arrays, State, Update
from server.base import STRATEGIES, CohortStrategy
from server.context import StrategyContext, between
from server.strategies.pfedrec import TunedItems


class GuidedItems(TunedItems):
    """The client's half: PFedRec's, pulled towards what the server made for it.

    Args:
        work: What every client does in a round; of plain gradient descent.
        item_factor: How much longer the steps of what travels are.
        pull: Weight of the mean squared distance.

    Raises:
        ValueError: If the optimiser is another one, which would undo the factor.
    """

    def __init__(self, work: LocalWork, item_factor: float = 1.0, pull: float = 1.0) -> None:
        super().__init__(work, item_factor)
        self.pull = pull

    def extras_like(self, before: Adapter) -> dict[str, Tensor]:
        """Return the client's own tables: of the adapter's names and shapes."""
        return dict(before)

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Adapter:
        """Return them."""
        del before, kept
        return extras

    def direction(self, gradient: Stack, parameters: Stack, state: Adapter) -> Stack:
        """Return `factor * (g + 2 * pull * (w - own) / n)` for tables of `n` numbers."""
        pulled = {
            name: value + 2 * self.pull * (parameters[name] - state[name]) / state[name].numel()
            for name, value in gradient.items()
        }
        return super().direction(pulled, parameters, None)


@STRATEGIES.register("gpfedrec")
class GPFedRec(CohortStrategy):
    """The mean of tables that are each averaged over a client's neighbours; weights are ignored.

    Args:
        context: What the runner tells of the run.
        item_factor: How much longer the steps of what travels are than those of what stays, above 0.
        pull: How strongly a client is pulled towards its own table, at least 0.
        threshold: Times the mean similarity: whoever is more like a client is its neighbour.
        inverted: Whether distance is taken for similarity, as in the authors' code.

    Raises:
        ConfigError: If an option is out of range.
    """

    rule = f"{__name__}:GuidedItems"

    def __init__(
        self,
        context: StrategyContext,
        item_factor: float = 1.0,
        pull: float = 1.0,
        threshold: float = 1.0,
        inverted: bool = False,  # noqa: FBT001, FBT002 - an option of the experiment, given by name
    ) -> None:
        super().__init__(context)
        self.item_factor = between("item_factor", item_factor, above=0)
        self.pull, self.threshold = between("pull", pull, least=0), between("threshold", threshold)
        if not isinstance(inverted, bool):
            message = f"strategy.options.inverted = {inverted!r}: should be true or false"
            raise ConfigError(message)
        self.inverted = inverted
        self.own: dict[int, Arrays] = {}
        """The tables made for each client of the last round."""

    def client_config(self) -> dict[str, float]:
        """Tell the clients the factor and the pull."""
        return {"item_factor": self.item_factor, "pull": self.pull}

    def own_extras(self, client: int) -> Arrays:
        """Return the client's own tables; those that all have where none were made for it."""
        return self.own.get(client, self.current)

    def aggregate(self, updates: Sequence[Update]) -> Arrays:
        """Return how far the mean of the clients' own tables is from what was sent, and keep these tables."""
        names = sorted(self.current)
        tables = {
            name: np.stack([self.current[name] + update.delta[name] for update in updates]).astype(np.float64)
            for name in names
        }
        flat = np.concatenate([tables[name].reshape(len(updates), -1) for name in names], axis=1)
        weights = neighbours(flat, self.threshold, inverted=self.inverted)
        mixed = {name: np.tensordot(weights, tables[name], axes=1).astype(np.float32) for name in names}
        self.own = {update.client: {name: mixed[name][row] for name in names} for row, update in enumerate(updates)}
        return {name: (mixed[name].mean(axis=0) - self.current[name]).astype(np.float32) for name in names}

    def state(self) -> State:
        """Return the clients' own tables, each name behind its client's number."""
        return {f"{client}/{name}": table for client, own in self.own.items() for name, table in own.items()}

    def restore(self, state: State) -> None:
        """Take them back."""
        self.own = {}
        for key, table in state.items():
            client, name = key.split("/", 1)
            self.own.setdefault(int(client), {})[name] = table


def neighbours(tables: NDArray[np.float64], threshold: float, *, inverted: bool) -> NDArray[np.float64]:
    """Return each client's weights of all clients' tables, `[clients, clients]`: equal ones that add up to 1.

    Args:
        tables: The clients' tables, `[clients, numbers]`; one of zeros is like nobody's.
        threshold: Times the mean over all pairs, a client with itself included.
        inverted: Whether whoever is further away is a neighbour.
    """
    lengths = np.linalg.norm(tables, axis=1, keepdims=True)
    units = np.divide(tables, lengths, out=np.zeros_like(tables), where=lengths > 0)
    alike = units @ units.T
    compared = 1 - alike if inverted else alike
    joined = compared > threshold * compared.mean()
    joined |= np.eye(len(tables), dtype=bool) & ~joined.any(axis=1, keepdims=True)
    weights: NDArray[np.float64] = joined / joined.sum(axis=1, keepdims=True)
    return weights
