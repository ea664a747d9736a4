"""FedRAP (Li et al. 2024, algorithm 1): shared and personal item vectors, pulled apart, the shared ones kept sparse.

Both halves of it, for the model `additive_factorization`. Beside the task's loss a client minimises

    -independence * mean((D - C)^2) + sparsity * mean(|C|),

`C` being the shared table and `D` its own; the means are over the tables' numbers, as in the authors' code, where the
paper has sums. Both weights grow as `tanh(a / 10)` over rounds `a = 0, 1, ...`, as in the paper; the authors' code
computes such weights, and trains with the full ones. The terms depend on no example, so the gradient that is clipped
and noised is the task's alone.

The authors' settings for MovieLens-100K: width 32; 100 rounds of all clients, up to 10 local epochs; plain gradient
descent at a rate of .0001 for the score function (here the user's factors) and 1,000 for both tables, .97 times that in
each next round, which is not done here; independence .1, sparsity .001. They note that little is left of it elsewhere.
Set `evaluation.select = "last"`, because what clients keep is of their last round. A user that nobody trained on is
served by the shared table (see the model).
"""

import math

from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import LocalWork, Rule, Stack
from server.base import STRATEGIES
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg

PERSONAL = "personal_"
"""Before the name of a shared parameter: the one of each client's own that is added to it."""


class AdditivePersonalization(Rule):
    """The client's half: the terms' gradients, and longer steps for tables than for what else there is.

    A parameter that stays and is called "personal_NAME" belongs to NAME, which travels. A model without such parameters
    is trained plainly.

    Args:
        work: What every client does in a round; of plain gradient descent.
        independence: Weight of the distance between the tables, once it is grown.
        sparsity: Weight of the shared table's absolute numbers, once it is grown.
        table_factor: How much longer the steps of both tables are.

    Raises:
        ConfigError: If the optimiser is another one, which would undo the factor.
    """

    def __init__(
        self, work: LocalWork, independence: float = 0.1, sparsity: float = 0.001, table_factor: float = 1.0
    ) -> None:
        super().__init__(work)
        if work.optimizer != "sgd":
            message = f"fedrap sets steps of SGD, got training.optimizer={work.optimizer}; set sgd"
            raise ConfigError(message)
        grown = math.tanh(max(0, work.round - 1) / 10)
        self.independence, self.sparsity = grown * independence, grown * sparsity
        self.table_factor = table_factor

    def direction(self, gradient: Stack, parameters: Stack, state: None) -> Stack:
        """Return `factor * (g + 2 * independence * (D - C) / n + sparsity * sign(C) / n)` for tables of `n` numbers."""
        del state
        turned = dict(gradient)
        for name in gradient:
            if (own := parameters.get(f"{PERSONAL}{name}")) is not None:
                shared = parameters[name]
                pull = 2 * self.independence * (own - shared) + self.sparsity * shared.sign()
                turned[name] = self.table_factor * (gradient[name] + pull / _numbers(shared))
        return turned

    def private_direction(self, gradient: Stack, parameters: Stack, state: None) -> Stack:
        """Return `factor * (g - 2 * independence * (D - C) / n)` for personal tables."""
        del state
        turned = dict(gradient)
        for name in gradient:
            shared = parameters.get(name.removeprefix(PERSONAL))
            if name.startswith(PERSONAL) and shared is not None:
                push = 2 * self.independence * (parameters[name] - shared) / _numbers(shared)
                turned[name] = self.table_factor * (gradient[name] - push)
        return turned


@STRATEGIES.register("fedrap")
class FedRAP(FedAvg):
    """FedAvg of the shared table, for the model `additive_factorization`.

    Args:
        context: What the runner tells of the run.
        independence: Weight of the distance between the tables, at least 0.
        sparsity: Weight of the shared table's absolute numbers, at least 0.
        table_factor: How much longer the steps of both tables are than those of the users' factors, above 0.
        server_lr: Factor on the mean change, above 0.
    """

    rule = f"{__name__}:AdditivePersonalization"

    def __init__(
        self,
        context: StrategyContext,
        independence: float = 0.1,
        sparsity: float = 0.001,
        table_factor: float = 1.0,
        server_lr: float = 1.0,
    ) -> None:
        super().__init__(context, server_lr)
        self.independence = between("independence", independence, least=0)
        self.sparsity = between("sparsity", sparsity, least=0)
        self.table_factor = between("table_factor", table_factor, above=0)

    def client_config(self) -> dict[str, float]:
        """Tell the clients the weights that grow, and the factor."""
        return {"independence": self.independence, "sparsity": self.sparsity, "table_factor": self.table_factor}


def _numbers(table: Tensor) -> int:
    """Return how many numbers each client's table has."""
    return table[0].numel()
