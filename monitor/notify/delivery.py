"""How a notifier says that a message could not be delivered."""

from __future__ import annotations


class DeliveryError(Exception):
    """`permanent`: trying again won't help (a wrong address, a refused key).

    `retry_after`: seconds that the receiver asked to wait.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
