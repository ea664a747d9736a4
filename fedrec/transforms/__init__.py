"""What a client's change goes through on its way to the server; a file each, and each registers itself."""

import pkgutil
from importlib import import_module

from fedrec.transforms.base import TRANSFORMS

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["TRANSFORMS"]
