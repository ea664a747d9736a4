"""PFedRec (Zhang et al. 2023, algorithm 1): clients tune the item vectors that they share, and score with their own.

Both halves of it. A user's score function is its own, as the user factors of `matrix_factorization` are; set
`model.options.bias = false`, and `evaluation.select = "last"`, because what clients keep is of their last round. It
differs from the paper in that a step moves score function and item vectors at once, and in whatever loss the task has.
A user that nobody trained on is served with the shared vectors and the factors that explain its history best.
"""

from typing import Any

from torch import Tensor

from fedrec.training.rules.base import Adapter, LocalWork, Rule, Stack
from server.base import STRATEGIES
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg


class TunedItems(Rule):
    """The client's half: what travels takes longer steps than what stays, and is kept as it was tuned.

    It keeps two copies of the adapter on each client.

    Args:
        work: What every client does in a round; of plain gradient descent.
        item_factor: How much longer the steps of what travels are; the paper's is 80 times the number of items, for a
            loss that is a mean over a batch of examples.

    Raises:
        ValueError: If the optimiser is another one, which would undo the factor.
    """

    def __init__(self, work: LocalWork, item_factor: float = 1.0) -> None:
        super().__init__(work)
        if work.optimizer != "sgd" and item_factor != 1:
            message = f'item_factor {item_factor:g} needs training.optimizer = "sgd", which is {work.optimizer!r}'
            raise ValueError(message)
        self.item_factor = item_factor

    def kept_start(self, before: Adapter) -> dict[str, Tensor]:
        """Return the adapter that a client is sent first: nothing is tuned yet."""
        return dict(before)

    def direction(self, gradient: Stack, parameters: Stack, state: Any) -> Stack:
        """Return the gradient times the factor."""
        del parameters, state
        return {name: self.item_factor * value for name, value in gradient.items()}

    def final(self, before: Stack, after: Stack, state: Any) -> tuple[Stack, Stack]:
        """Send nothing beside the change, and keep what was tuned."""
        del before, state
        return {}, after

    def personal(self, adapter: Stack, kept: Stack) -> Stack:
        """Return what was tuned last."""
        del adapter
        return kept


@STRATEGIES.register("pfedrec")
class PFedRec(FedAvg):
    """FedAvg whose clients serve their own users with the item vectors that they tuned.

    Args:
        context: What the runner tells of the run.
        item_factor: How much longer the steps of what travels are than those of what stays, above 0.
        server_lr: Factor on the mean change, above 0.
    """

    rule = f"{__name__}:TunedItems"

    def __init__(self, context: StrategyContext, item_factor: float = 1.0, server_lr: float = 1.0) -> None:
        super().__init__(context, server_lr)
        self.item_factor = between("item_factor", item_factor, above=0)

    def client_config(self) -> dict[str, float]:
        """Tell the clients how much longer."""
        return {"item_factor": self.item_factor}
