"""How a round of secure aggregation fails: closed, with nothing opened."""

from fedrec.core.errors import FederationError


class SecureAggregationError(FederationError):
    """A round of secure aggregation cannot go on."""


class TooFewClientsError(SecureAggregationError):
    """Fewer clients are left than may be summed, or than can rebuild a secret."""


class TamperedError(SecureAggregationError):
    """A message is altered, repeated, or not for its receiver."""


class OutOfTurnError(SecureAggregationError):
    """A client was asked for a step that it has taken already, or not reached."""
