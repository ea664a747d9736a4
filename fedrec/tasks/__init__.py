"""What is learnt and how it is judged: a file a task; importing this package makes all of them known."""

import pkgutil
from importlib import import_module

from fedrec.tasks.base import TASKS, Batch, Task, open_task

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["TASKS", "Batch", "Task", "open_task"]
