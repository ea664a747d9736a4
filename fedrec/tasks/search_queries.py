"""What items are searched with: short texts made from titles and attributes, because no data set here has typed ones.

A query that is a whole title finds its item trivially, so none is. Of a title's words half are drawn, rounded down, and
never all; of a title of a single word there is none. Words that an attribute has, too (a year, a genre) count as the
attribute's. Of all attributes one value is drawn, or two where the query has no word of the title. Draws are named by
the item: all recommenders, seeds and splits are asked the same.

The last query of each item is for judging, and none of the others, which training draws from, is the same text. Where
no other can be made, training asks with "", which says nothing. Other items may have the same query, which then fits
several.
"""

import re
from collections.abc import Sequence

import numpy as np

from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Catalogue, IntArray

TRAINED = 3
"""Queries of an item that training draws from."""
EACH = TRAINED + 1
"""Queries of an item."""

SOURCES = ("both", "title", "attributes")
TRIES = 8
"""Draws of a training query, before the one that is judged counts as the only one that can be made."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def query_texts(catalogue: Catalogue, source: str) -> list[str]:
    """Return the queries of each item, `[items * EACH]`; those of an item lie side by side, the judged one last.

    Args:
        catalogue: Titles and attributes; values of an attribute may have "|" between them.
        source: What queries are made from, one of `SOURCES`.
    """
    texts: list[str] = []
    for place, (name, title) in enumerate(zip(catalogue.ids, catalogue.titles, strict=True)):
        cells = [column[place] for column in catalogue.attributes.values()]
        values = [value.strip().lower() for cell in cells for value in cell.split("|") if value.strip()]
        known = {word for value in values for word in _WORD.findall(value)}
        words = [word for word in dict.fromkeys(_WORD.findall(title.lower())) if word not in known]
        texts += _queries(words if source != "attributes" else [], values if source != "title" else [], name)
    return texts


def trained_queries(items: IntArray, rng: np.random.Generator) -> IntArray:
    """Return one of the queries for training of each item, drawn, as its place among all queries."""
    return items * EACH + rng.integers(TRAINED, size=len(items))


def judged_queries(items: IntArray) -> IntArray:
    """Return the query of each item that recommenders are judged with, as its place among all queries."""
    return items * EACH + TRAINED


def _queries(words: Sequence[str], values: Sequence[str], name: str) -> list[str]:
    judged = _query(words, values, rng_for(0, "queries", name, "judged"))
    rng, trained = rng_for(0, "queries", name), []
    for _ in range(TRAINED):
        drawn = (_query(words, values, rng) for _ in range(TRIES))
        trained.append(next((text for text in drawn if text != judged), ""))
    return [*trained, judged]


def _query(words: Sequence[str], values: Sequence[str], rng: np.random.Generator) -> str:
    of_title = _some(words, len(words) // 2, rng)
    return " ".join((*of_title, *_some(values, 1 if of_title else 2, rng)))


def _some(words: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Return at most so many of the words, drawn, in their order."""
    return [words[place] for place in sorted(rng.permutation(len(words))[:count])]
