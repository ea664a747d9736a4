"""What a result is put beside: a file a recommender; importing this package makes all controls known."""

import pkgutil
from importlib import import_module

from fedrec.evaluation.controls.base import CONTROLS, Control

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["CONTROLS", "Control"]
