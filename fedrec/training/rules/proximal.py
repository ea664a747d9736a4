"""The proximal term of FedProx (Li et al. 2020, equation 2): clients are pulled towards the global adapter."""

from fedrec.training.rules.base import RULES, Adapter, LocalWork, Rule, Stack


@RULES.register("proximal")
class Proximal(Rule):
    """Adds the gradient of `mu / 2 * ||w - w_global||^2`, which depends on no example.

    Args:
        work: What every client does in a round.
        mu: Strength of the pull; 0 is plain training.
    """

    def __init__(self, work: LocalWork, mu: float) -> None:
        super().__init__(work)
        self.mu = mu

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Stack:
        """Return the global adapter."""
        del extras, kept
        return before

    def direction(self, gradient: Stack, parameters: Stack, state: Stack) -> Stack:
        """Return `g + mu * (w - w_global)`."""
        return {name: value + self.mu * (parameters[name] - state[name]) for name, value in gradient.items()}
