"""Plain local training (McMahan et al. 2017): nothing is added to the gradient, sent or kept."""

from fedrec.training.rules.base import RULES, Rule


@RULES.register("plain")
class Plain(Rule):
    """The rule of every strategy that names none."""
