"""What may be claimed where the server learns sums alone: the part of the statement about secure aggregation."""

from typing import Any

from fedrec.privacy.accounting.prices import Mechanism
from fedrec.privacy.accounting.skellam import LEAST_RESOLUTION
from fedrec.privacy.secagg.agreement import Agreement

UNCOVERED = (
    "Nor are covered: a server that lies about public keys, or about who is left; clients that lie about their own "
    "numbers; and a round whose sum was opened and that is asked for again, after a crash, with other clients left."
)

_ROUNDING: dict[Mechanism, str] = {
    "gaussian": "rounds it to a grid that is fine against the noise",
    "skellam": f"turns it by a public rotation, rounds it at random to a grid of at least {LEAST_RESOLUTION:g} "
    "steps in that norm",
}


def numbers_of(agreement: Agreement) -> dict[str, Any]:
    """Return what `summary.json` says of it."""
    return {
        "cohort": agreement.cohort,
        "threshold": agreement.threshold,
        "colluding": agreement.colluding,
        "neighbours": agreement.cohort - 1 if agreement.neighbours is None else agreement.neighbours,
        "bits": agreement.bits,
        "noise": agreement.noise,
        "noise_share": agreement.share,
        "graph_failure": agreement.failure,
        "masked_rounds": agreement.masked_rounds,
    }


def summing(agreement: Agreement) -> str:
    """Return who is trusted with what."""
    fewest, clip_norm = agreement.threshold, agreement.clip_norm
    return (
        "The server is trusted to follow the protocol, and with no client's update (semi-honest): each client clips "
        f"its whole update to L2 norm {clip_norm:g}, {_ROUNDING[agreement.noise]}, adds its share "
        "of the noise and hides the integers under masks, so that the server learns their sum modulo "
        f"2^{agreement.bits} over at least {fewest} of a round's {agreement.cohort} clients, or nothing. The shares "
        f"are sized for the fewest: {_counted(agreement)} make {agreement.noise.capitalize()} noise of "
        f"{agreement.noise_multiplier:.4g} times the norm, and more of them more. {_against(agreement)}"
    )


def masks(agreement: Agreement) -> str:
    """Return whom masks tie together, and in how many rounds a simulation really computed them."""
    masked, rounds = agreement.masked_rounds, agreement.rounds
    if masked >= rounds:
        return f"{_graph(agreement)}This is a simulation, and it computes the masks of all {rounds} rounds."
    which = {0: "none", 1: "the first"}.get(masked, f"the first {masked}")
    return (
        f"{_graph(agreement)}This is a simulation: it computes the masks of {which} of {rounds} rounds; in the others "
        "the same integers, noise included, are added without masks, which gives the same sum."
    )


def _graph(agreement: Agreement) -> str:
    if agreement.neighbours is None:
        return ""
    return (
        f"Each client masks with {agreement.neighbours} others, drawn at random. That nearly all of them are gone or "
        "colluding for somebody, so that a sum may be opened for fewer clients, has a chance of at most "
        f"{agreement.untied:.2g} a round, {agreement.failure:.2g} over {agreement.rounds} rounds, part of delta. "
    )


def _counted(agreement: Agreement) -> str:
    if not agreement.colluding:
        return f"those of {agreement.threshold} clients"
    return f"those of {agreement.threshold} clients, less {agreement.colluding} that may be known,"


def _against(agreement: Agreement) -> str:
    if not agreement.colluding:
        return (
            "The claim holds against the server by itself and whoever sees the models, but not against a client of the "
            "same round, who knows its own share."
        )
    helpers = "any client" if agreement.colluding == 1 else f"up to {agreement.colluding} clients"
    return (
        f"The claim holds against the server together with {helpers} of a round, against these alone, and against "
        "whoever sees the models."
    )
