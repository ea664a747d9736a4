"""How a cohort is cut into the chunks that are trained together: by its clients' sizes and nothing else.

Neither the number of workers nor their speed has a say, so a chunk's sums have the same bits wherever it is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedrec.data.interactions import IntArray


@dataclass(frozen=True)
class ChunkSize:
    """Where a chunk ends.

    Attributes:
        clients: Most clients: enough to hide what a vectorised call costs beside its work.
        least: A small cohort is cut finer, in quarters, so that several workers share it; but no finer than this.
        positions: Most positions of the clients' examples: where clients have many, blocks are full long before, and
            workers should share the rest.
    """

    clients: int = 64
    least: int = 32
    positions: int = 16_384


CHUNK_SIZES = {"cpu": ChunkSize(), "cuda": ChunkSize(clients=1024, least=256, positions=2**18)}
"""By device: a GPU wants all it can get at once; how much it computes in one call follows from its free memory."""


def chunks_of(clients: Sequence[int], positions: IntArray, size: ChunkSize) -> list[list[int]]:
    """Return the clients in chunks, the largest first, so that a chunk's are alike and no long one comes last.

    Args:
        clients: Their numbers.
        positions: Positions of each client's examples.
        size: Where a chunk ends.
    """
    order = sorted(zip(positions.tolist(), clients, strict=True), key=lambda entry: (-entry[0], entry[1]))
    most = min(size.clients, max(size.least, -(-len(clients) // 4)))
    chunks: list[list[int]] = []
    room = 0
    for of_client, client in order:
        if not chunks or len(chunks[-1]) == most or of_client > room:
            chunks.append([])
            room = size.positions
        chunks[-1].append(client)
        room -= of_client
    return chunks
