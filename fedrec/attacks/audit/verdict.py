"""What an audit found, and whether the claim survived it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fedrec.attacks.audit.noise import NoiseCheck, NoiseTest
from fedrec.attacks.audit.one_run import LowerBound
from fedrec.core.errors import FedrecError
from fedrec.privacy.statement.statement import words

Access = Literal["white-box", "black-box"]

ROUNDING = 1e-3
"""By how much a clipped contribution may seem too long, in clip norms: parameters are single precision."""

_MOST_SHOWN = 3


class AuditError(FedrecError):
    """A privacy claim is false: the audit refuted it."""


@dataclass(frozen=True)
class Reach:
    """How far one user's data move a sum at most, measured: its clipped contribution.

    Attributes:
        clip_norms: The longest contribution that was seen, in clip norms: at most 1 where the claim is true.
        users: How many users' contributions were measured.
    """

    clip_norms: float
    users: int


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        claimed: Epsilon that the run claims for its most exposed client; inf without privacy.
        bound: What the guesses prove of any mechanism (Steinke et al. 2023).
        access: What the adversary saw.
        gaussian: What they prove of one whose trade-off curve is Gaussian (Mahloujifar et al. 2024); None without
            privacy.
        curve_refuted: Whether the guesses refute the trade-off curve that the ledger claims.
        noise: What the noise itself looked like; None where it was not seen.
        reach: How far one user moved a sum; None where it was not seen.
        unpaid: Rounds that are missing in the ledger.
        others: Further faults, in sentences.
        unseen: What was not looked at, in phrases.
    """

    claimed: float
    bound: LowerBound
    access: Access
    gaussian: LowerBound | None = None
    curve_refuted: bool = False
    noise: NoiseCheck | None = None
    reach: Reach | None = None
    unpaid: Sequence[int] = ()
    others: Sequence[str] = ()
    unseen: Sequence[str] = ()

    @property
    def most(self) -> float:
        """Largest epsilon that these canaries can refute, however well they are guessed."""
        return max(self.bound.most, 0.0 if self.gaussian is None else self.gaussian.most)

    @property
    def refuted(self) -> bool:
        """Whether the guesses alone refute the claim."""
        return self.curve_refuted or self.bound.epsilon > self.claimed

    @property
    def faults(self) -> list[str]:
        """Every reason why the claim is false, in sentences; none if it survived."""
        found = []
        if self.bound.epsilon > self.claimed:
            found.append(f"epsilon is at least {self.bound.epsilon:.3f}, and {words(self.claimed)} is claimed")
        if self.curve_refuted:
            found.append("the guesses refute the trade-off curve that the ledger claims")
        if self.reach is not None and self.reach.clip_norms > 1 + ROUNDING:
            found.append(f"one user moves a sum by {self.reach.clip_norms:.3g} times the clip norm: it passes the clip")
        found += [] if self.noise is None else self.noise.faults
        if self.unpaid:
            found.append(f"rounds {_some(self.unpaid)} are missing in the ledger")
        if self.others:
            found.append(_some(self.others, "; "))
        return found

    @property
    def text(self) -> str:
        """What was found, in a paragraph for people."""
        end = "The claim survives; that proves no more than that this audit did not refute it."
        if self.faults:
            end = f"The claim is false: {'; '.join(self.faults)}."
        return " ".join([*self._proof(), *self._looks(), *self._blind(), end])

    def _proof(self) -> list[str]:
        bound, sees = self.bound, "all that the trust model shows" if self.access == "white-box" else "the final model"
        guessed = self.gaussian or bound
        said = [
            f"An adversary who sees {sees} guessed {guessed.guesses} of {bound.canaries} canaries and was right "
            f"{guessed.right} times.",
            f"With {bound.confidence:.0%} confidence epsilon is at least {bound.epsilon:.3f} at delta "
            f"{bound.delta:.4g}, whatever the mechanism (at most {bound.most:.2f} can be proved so with "
            f"{bound.canaries} canaries).",
        ]
        if (curve := self.gaussian) is not None:
            said.append(
                f"The mechanism is not {curve.mu:.3f}-GDP: if its trade-off curve is Gaussian, epsilon is at least "
                f"{curve.epsilon:.3f} (at most {curve.most:.2f} can be proved)."
            )
        return [*said, f"Claimed is {words(self.claimed)}."]

    def _looks(self) -> list[str]:
        said, reach, noise = [], self.reach, self.noise
        if reach is not None and reach.users:
            said.append(f"The longest of {reach.users} contributions of one user is {reach.clip_norms:.4f} clip norms.")
        if noise is not None and not noise.faults:
            farthest = sorted(noise.groups, key=lambda test: test.p)[:1]
            said += [_sized(test) for test in (noise.updates, *farthest, *noise.others) if test.numbers]
            said.append(f"No two of {noise.draws} draws are alike (p = {noise.p_repeated:.2g}).")
        return said

    def _blind(self) -> list[str]:
        """What this audit could not have seen."""
        said = []
        if self.most < self.claimed < math.inf:
            said.append(
                f"By guesses alone these canaries refute no epsilon above {self.most:.2f}, so not this claim, however "
                "false: that takes more of them, or a look at the noise and at contributions."
            )
        return said + ([f"Not looked at: {', '.join(self.unseen)}."] if self.unseen else [])

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, and the text."""
        noise, curve = self.noise, self.gaussian
        return {
            "epsilon_claimed": self.claimed,
            "epsilon_at_least": self.bound.epsilon,
            "epsilon_at_least_if_gaussian": None if curve is None else curve.epsilon,
            "most_provable": self.bound.most,
            "most_provable_if_gaussian": None if curve is None else curve.most,
            "curve_refuted": self.curve_refuted,
            "access": self.access,
            "guesses": asdict(self.bound),
            "guesses_if_gaussian": None if curve is None else asdict(curve),
            "noise": None if noise is None else {**asdict(noise), "passes": noise.updates.passes},
            "contribution": None if self.reach is None else asdict(self.reach),
            "unseen": list(self.unseen),
            "faults": self.faults,
            "statement": self.text,
        }


def require_true(found: Mapping[str, Any]) -> None:
    """Do nothing if the claim survived, by what `Verdict.to_json` tells.

    Raises:
        AuditError: If it did not.
    """
    if found["faults"]:
        raise AuditError(str(found["statement"]))


def _sized(test: NoiseTest) -> str:
    low, high = test.passes
    return (
        f"The noise of {test.of} is {test.relative_deviation:.4f} times the claimed (p = {test.p:.2g}; of "
        f"{test.numbers} numbers anything between {low:.3f} and {high:.3f} passes)."
    )


def _some(things: Sequence[object], between: str = ", ") -> str:
    shown = between.join(str(thing) for thing in things[:_MOST_SHOWN])
    return shown if len(things) <= _MOST_SHOWN else f"{shown} and {len(things) - _MOST_SHOWN} more"
