"""Lists put together anew from a finished run's scores: a file a method; importing this package makes all known."""

import pkgutil
from importlib import import_module

from fedrec.evaluation.reranking.base import RERANKERS, Reranker

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["RERANKERS", "Reranker"]
