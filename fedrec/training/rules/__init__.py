"""Client rules, one file each; each registers itself, so importing this package makes all of them known."""

import pkgutil
from importlib import import_module

from fedrec.training.rules.base import RULES

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["RULES"]
