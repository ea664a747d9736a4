"""What may be claimed where a trusted server clips and noises: the part of the statement about central trust."""

import math
from dataclasses import replace
from typing import Any

from fedrec.privacy.accounting.prices import Price, epsilon
from fedrec.privacy.plan import Extrapolation, PrivacyPlan


def numbers_of(plan: PrivacyPlan) -> dict[str, Any]:
    """Return what `summary.json` says of what only a server does; nothing where it does nothing of the kind."""
    found: dict[str, Any] = {}
    if plan.bands > 1:
        found["bands"] = plan.bands
    if plan.clipping is not None:
        found["adaptive_clip"] = {
            "quantile": plan.clipping.quantile,
            "noise_multiplier_of_updates": plan.clipping.noise_multiplier,
            "noise_on_bits": plan.clipping.bit_deviation,
        }
    if plan.filtered:
        found["filter_rounds"] = plan.rounds
    if plan.counts is not None:
        found["item_counts"] = {
            "noise_multiplier": plan.counts.release.noise_multiplier,
            "clip_norm": plan.counts.clip_norm,
        }
    if plan.extrapolation is not None:
        price = there(plan, plan.extrapolation)
        found["extrapolated"] = {"population": plan.extrapolation.population, "epsilon": price.pld}
    return found


def there(plan: PrivacyPlan, extrapolation: Extrapolation) -> Price:
    """Return what the whole run would claim in the population whose noise it adds."""
    releases = [replace(plan.release, noise_multiplier=extrapolation.noise_multiplier, count=plan.count)]
    if plan.counts is not None and extrapolation.counts is not None:
        releases.append(replace(plan.counts.release, noise_multiplier=extrapolation.counts))
    return epsilon(releases, plan.delta)


def noising(plan: PrivacyPlan) -> str:
    """Return who is trusted with what."""
    clip = f"L2 norm {plan.clip_norm:g}"
    if plan.clipping is not None:
        clip = (
            f"an L2 norm that starts at {plan.clip_norm:g} and follows the {plan.clipping.quantile:g} quantile of the "
            "updates' norms"
        )
    size = plan.noise_multiplier if plan.clipping is None else plan.clipping.noise_multiplier
    noise = "Gaussian noise" if plan.bands == 1 else f"Gaussian noise, correlated over {plan.bands} rounds,"
    unit = "user" if plan.own_client else "client"
    return (
        f"The server is trusted: it sees every {unit}'s update, clips each whole update to {clip}, adds {noise} of "
        f"{size:.4g} times that to the sum and divides by a number fixed beforehand; the claim holds against other "
        "clients and whoever sees the models."
    )


def events(plan: PrivacyPlan) -> str:
    """Return what is released beside the sums of updates, and how it is paid for; empty if nothing is."""
    said = []
    if plan.clipping is not None:
        said.append(
            "How many updates were short enough is released each round, with noise of "
            f"{plan.clipping.bit_deviation:.4g} on the sum of bits worth 1/2 each; updates and bits together cost what "
            f"noise of {plan.noise_multiplier:.4g} times the clip norm would."
        )
    if plan.counts is not None:
        said.append(
            "How many users have each item is released once before the first round, each client's vector clipped to L2 "
            f"norm {plan.counts.clip_norm:g}, with Gaussian noise of {plan.counts.release.noise_multiplier:.4g} times "
            "that; the ledger composes it with the rounds."
        )
    if plan.bands > 1:
        said.append(
            f"A client takes part in every {plan.bands}th round only, by its number; its updates then meet noise whose "
            f"correlation ends after {plan.bands} rounds, so that each such round counts as one Gaussian release."
        )
    return " ".join(said)


def filtering(plan: PrivacyPlan) -> str:
    """Return what each one's filter sees to."""
    one = "user" if plan.own_client else "client"
    return (
        f"Each {one} pays for the length of its own clipped updates: its filter shortens an update to what is left of "
        f"a budget of {plan.rounds} updates as long as the clip norm, and to nothing when that is spent (Feldman and "
        "Zrnic 2021; with Gaussian noise Koskela, Tobaben and Honkela 2023). So no number of rounds costs anybody more "
        f"than {plan.rounds} such updates, which is what the noise is for and what is claimed; what each {one} has "
        "spent, and who is done, follows from its data and is published nowhere."
    )


def extrapolated(plan: PrivacyPlan, extrapolation: Extrapolation) -> str:
    """Return the label of a run with another population's noise."""
    price = there(plan, extrapolation)
    told = "infinity" if math.isinf(price.pld) else f"{math.ceil(price.pld * 1000) / 1000:.3f}"
    return (
        f"EXTRAPOLATED: the server adds the noise that a mean over {extrapolation.population:,} units has, not over "
        f"this run's. Its utility stands for such a population, if updates there are alike, and epsilon would be "
        f"{told} there at the same delta; the epsilon stated first is what this run's own units have."
    )
