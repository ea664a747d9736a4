"""From item vectors to the model's width, with a hidden layer beside the linear map."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class HiddenProjection(nn.Module):
    """`direct(x) + outer(gelu(inner(x)))`, the hidden layer as wide as the result; it starts as the linear map alone.

    Args:
        dimensions: Of item vectors, which have length 1.
        width: Of the model.
    """

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.direct = nn.Linear(dimensions, width)
        self.inner = nn.Linear(dimensions, width)
        self.outer = nn.Linear(width, width)

    def forward(self, vectors: Float[Tensor, "*items dimensions"]) -> Float[Tensor, "*items width"]:
        """Return embedded items."""
        embedded: Tensor = self.direct(vectors) + self.outer(functional.gelu(self.inner(vectors)))
        return embedded
