"""How a simulated client answers, on every engine: what it raises is its answer, and says what went wrong."""

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode


def answer(app: ClientApp, message: Message, context: Context) -> Message:
    """Return the app's reply, or an error reply with the type and text of what it raised."""
    try:
        return app(message, context)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{type(error).__name__}: {error}")
        return Message(failure, reply_to=message)
