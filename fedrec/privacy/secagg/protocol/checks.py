"""What client and server both insist on before a round goes on: enough clients, known ones, each once."""

from collections.abc import Sequence

from fedrec.privacy.secagg.errors import TamperedError, TooFewClientsError
from fedrec.privacy.secagg.protocol.messages import KEY_BYTES, Roster
from fedrec.privacy.secagg.terms import Terms


def check_enough(terms: Terms, clients: int, what: str) -> None:
    """Refuse to go on with fewer clients than the threshold.

    Raises:
        TooFewClientsError: Saying what they did.
    """
    if clients < terms.threshold:
        message = (
            f"round {terms.round}: {clients} of {terms.cohort} clients {what}, but no sum of fewer than "
            f"{terms.threshold} is opened; the round is lost"
        )
        raise TooFewClientsError(message)


def check_known(clients: Sequence[int], known: Sequence[int], what: str) -> None:
    """Refuse clients that are unknown, or named twice.

    Raises:
        TamperedError: Naming them.
    """
    strange = sorted(set(clients) - set(known))
    if strange or len(set(clients)) < len(clients):
        message = f"clients that {what} must be known and named once, got {strange or 'a client twice'}"
        raise TamperedError(message)


def check_roster(terms: Terms, roster: Roster) -> None:
    """Refuse a roster that is too short or too long, or has a client or a key twice.

    Raises:
        TooFewClientsError: If it is shorter than the threshold.
        TamperedError: For everything else.
    """
    clients = [keys.client for keys in roster]
    check_enough(terms, len(clients), "advertised keys")
    secrets = [key for keys in roster for key in (keys.channel, keys.mask, keys.self_tag)]
    if len(clients) > terms.cohort or clients != sorted(set(clients)) or len(set(secrets)) < len(secrets):
        message = (
            f"a roster names at most {terms.cohort} clients, by number, each once with keys of its own; got {clients}"
        )
        raise TamperedError(message)
    if wrong := sorted({len(key) for key in secrets} - {KEY_BYTES}):
        message = f"a public key has {KEY_BYTES} bytes, got {wrong}"
        raise TamperedError(message)


def check_sharers(terms: Terms, clients: Sequence[int], sharers: Sequence[int], own: int) -> None:
    """Refuse a list of sharers that is too short, has clients that are not in the cohort, or lacks the client itself.

    Raises:
        TooFewClientsError: If it is shorter than the threshold.
        TamperedError: For everything else.
    """
    check_known(sharers, clients, "shared")
    check_enough(terms, len(sharers), "shared their secrets")
    _check_present(sharers, own, "shared")


def check_survivors(
    terms: Terms, clients: tuple[int, ...], sharers: Sequence[int], survivors: Sequence[int], own: int | None = None
) -> None:
    """Refuse survivors that are too few, did not share, lack the client itself, or that masks do not tie together.

    Raises:
        TooFewClientsError: If they are fewer than the threshold, or fall apart.
        TamperedError: For everything else.
    """
    check_known(survivors, sharers, "sent a masked vector")
    check_enough(terms, len(survivors), "sent a masked vector")
    if own is not None:
        _check_present(survivors, own, "sent a masked vector")
    if not terms.ring(clients).connected(survivors):
        message = (
            f"round {terms.round}: the {len(survivors)} survivors fall apart into groups that no mask ties together, "
            "so each group's sum could be read; the round is lost; set more neighbours"
        )
        raise TooFewClientsError(message)


def check_rebuilds(terms: Terms, client: int, found: int, holders: int) -> None:
    """Refuse to go on where fewer shares of a client's secret were revealed than rebuild it.

    Raises:
        TooFewClientsError: Saying how many are needed.
    """
    needed = terms.shares_needed(holders)
    if found < needed:
        message = (
            f"round {terms.round}: {found} of {holders} clients revealed shares of client {client}'s "
            f"secret, but {needed} rebuild it; the round is lost"
        )
        raise TooFewClientsError(message)


def check_opens(terms: Terms, clients: tuple[int, ...], survivors: Sequence[int]) -> None:
    """Refuse survivors whose sum the protocol would not open if all clients shared and all survivors revealed.

    For simulations that leave out the masks: they lose the same rounds.

    Raises:
        TooFewClientsError: If they are too few, fall apart, or are too few of one client's neighbours.
        TamperedError: If there are more clients than invited, or survivors that are none of them.
    """
    if len(clients) > terms.cohort:
        message = f"round {terms.round} invites {terms.cohort} clients, got {len(clients)}"
        raise TamperedError(message)
    check_survivors(terms, clients, clients, survivors)
    ring, staying = terms.ring(clients), frozenset(survivors)
    for client in clients:
        holders = ring.holders(client)
        check_rebuilds(terms, client, len(staying.intersection(holders)), len(holders))


def _check_present(clients: Sequence[int], own: int, what: str) -> None:
    if own not in clients:
        message = f"client {own} is missing among those that {what}, yet it is asked to go on"
        raise TamperedError(message)
