"""Engines say where client work runs, never what it is; importing this package makes all of them known."""

from simulations.engine import cohort_engines, flower
from simulations.engine.base import ENGINES

__all__ = ["ENGINES", "cohort_engines", "flower"]
