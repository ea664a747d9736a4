"""Made-up users in any number, for tests of scale: never for claims about quality.

A made-up user has the history length and the times of a real one, its *anchor*, drawn uniformly: lengths are a
bootstrap of the real ones (Efron, 1979), long tail included. Each of its rows is a real row: one of the anchor's own
with probability `OWN_SHARE`, else any row of the data set, so that items come up as often as they really do. An item
comes up once in a history, in the order of drawing. So tastes are as mixed and popularity as skewed as they really
are, but the order within a history means nothing.
"""

import numpy as np

from fedrec.core.seeding import rng_for
from fedrec.data.columns import bounds_of
from fedrec.data.interactions import Dataset, IntArray, Interactions, Users

OWN_SHARE = 0.5
"""Chance that a row is drawn from the anchor's own."""

BLOCK = 2048
"""Users drawn under one name; another size would be another population."""

DRAWS = 2
"""Rows drawn for each that a history still short of items has in all; most histories are complete at once."""


def synthetic_population(real: Dataset, users: int, seed: int) -> Dataset:
    """Return `users` made-up users of the real catalogue; the first of them are those of any smaller population.

    Args:
        real: A cleaned data set: every user has at least one row, and no item twice.
        users: How many, at least 1.
        seed: Seed of all draws.
    """
    rows = real.interactions
    blocks = -(-users // BLOCK)
    anchors = np.concatenate([_anchors(rows, seed, block) for block in range(blocks)])
    bounds = bounds_of(rows.lengths_of(anchors[:users]))
    item, time, value = (np.empty(bounds[-1], dtype=column.dtype) for column in (rows.item, rows.time, rows.value))
    for block, own in enumerate(np.split(anchors, blocks)):
        place = slice(bounds[block * BLOCK], bounds[min((block + 1) * BLOCK, users)])
        # the last block is drawn whole and then cut, so that a larger population goes on where this one ends
        cut = slice(place.stop - place.start)
        drawn = _histories(rows, own, rng_for(seed, "population", "rows", block))[cut]
        item[place], value[place] = rows.item[drawn], rows.value[drawn]
        time[place] = rows.time[_stretches(rows.bounds[own], bounds_of(rows.lengths_of(own)))[cut]]
    return Dataset(
        name=f"synthetic-{users}-from-{real.name}",
        interactions=Interactions(bounds, item, time, value, rows.num_items),
        catalogue=real.catalogue,
        users=Users([f"synthetic-{number}" for number in range(users)]),
        order=real.order,
    )


def _anchors(rows: Interactions, seed: int, block: int) -> IntArray:
    """Return the real users whom a block's users resemble, `[BLOCK]`."""
    return rng_for(seed, "population", "anchors", block).integers(rows.num_users, size=BLOCK)


def _histories(rows: Interactions, anchors: IntArray, rng: np.random.Generator) -> IntArray:
    """Return as many real rows for each anchor as it has itself, user by user, no item twice for the same user.

    A history that lacks items after one pass gets a second one, and so on: the anchor alone has enough of them.
    """
    wanted = rows.lengths_of(anchors)
    user, drawn = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    short = np.arange(len(anchors))
    while len(short):
        more = np.repeat(short, DRAWS * wanted[short])
        user, drawn = np.concatenate((user, more)), np.concatenate((drawn, _draw(rows, anchors[more], rng)))
        first = _first_of_each(user * rows.num_items + rows.item[drawn])
        user, drawn = user[first], drawn[first]
        short = np.flatnonzero(np.bincount(user, minlength=len(anchors)) < wanted)
    order = np.argsort(user, kind="stable")
    found = bounds_of(np.bincount(user, minlength=len(anchors)))
    return drawn[order][_stretches(found[:-1], bounds_of(wanted))]


def _draw(rows: Interactions, anchor: IntArray, rng: np.random.Generator) -> IntArray:
    """Return a row for each entry: one of its anchor's, or any."""
    own = rows.bounds[anchor] + (rng.random(len(anchor)) * rows.lengths_of(anchor)).astype(np.int64)
    return np.where(rng.random(len(anchor)) < OWN_SHARE, own, rng.integers(len(rows), size=len(anchor)))


def _first_of_each(keys: IntArray) -> IntArray:
    """Return where each key occurs first, ascending."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _stretches(starts: IntArray, bounds: IntArray) -> IntArray:
    """Return the numbers that count up from each start, as many as its stretch of `bounds` is long, end to end."""
    return np.repeat(starts - bounds[:-1], np.diff(bounds)) + np.arange(bounds[-1])
