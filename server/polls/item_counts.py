"""What is released before the first round: how many users have each item, with noise.

Everyone is asked once, and everyone pays (`PrivacyPlan.counts`): each client's vector is shortened to the clip norm,
the sum is noised. What becomes of it is post-processing (see `fedrec.evaluation.result.popularity`).
"""

from dataclasses import replace

from flwr.serverapp import Grid

from fedrec.core.seeding import rng_for
from fedrec.privacy.plan import ItemCounts
from fedrec.run.directory import RunDirectory
from fedrec.training.item_counts import shortened
from server.polls.poll import Poll, poll


def item_counts(run: RunDirectory, grid: Grid, counts: ItemCounts) -> Poll:
    """Ask all clients, and return how many users have each item with noise, and who could not answer.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
    """
    clip_norm = counts.clip_norm if run.experiment.privacy.on else float("inf")
    num_items = run.job.prepared.train.num_items
    found = poll(run, grid, "item_counts", num_items, lambda vector: shortened(vector, clip_norm))
    noise = rng_for(run.job.secret_seed, "item counts").normal(0.0, counts.deviation, found.total.shape)
    return replace(found, total=found.total + noise)
