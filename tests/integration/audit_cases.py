"""Audited mechanisms, honest and broken: what the tests go through, and the table in docs/privacy.md.

`python -m tests.integration.audit_cases` prints the table; it takes a minute or two.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from fedrec.attacks.audit.verdict import Verdict
from simulations.attacks.audit import Audit
from tests.integration import faults
from tests.integration.audits import (
    ADAPTIVE,
    BANDED,
    BIAS,
    CENTRAL,
    COUNTS,
    FILTERED,
    HALF,
    LOCAL,
    SECRET,
    SHARDS,
    SHUFFLED,
    Audits,
    drawn,
    skellam,
)

BITS = "moves the sum of clipping bits"
LESS, AGAIN = "less than chance allows", "one was used again"
CLIP = "times the clip norm: it passes the clip"
FILTER = "are paid for: it passes its filter"
TOGETHER = "some users are clipped together"
GUESSES = "the guesses refute the trade-off curve"
UNPAID = "are missing in the ledger"
NOT_SEEN = "not seen"
MANY = Audit(canaries=1000)
FINAL = Audit(access="black-box")
"""Of messages that nobody can tell apart the adversary has the final model alone."""
CHEAP = {**CENTRAL, "noise_multiplier": 4.0, "adaptive_clip": {"quantile": 0.5, "noise": 0.02}}
"""Bits that take a large part of the budget."""
POISSON = {"federation": {"participation": 0.25, "sampling": "poisson", "min_replies": 0}}
RARE = {"rounds": 10, "federation": {"participation": 0.05, "sampling": "poisson", "min_replies": 0}}

MIXED = {"rounds": 20, "federation": {"min_replies": 30}, **BIAS}
"""Every client sends one message a round; a shuffler mixes at least those of the thirty users."""


def no_fault(patch: pytest.MonkeyPatch) -> None:
    """Leave the code as it is."""


@dataclass(frozen=True, eq=False)
class Case:
    """A mechanism that is audited.

    Attributes:
        name: For people.
        claim: Its privacy section, but for epsilon.
        changes: What else the experiment says.
        epsilon: Of the claim.
        fault: What is broken.
        words: Of the check that catches it; "" where nothing is broken.
        sharded: Whether clients hold many users.
        asked: How it is audited.
        longest: Contribution of an honest canary in clip norms; below 1 where rounding needs room, None if not seen.
    """

    name: str
    claim: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    epsilon: float = 8.0
    fault: Callable[[pytest.MonkeyPatch], None] = no_fault
    words: str = ""
    sharded: bool = False
    asked: Audit = field(default_factory=Audit)
    longest: float | None = 1.0

    def audit(self, own: Audits, sharded: Audits) -> Verdict:
        """Return the verdict, with whatever is patched."""
        audits = sharded if self.sharded else own
        return audits.of({**self.claim, "epsilon": self.epsilon}, self.asked, **self.changes)


HONEST = [
    Case("local", LOCAL),
    Case("local, epsilon 1", LOCAL, epsilon=1.0),
    Case("local, clients of many users", LOCAL, sharded=True),
    Case("secure aggregation", SECRET),
    Case("central", CENTRAL),
    Case("central, epsilon 1", CENTRAL, epsilon=1.0),
    Case("central", CENTRAL, BIAS, asked=MANY),
    Case("central, secret cohorts", CENTRAL, POISSON),
    Case("central, correlated noise", BANDED, HALF),
    Case("central, adaptive clip", ADAPTIVE),
    Case("central, item counts", COUNTS, BIAS),
    Case("central, filters", FILTERED),
]


def _broken(name: str, claim: dict[str, Any], words: str, fault: faults.Fault, **more: Any) -> Case:
    return Case(name, claim, fault=fault, words=words, **more)


def _unsampled(name: str, changes: dict[str, Any]) -> Case:
    """Return ten rounds in which everybody is, against a claim that counts on a secret draw."""
    return _broken(name, CENTRAL, GUESSES, faults.cohorts_of_everybody, changes={**changes, "rounds": 10}, epsilon=1.0)


BROKEN = [
    _broken("local: no noise", LOCAL, LESS, faults.no_noise_of_clients),
    _broken("local: noise at .97", LOCAL, LESS, faults.noise_of_clients_at_97_in_100),
    _broken("local: one group without noise", LOCAL, LESS, faults.a_group_of_clients_parameters_without_noise),
    _broken("local: one seed for all rounds", LOCAL, AGAIN, faults.one_seed_for_all_rounds_of_a_client),
    _broken("local: one seed for all clients", LOCAL, AGAIN, faults.one_seed_for_all_clients),
    _broken("local: no clip", LOCAL, CLIP, faults.no_clip_of_clients),
    _broken("local: clip doubled", LOCAL, CLIP, faults.clip_of_clients_doubled),
    _broken("shards: no noise", LOCAL, LESS, faults.no_noise_of_clients, sharded=True),
    _broken("shards: no clip", LOCAL, CLIP, faults.no_clip_of_clients, sharded=True),
    _broken("shards: clip per block of 16", LOCAL, TOGETHER, faults.blocks_of_sixteen_users_of_a_client, sharded=True),
    _broken("local: weights by examples", LOCAL, "says its weight", faults.clients_that_tell_their_examples),
    _broken("central: no noise", CENTRAL, LESS, faults.no_noise_of_the_server),
    _broken("central: no noise", CENTRAL, GUESSES, faults.no_noise_of_the_server, asked=MANY, changes=BIAS),
    _broken("central: noise at .97", CENTRAL, LESS, faults.noise_of_the_server_at_97_in_100),
    _broken("central: one group without noise", CENTRAL, LESS, faults.a_group_of_parameters_without_noise),
    _broken("central: one seed for all rounds", CENTRAL, AGAIN, faults.one_seed_for_all_rounds_of_the_server),
    _broken("central: no clip", CENTRAL, CLIP, faults.no_clip_of_the_server),
    _broken("central: clip doubled", CENTRAL, CLIP, faults.clip_of_the_server_doubled),
    _broken("central: clip per block of 16", CENTRAL, CLIP, faults.blocks_of_sixteen_users_of_the_server),
    _broken("central: weights by examples", CENTRAL, CLIP, faults.weights_by_examples),
    _broken("central: cohorts not sampled", CENTRAL, GUESSES, faults.cohorts_of_everybody, changes=RARE, epsilon=1.0),
    _broken("adaptive: bits that nobody paid for", CHEAP, LESS, faults.bits_that_nobody_paid_for, epsilon=math.inf),
    _broken("adaptive: bits of clients without data", ADAPTIVE, BITS, faults.bits_of_clients_without_data),
    _broken("adaptive: bits without noise", ADAPTIVE, LESS, faults.clip_bits_without_noise),
    _broken("item counts without noise", COUNTS, LESS, faults.item_counts_without_noise, changes=BIAS),
    _broken("correlated: half the noise", BANDED, LESS, faults.half_the_noise_of_the_server, changes=HALF),
    _broken("correlated: wrong factor", BANDED, "the noise of", faults.noise_that_takes_back_too_much, changes=HALF),
    _broken("filters: nobody is stopped", FILTERED, FILTER, faults.filters_that_stop_nobody),
    _broken("filters: all pay the mean", FILTERED, FILTER, faults.filters_that_charge_the_mean_of_all),
    _broken("secret sum: no noise", SECRET, LESS, faults.no_share_of_the_noise),
    _broken("secret sum: half a share", SECRET, LESS, faults.half_a_share_of_the_noise),
    _broken(
        "fixed size: one not charged", CENTRAL, UNPAID, faults.a_client_that_is_not_charged, changes=drawn("fixed")
    ),
    _broken(
        "without replacement: not sampled",
        CENTRAL,
        GUESSES,
        faults.cohorts_of_everybody,
        changes={**drawn("without-replacement", 0.05), "rounds": 10},
        epsilon=1.0,
    ),
    _broken(
        "balls in bins: not sampled",
        CENTRAL,
        GUESSES,
        faults.cohorts_of_everybody,
        changes={**drawn("balls-in-bins", 0.1), "rounds": 10},
        epsilon=1.0,
    ),
    _broken("Skellam, 12 bits: half a share", skellam(12), LESS, faults.half_a_share_of_the_skellam_noise),
    _broken("Skellam, 10 bits: half a share", skellam(10), LESS, faults.half_a_share_of_the_skellam_noise),
    _broken("Skellam, 10 bits: noise at .97", skellam(10), LESS, faults.skellam_noise_at_97_in_100),
    _broken(
        "shuffled: no noise", SHUFFLED, GUESSES, faults.no_noise_of_clients, changes=MIXED, epsilon=1.0, asked=FINAL
    ),
]


def main() -> None:
    """Print both tables as Markdown."""
    cache = Path(os.environ.get("FEDREC_CACHE") or Path.home() / ".cache" / "fedrec")
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        both = Audits(Path(first), cache), Audits(Path(second), cache, **SHARDS)
        print("| honest mechanism | claim | any mechanism: bound (most) | Gaussian: bound (most) | longest | noise |")
        print("|---|---|---|---|---|---|")
        for case in HONEST:
            print(_honest(case, case.audit(*both)))
        print("\n| broken mechanism | claim | any (most) | Gaussian (most) | caught by |\n|---|---|---|---|---|")
        for case in BROKEN:
            with pytest.MonkeyPatch.context() as patch:
                case.fault(patch)
                print(_caught(case, case.audit(*both)))


def _bounds(case: Case, verdict: Verdict) -> str:
    any_, curve = verdict.bound, verdict.gaussian
    shown = [f"{bound.epsilon:.2f} ({bound.most:.2f})" for bound in (any_, curve) if bound is not None]
    name = f"{case.name}, {verdict.bound.canaries} canaries" if case.asked is MANY else case.name
    return f"| {name} | {verdict.claimed:.3g} | {' | '.join(shown)} |"


def _honest(case: Case, verdict: Verdict) -> str:
    reach, noise = verdict.reach, verdict.noise
    sizes = ", ".join(f"{test.relative_deviation:.3f}" for test in (noise.updates, *noise.others)) if noise else ""
    longest = f"{reach.clip_norms:.3f}" if reach else NOT_SEEN
    return f"{_bounds(case, verdict)} {longest} | {sizes or NOT_SEEN}{_failed(verdict)} |"


def _caught(case: Case, verdict: Verdict) -> str:
    checks = {
        GUESSES: "guesses",
        CLIP: "contribution",
        TOGETHER: "clients of many users",
        BITS: "bits",
        FILTER: "filters",
        "the noise of": "size of the noise",
        AGAIN: "repeated noise",
        "says its weight": "books",
        UNPAID: "books",
    }
    said = "; ".join(verdict.faults)
    return f"{_bounds(case, verdict)} {', '.join(name for words, name in checks.items() if words in said)} |"


def _failed(verdict: Verdict) -> str:
    return f" FALSE: {verdict.faults}" if verdict.faults else ""


if __name__ == "__main__":
    main()
