"""How a control's settings are picked: by the run's validation users, of a few stated values; never by test users."""

from collections.abc import Callable, Mapping, Sequence

from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer

Grid = Mapping[str, Sequence[float]]
"""Setting -> values that are tried, the default first."""


def tuned(evaluator: Evaluator, name: str, grid: Grid, scorer_of: Callable[..., Scorer]) -> dict[str, float]:
    """Return the settings that validation users like best: the headline's metric, averaged over targets.

    One setting after the other, in the order of the grid, the others at the best so far or their default; the first of
    equals is kept. Without validation users, or where they are private and may not be looked at, all stay at their
    default. An evaluator that is asked again for the same control remembers.

    Args:
        evaluator: Asks the validation users.
        name: Of the control.
        grid: What is tried, at least one value of each setting.
        scorer_of: Makes a scorer of settings, by name.
    """
    if name not in evaluator.tuned:
        evaluator.tuned[name] = _searched(evaluator, grid, scorer_of)
    return evaluator.tuned[name]


def in_words(evaluator: Evaluator, settings: Mapping[str, float], grid: Grid) -> str:
    """Return settings and how they were picked, for a control's note."""
    told = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    if not evaluator.can_tune:
        return f"{told} (fixed)"
    tried = "; ".join(f"{name} {', '.join(f'{value:g}' for value in sorted(values))}" for name, values in grid.items())
    return f"{told} (by validation users, of {tried})"


def _searched(evaluator: Evaluator, grid: Grid, scorer_of: Callable[..., Scorer]) -> dict[str, float]:
    best = {setting: values[0] for setting, values in grid.items()}
    if not evaluator.can_tune:
        return best
    gain = evaluator.validation_gain(scorer_of(**best))
    for setting, values in grid.items():
        for value in values[1:]:
            other = {**best, setting: value}
            if (found := evaluator.validation_gain(scorer_of(**other))) > gain:
                gain, best = found, other
    return best
