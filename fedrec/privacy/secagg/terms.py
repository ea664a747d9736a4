"""What everyone in a round of secure aggregation knows before it starts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.privacy.secagg.graph import Ring

Vector = NDArray[np.unsignedinteger]

COMPLETE = 32
"""Up to this many clients, everyone is everyone's neighbour unless said otherwise."""


@dataclass(frozen=True)
class Terms:
    """The public terms of one round.

    Args:
        round: Number of the round; it is part of every derived key, so that no message fits another round.
        cohort: Clients invited, at least 2.
        threshold: Fewest clients whose sum is ever opened; more than half of the cohort, at least 2.
        length: Numbers in each vector; 0 is allowed.
        bits: Sums are taken modulo 2^bits, 1 to 64.
        neighbours: Even number of clients that each one shares masks and secrets with; None is all the others.
        seed: Public; it decides who is whose neighbour.

    Raises:
        ConfigError: If one of these bounds does not hold.
    """

    round: int
    cohort: int
    threshold: int
    length: int
    bits: int = 32
    neighbours: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        message = ""
        if self.cohort < 2:
            message = f"a sum over {self.cohort} client is that client's vector; secure aggregation needs at least 2"
        elif not self.cohort < 2 * self.threshold <= 2 * self.cohort:
            message = (
                f"threshold {self.threshold} of {self.cohort} clients is not more than half and at most all: "
                "half could tell the server one thing and half another"
            )
        elif not 1 <= self.bits <= 64 or self.length < 0:
            message = f"a vector has 0 or more numbers of 1 to 64 bits, got {self.length} of {self.bits}"
        elif self.neighbours is not None and (self.neighbours < 2 or self.neighbours % 2):
            message = f"neighbours stand on both sides of a ring, so they are an even number, got {self.neighbours}"
        if message:
            raise ConfigError(message)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The narrowest unsigned integer, little-endian, that holds `bits`."""
        return np.dtype(f"<u{next(size for size in (1, 2, 4, 8) if self.bits <= 8 * size)}")

    def reduced(self, vector: Vector) -> Vector:
        """Return the vector modulo 2^bits, as `dtype`."""
        return np.bitwise_and(vector.astype(self.dtype), self.dtype.type(2**self.bits - 1))

    def flaw(self, vector: Vector) -> str | None:
        """Return what is wrong with a vector that should be `length` integers of `bits` bits, or None."""
        if vector.shape != (self.length,) or vector.dtype != self.dtype:
            return f"{vector.dtype}{list(vector.shape)} instead of {self.dtype}[{self.length}]"
        if vector.size and int(vector.max()) >= 2**self.bits:
            return f"{vector.max()}, which has more than {self.bits} bits"
        return None

    def ring(self, clients: tuple[int, ...]) -> Ring:
        """Return who is whose neighbour among clients: everyone's own computation, with one outcome."""
        order = rng_for(self.seed, "secure aggregation ring", self.round).permutation(sorted(clients))
        half = len(clients) // 2
        return Ring(tuple(order.tolist()), half if self.neighbours is None else min(half, self.neighbours // 2))

    def shares_needed(self, holders: int) -> int:
        """Return how many of a secret's shares rebuild it: `threshold` if all hold one, else most of the holders.

        Always more than half of the holders, who each reveal a share of one of two secrets: so at most one can ever
        be rebuilt, whatever the server told whom (with c colluders, if twice the number exceeds the holders and c).
        """
        return self.threshold if self.neighbours is None else holders // 2 + 1


def neighbours_for(cohort: int, threshold: int, chance: float = 1e-3) -> int | None:
    """Return how many neighbours let a round with the most dropouts fail with at most this chance.

    By the union bound over clients whose neighbours drop out at random (hypergeometric; Bell et al. 2020, section 3).
    None, the complete graph, for a small cohort or where the ring would need everyone.
    """
    if cohort <= COMPLETE:
        return None
    dropped = cohort - threshold
    for count in range(2, cohort - 1, 2):
        # The client may itself be among the dropped, so `holders // 2 + 1` must be found among its neighbours.
        needed = (count + 1) // 2 + 1
        if cohort * hypergeom.sf(count - needed, cohort - 1, dropped, count) <= chance:
            return count
    return None
