"""Who may see what a run writes: every field has a class before it is written.

`RELEASED` values come out of a private mechanism, so the ledger has paid for them, or are made from such values and
public ones alone. `PUBLIC` values follow from what was never private: the experiment with its schedule, the catalogue,
the public users, and the held-out users where they consented. `PRIVATE` values follow from private data and nobody paid
for them: only a simulation sees them. A deployment could publish the first two and must not have the third.

An audit's folder (`fedrec.reporting.attacks.audit_directory`) is private as a whole.

A field is named by its path of keys, joined by dots; a class given to a path holds for all that lies below it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fedrec.core.errors import PrivacyError
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.validation import ValidationPlan


class Disclosure(StrEnum):
    """The class of a written value (see the module's docstring)."""

    RELEASED = "released"
    PUBLIC = "public"
    PRIVATE = "private"


RELEASED, PUBLIC, PRIVATE = Disclosure.RELEASED, Disclosure.PUBLIC, Disclosure.PRIVATE

Fields = Mapping[str, Disclosure]

_ROUND: Fields = {
    "round": PUBLIC,
    "loss": RELEASED,
    "validation": RELEASED,
    "rank_counts": RELEASED,
    "noise": PUBLIC,
    # What private validation users say, before the noise.
    "exact": PRIVATE,
    "epsilon": PUBLIC,
    "update_norm": RELEASED,
    # Which clients failed, and how many answered, may depend on their data.
    "replies": PRIVATE,
    "answers": PRIVATE,
    "rejected": PRIVATE,
    "rejections": PRIVATE,
    "upload_bytes": PRIVATE,
    # What users have spent follows from the lengths of their updates.
    "filter": PRIVATE,
    # The longer the cohort, the longer the round.
    "seconds": PRIVATE,
}

_SUMMARY: Fields = {
    "fedrec": PUBLIC,
    "name": PUBLIC,
    "fingerprint": PUBLIC,
    "parameters_sha256": RELEASED,
    "rounds": PUBLIC,
    "rounds_run": PUBLIC,
    "task": PUBLIC,
    "chosen_round": RELEASED,
    "popularity_weight": RELEASED,
    "popularity_of": PUBLIC,
    "linear_branch": RELEASED,
    "dataset.name": PUBLIC,
    "dataset.users": PUBLIC,
    "dataset.items": PUBLIC,
    "dataset.interactions": PRIVATE,
    "dataset.cleaning": PRIVATE,
    "dataset.terms": PUBLIC,
    "dataset.source": PUBLIC,
    "dataset.order": PUBLIC,
    "dataset.platforms.names": PUBLIC,
    "dataset.platforms.users": PUBLIC,
    "dataset.platforms.items": PUBLIC,
    "dataset.platforms.interactions": PRIVATE,
    "warnings": PUBLIC,
    "split.private": PUBLIC,
    "split.public": PUBLIC,
    "split.validation": PUBLIC,
    "split.test": PUBLIC,
    "split.excluded": PUBLIC,
    "federation.clients": PUBLIC,
    "federation.users_per_client": PRIVATE,
    "federation.partition": PUBLIC,
    "model": PUBLIC,
    "adapter": PUBLIC,
    "strategy": PUBLIC,
    "transforms": PUBLIC,
    "metrics": RELEASED,
    "intervals": RELEASED,
    "groups": RELEASED,
    "exact": PRIVATE,
    # Clients' own users, who are private, and what their clients keep to themselves.
    "later_items": PRIVATE,
    "privacy": PUBLIC,
    "communication.upload_bytes_per_client_round": PUBLIC,
    "communication.download_bytes_per_client_round": PUBLIC,
    "communication.upload_bytes_total": PRIVATE,
    "communication.download_bytes_total": PRIVATE,
    "filter": PRIVATE,
    "faults": PRIVATE,
    "timing": PRIVATE,
    "environment": PUBLIC,
}


_NO_VOLUNTEERS: Fields = {
    "split.excluded": PRIVATE,
    "metrics.validation": RELEASED,
    "metrics.test": PRIVATE,
    "intervals": PRIVATE,
    "groups": PRIVATE,
    "controls": PRIVATE,
}
"""Where validation users are private, nobody is a volunteer: what only exact scores of held-out users tell."""

_MEAN_BYTES = ("communication.upload_bytes_per_client_round", "communication.download_bytes_per_client_round")

_COUNTS = ("dataset.users", "dataset.platforms.users", "split", "federation.clients")
"""What tells, or narrows down, how many users there are."""


def round_fields(plan: PrivacyPlan) -> Fields:
    """Return the class of every field of a round's line."""
    asked = PUBLIC if plan.cohort_size_is_public else PRIVATE
    return {**_ROUND, "cohort": asked, "download_bytes": asked}


def summary_fields(
    controls: Mapping[str, Disclosure], plan: PrivacyPlan, validation: ValidationPlan, *, transforms: bool = False
) -> Fields:
    """Return the class of every field of a summary.

    Args:
        controls: The class of each control: what it was made from.
        plan: Says whether the number of users is public.
        validation: Says whether held-out users are volunteers.
        transforms: Whether what travels is made from changes, so that its size may tell of one. Under local trust
            that is paid for.
    """
    fields = {**_SUMMARY, **{f"controls.{name}": found for name, found in controls.items()}}
    if validation.private:
        del fields["metrics"]
        fields |= _NO_VOLUNTEERS
    if not plan.cohort_size_is_public:  # a mean over nobody would tell that all cohorts were empty
        fields |= dict.fromkeys(_MEAN_BYTES, PRIVATE)
    elif transforms and plan.trust == "central":
        fields[_MEAN_BYTES[0]] = PRIVATE
    return fields | dict.fromkeys(_COUNTS if plan.adjacency == "add-remove" else (), PRIVATE)


def published(values: Mapping[str, Any], fields: Fields, inside: str = "") -> dict[str, Any]:
    """Return what of `values` a deployment could publish: all but what is private.

    Args:
        values: Nested by keys; mappings that are left empty are left out.
        fields: The class of each path.
        inside: The path that `values` lie at, with a dot behind it; empty at the top.

    Raises:
        PrivacyError: If a value has no class: somebody must decide who may see it before it is written.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{inside}{key}"
        if path in fields:
            if fields[path] is not PRIVATE:
                found[key] = value
        elif isinstance(value, Mapping) and any(field.startswith(f"{path}.") for field in fields):
            if below := published(value, fields, f"{path}."):
                found[key] = below
        elif value != {}:
            message = f"the field {path} has no class; say in fedrec/privacy/disclosure.py who may see it"
            raise PrivacyError(message)
    return found
