"""What an audit found, and whether the claim survived it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fedrec.errors import FedrecError
from fedrec.privacy.audit.noise import NoiseCheck
from fedrec.privacy.audit.one_run import LowerBound
from fedrec.privacy.statement import words

Access = Literal["white-box", "black-box"]

_MOST_SHOWN = 3


class AuditError(FedrecError):
    """A privacy claim is false: the audit refuted it."""


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        claimed: Epsilon that the run claims for its most exposed client; inf without privacy.
        bound: What the guesses prove.
        access: What the adversary saw.
        noise: What the noise itself looked like; None where it was not seen.
        unpaid: Rounds that are missing in the ledger.
        others: Further faults, in sentences.
    """

    claimed: float
    bound: LowerBound
    access: Access
    noise: NoiseCheck | None = None
    unpaid: Sequence[int] = ()
    others: Sequence[str] = ()

    @property
    def faults(self) -> list[str]:
        """Every reason why the claim is false, in sentences; none if it survived."""
        found = [] if self.noise is None else list(self.noise.faults)
        if self.bound.epsilon > self.claimed:
            found.insert(0, f"epsilon is at least {self.bound.epsilon:.3f}, and {words(self.claimed)} is claimed")
        if self.unpaid:
            found.append(f"rounds {_some(self.unpaid)} are missing in the ledger")
        if self.others:
            found.append(_some(self.others, "; "))
        return found

    @property
    def text(self) -> str:
        """What was found, in a paragraph for people."""
        bound, sees = self.bound, "all that the trust model shows" if self.access == "white-box" else "the final model"
        proof = (
            f"An adversary who sees {sees} guessed {bound.guesses} of {bound.canaries} canaries and was right "
            f"{bound.right} times: with {bound.confidence:.0%} confidence epsilon is at least {bound.epsilon:.3f} at "
            f"delta {bound.delta:.4g}. Claimed is {words(self.claimed)}."
        )
        seen = self.noise
        if seen is not None and not math.isnan(seen.relative_deviation):
            proof += (
                f" The noise of {seen.draws} releases has {seen.relative_deviation:.4f} times the claimed deviation "
                f"(p = {seen.p_scale:.2g}), and no two of them are alike (p = {seen.p_repeated:.2g})."
                if not seen.faults
                else ""
            )
        end = "The claim survives; that proves no more than that this audit did not refute it."
        return f"{proof} {end}" if not self.faults else f"{proof} The claim is false: {'; '.join(self.faults)}."

    def require_true(self) -> None:
        """Do nothing if the claim survived.

        Raises:
            AuditError: If it did not.
        """
        if self.faults:
            raise AuditError(self.text)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, and the text."""
        return {
            "epsilon_claimed": self.claimed,
            "epsilon_at_least": self.bound.epsilon,
            "access": self.access,
            "guesses": asdict(self.bound),
            "noise": None if self.noise is None else asdict(self.noise),
            "faults": self.faults,
            "statement": self.text,
        }


def _some(things: Sequence[object], between: str = ", ") -> str:
    shown = between.join(str(thing) for thing in things[:_MOST_SHOWN])
    return shown if len(things) <= _MOST_SHOWN else f"{shown} and {len(things) - _MOST_SHOWN} more"
