"""Who masks with whom: clients on a ring, each with its nearest on both sides (Bell et al. 2020: a Harary graph)."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise


@dataclass(frozen=True)
class Ring:
    """An order of clients in a circle, and how far each one reaches.

    Args:
        order: Clients, each once; random, so that no two were neighbours for a reason.
        reach: Neighbours on each side; half of the clients or more is the complete graph.
    """

    order: tuple[int, ...]
    reach: int

    @cached_property
    def _place(self) -> dict[int, int]:
        return {client: place for place, client in enumerate(self.order)}

    def neighbours(self, client: int) -> tuple[int, ...]:
        """Return a client's neighbours, sorted: it is theirs, too."""
        return tuple(other for other in self.holders(client) if other != client)

    def holders(self, client: int) -> tuple[int, ...]:
        """Return who holds a share of a client's secrets, sorted: its neighbours and itself."""
        place, size = self._place[client], len(self.order)
        return tuple(sorted({self.order[(place + far) % size] for far in range(-self.reach, self.reach + 1)}))

    def connected(self, clients: Collection[int]) -> bool:
        """Return whether masks tie all these clients into one sum.

        If not, the server could open a sum for each part. An edge spans at most `reach` places, so two clients next to
        each other in the circle (the others gone) are tied if they are no farther apart than that, and nothing crosses
        a longer gap: one such gap leaves a chain, two cut the circle in parts.
        """
        places = sorted(self._place[client] for client in clients)
        if not places:
            return True
        gaps = [after - before for before, after in pairwise([*places, places[0] + len(self.order)])]
        return sum(gap > self.reach for gap in gaps) <= 1
