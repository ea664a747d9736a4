"""Whom a round really asks: read off its messages before any is sent, for they are who pays.

A ledger that charged the cohort as it was drawn would be false for a strategy that asks others, or a client twice. So
the destinations are charged; and where sums are noised, for which the plan counts on the drawn cohort, they must be
just that cohort.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from fedrec.core.errors import PrivacyError
from server.base import MeanStrategy, Strategy
from server.context import StrategyContext


def ask(strategy: Strategy, number: int, arrays: ArrayRecord, told: ConfigRecord, grid: Grid) -> list[Message]:
    """Return the messages of round `number`; `strategy.asked` is then who they are addressed to.

    Raises:
        PrivacyError: If a privacy claim would not hold for who would be asked, or for what they would be told.
    """
    context = strategy.context
    if context.sums_are_noised and not isinstance(strategy, MeanStrategy):
        message = (
            f"strategy {type(strategy).__name__} looks at each client's change, where a noised sum is all that may be "
            "seen; derive it from MeanStrategy, or set privacy.trust=local"
        )
        raise PrivacyError(message)
    strategy.current = {name: array.numpy() for name, array in arrays.items()}
    messages = list(strategy.configure_train(number, arrays, told, grid))
    strategy.asked = sorted(message.metadata.dst_node_id for message in messages)
    if context.plan.trust != "none":
        _require_what_was_priced(context, number, messages, strategy.asked)
    return messages


def _require_what_was_priced(
    context: StrategyContext, number: int, messages: Iterable[Message], asked: Sequence[int]
) -> None:
    """Refuse messages that the privacy plan has not priced.

    Raises:
        PrivacyError: If a client is asked twice, somebody is asked instead of the drawn cohort of a noised sum, or
            clients are told of another round: they would draw its noise again, and not pay for this one.
    """
    if twice := [client for client, count in Counter(asked).items() if count > 1]:
        _refuse(number, f"asks client {twice[0]} twice, which pays for one answer", "ask each client once")
    if context.sums_are_noised and asked != (drawn := list(context.cohort(number))):
        others, left_out = sorted({*asked} - {*drawn}), sorted({*drawn} - {*asked})
        found = f"asks {others[:3] or 'nobody'} beside the drawn cohort and leaves out {left_out[:3] or 'nobody'}"
        _refuse(number, found, "leave configure_train as it is, or set privacy.trust=local, where each client pays")
    contents = {id(message.content): message.content for message in messages}.values()
    told = {content.config_records.get("config", ConfigRecord()).get("server-round") for content in contents}
    if wrong := told - {number}:
        _refuse(number, f'tells clients that "server-round" is {wrong.pop()!r}', "send them the round's own number")


def _refuse(number: int, found: str, remedy: str) -> None:
    message = f"round {number}: the strategy {found}; its privacy claim would be false: {remedy}"
    raise PrivacyError(message)
