"""CoLR (Nguyen et al. 2024): clients train a low-rank change of each table, in a space that all share for a round.

Both halves of it, beside the transform `colr`, without which the change travels as a whole table:

```toml
[strategy]
name = "colr"
options = { rank = 4 }

[[transforms]]
name = "colr"
options = { rank = 4 }
```

A client's table is `W + A B` with `B` orthonormal, drawn for the round, and `A = 0` at first. Descending in `A` by its
gradient `G B^T` moves the table by `-lr G B^T B`: the client's steps follow the projected gradient. They are
`sqrt(columns / rank)` times as long, as those of the authors' code are, which scales `B` by that and the gradient of
`A` by its inverse.

The authors' settings (MovieLens-1M): `matrix_factorization` of width 64 and rank 4, plain gradient descent of rate .01,
2 local epochs, 120 clients in each of 400 rounds, 4 negatives, batches of 256. Users who are held out are served as by
`fedavg`.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import Adapter, LocalWork, Rule, Stack
from fedrec.transforms.colr import basis, is_table
from server.base import STRATEGIES
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg


class LowRankTables(Rule):
    """The client's half: tables move in the round's rows alone; all else that travels moves as ever.

    Args:
        work: What every client does in a round; of plain gradient descent.
        rank: Rows of the basis.

    Raises:
        ConfigError: If the optimiser is another one, which would leave the space.
    """

    def __init__(self, work: LocalWork, rank: float = 4) -> None:
        super().__init__(work)
        if work.optimizer != "sgd":
            message = f"colr stays in a space by steps of SGD, got training.optimizer={work.optimizer}; set sgd"
            raise ConfigError(message)
        self.rank = int(rank)

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Mapping[str, Tensor]:
        """Return what projects each table's gradient, and lengthens it: `sqrt(columns / rank) B^T B` by name."""
        del extras, kept
        found = {}
        for name, value in before.items():
            if is_table(tuple(value.shape[1:]), self.rank):
                columns = value.shape[-1]
                rows = torch.from_numpy(basis(self.work.seed, self.work.round, columns, self.rank)).to(value)
                found[name] = math.sqrt(columns / self.rank) * rows.T @ rows
        return found

    def direction(self, gradient: Stack, parameters: Stack, state: Mapping[str, Tensor]) -> Stack:
        """Return the projected gradients of tables."""
        del parameters
        return {name: value @ state[name] if name in state else value for name, value in gradient.items()}


@STRATEGIES.register("colr")
class CoLR(FedAvg):
    """FedAvg whose clients change tables by a low rank in a space of the round.

    Args:
        context: What the runner tells of the run.
        rank: Rows of the basis, a whole number from 1.
        server_lr: Factor on the mean change, above 0.

    Raises:
        ConfigError: If an option is out of range.
    """

    rule = f"{__name__}:LowRankTables"

    def __init__(self, context: StrategyContext, rank: int = 4, server_lr: float = 1.0) -> None:
        super().__init__(context, server_lr)
        if between("rank", rank, least=1) != int(rank):
            message = f"strategy.options.rank = {rank!r}: should be a whole number"
            raise ConfigError(message)
        self.rank = int(rank)

    def client_config(self) -> dict[str, float]:
        """Tell the clients the rank."""
        return {"rank": self.rank}
