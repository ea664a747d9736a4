"""What the recommended lists are like, accuracy aside: a file a question; importing this package makes all known."""

import pkgutil
from importlib import import_module

from fedrec.metrics.beyond_accuracy.base import (
    LIST_METRICS,
    Counts,
    ListMetric,
    Lists,
    Vectors,
    directions_of,
    list_metrics,
)
from fedrec.metrics.beyond_accuracy.kinds import Kinds, kinds_of

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LIST_METRICS",
    "Counts",
    "Kinds",
    "ListMetric",
    "Lists",
    "Vectors",
    "directions_of",
    "kinds_of",
    "list_metrics",
]
