"""What an experiment can name: every registry, found when it is asked for, since some take seconds to import."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedrec.core.registry import Registry
from fedrec.experiment.layers import scenario_files

SCENARIOS = Path(__file__).parent / "scenarios"


def _strategies() -> Registry[Any]:
    from server.strategies import STRATEGIES

    return STRATEGIES


def _models() -> Registry[Any]:
    from fedrec.models import MODELS

    return MODELS


def _tasks() -> Registry[Any]:
    from fedrec.tasks import TASKS

    return TASKS


def _adapters() -> Registry[Any]:
    from fedrec.models.adapters import ADAPTERS

    return ADAPTERS


def _transforms() -> Registry[Any]:
    from fedrec.transforms import TRANSFORMS

    return TRANSFORMS


def _datasets() -> Registry[Any]:
    import fedrec.data.load  # noqa: F401 - registers the sources
    from fedrec.data.sources.base import DATASETS

    return DATASETS


def _partitions() -> Registry[Any]:
    from fedrec.data.federation import PARTITIONS

    return PARTITIONS


def _controls() -> Registry[Any]:
    from fedrec.evaluation.controls import CONTROLS

    return CONTROLS


PLUGINS: Mapping[str, Callable[[], Registry[Any]]] = {
    "strategies": _strategies,
    "models": _models,
    "tasks": _tasks,
    "adapters": _adapters,
    "transforms": _transforms,
    "datasets": _datasets,
    "partitions": _partitions,
    "controls": _controls,
}


NAMED: Mapping[str, str] = {
    "data.name": "datasets",
    "data.synthetic.based_on": "datasets",
    "platforms.*.name": "datasets",
    "platforms.*.synthetic.based_on": "datasets",
    "federation.partition": "partitions",
    "model.name": "models",
    "task.name": "tasks",
    "adapter.name": "adapters",
    "strategy.name": "strategies",
    "transforms.name": "transforms",
    "evaluation.controls": "controls",
}
"""Keys of an experiment that name a plug-in, and its kind."""


def registries_of(*keys: str) -> dict[str, Registry[Any]]:
    """Return the registry of each key of `NAMED`; of all, if none is given."""
    return {key: PLUGINS[NAMED[key]]() for key in keys or NAMED}


def described(kind: str) -> dict[str, str]:
    """Return the names of one kind of `PLUGINS`, or of the scenarios, each with one line about it."""
    if kind == "scenarios":
        return {name: _first_comment(path) for name, path in scenario_files(SCENARIOS).items()}
    registry = PLUGINS[kind]()
    return {name: _line_about(registry.get(name)) for name in registry.names()}


def _line_about(entry: Any) -> str:
    """Return the summary that an entry has, or the first line of its docstring."""
    summary = getattr(entry, "summary", None)
    return summary if isinstance(summary, str) else (inspect.getdoc(entry) or "").partition("\n")[0]


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
