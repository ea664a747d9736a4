"""Training rows in windows of time, for what happens as data arrive."""

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.split import Cases


def window_ends(times: IntArray, windows: int) -> IntArray:
    """Return when each window ends, `[windows]`, ascending: all have as many rows as equal times allow.

    A row is of the first window that ends after its time, so that rows of one time are of one window.

    Args:
        times: Of all rows.
        windows: How many, at least 1.

    Raises:
        ConfigError: If there are too few different times for so many windows.
    """
    places = -(-len(times) * np.arange(1, windows + 1) // windows) - 1
    ends = np.sort(times)[places] + 1 if len(times) else np.empty(0, dtype=np.int64)
    if len(np.unique(ends)) < windows:
        message = (
            f"{windows} windows: {len(times)} interactions have {len(np.unique(times))} different times, and no "
            "window may be empty; ask for fewer windows"
        )
        raise ConfigError(message)
    return np.asarray(ends, dtype=np.int64)


def rows_between(rows: Interactions, start: float, end: float) -> Interactions:
    """Return the rows from `start` on and before `end`; indices and counts stay those of the whole."""
    return rows.where((rows.time >= start) & (rows.time < end))


def together(first: Interactions, second: Interactions) -> Interactions:
    """Return the rows of two tables of the same users and items, a user's by time, of equal times the first's first."""
    return Interactions.from_rows(
        np.concatenate((first.user, second.user)),
        np.concatenate((first.item, second.item)),
        np.concatenate((first.time, second.time)),
        np.concatenate((first.value, second.value)),
        first.num_users,
        first.num_items,
    )


def coming_cases(users: IntArray, before: Interactions, within: Interactions) -> Cases:
    """Return the users whose rows in a window are to be found after all their rows before it.

    Args:
        users: Whose rows they are.
        before: What arrived before the window.
        within: What arrives in it.

    Returns:
        Cases of users with rows in the window and before it; `excluded` counts those without any before.
    """
    arriving = users[within.lengths_of(users) > 0]
    known = arriving[before.lengths_of(arriving) > 0]
    return Cases(
        name="coming",
        words="what comes in the next window",
        users=known,
        histories=[before.items_of(int(user)) for user in known],
        targets=[within.items_of(int(user)) for user in known],
        excluded=len(arriving) - len(known),
        history_values=[before.values_of(int(user)) for user in known],
        target_values=[within.values_of(int(user)) for user in known],
    )
