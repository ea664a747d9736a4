"""A rule in a message's config: its name under "rule", each of its options under "rule-<option>"."""

from collections.abc import Mapping

from fedrec.core.errors import FedrecError

PLAIN = "plain"
"""Not named in a message."""

RULE = "rule"
OPTION = "rule-"


def to_config(rule: str, options: Mapping[str, float]) -> dict[str, str | float]:
    """Return what a message says of its rule."""
    named = {} if rule == PLAIN else {RULE: rule}
    return {**named, **{f"{OPTION}{option}": float(value) for option, value in options.items()}}


def from_config(config: Mapping[str, object]) -> tuple[str, dict[str, float]]:
    """Return the rule's name and its options.

    Raises:
        FedrecError: If an option is no number.
    """
    options = {}
    for key, value in config.items():
        if key.startswith(OPTION):
            if isinstance(value, bool) or not isinstance(value, int | float):
                message = f"{key} is {value!r} in the message's config; a rule's options are numbers"
                raise FedrecError(message)
            options[key.removeprefix(OPTION)] = float(value)
    return str(config.get(RULE, PLAIN)), options
