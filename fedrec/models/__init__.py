"""Recommenders, a file each, and the adapters that travel; importing this package makes all models known."""

import pkgutil
from importlib import import_module

from fedrec.models.recommender import MODELS

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["MODELS"]
