"""Who never heard how a conversation began: its end, or that somebody answers, is no news to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from monitor.conversations import Kind
from monitor.history import Message
from monitor.notify.page import PageContent, parse_page

BEGINS = (Kind.FIRING, Kind.FLAPPING, Kind.ESCALATION)
FOLLOWS = (Kind.RESOLVED, Kind.ACKNOWLEDGED)
MOST = 10_000


class Missed:
    """Of the last ten thousand conversations of each receiver."""

    def __init__(self) -> None:
        self._heard: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._missed: OrderedDict[tuple[str, str], None] = OrderedDict()

    def restore(self, missed: Iterable[tuple[str, str]]) -> None:
        """Receiver and dedup key, as an earlier process left them."""
        self._missed.update(dict.fromkeys(missed))

    def delivered(self, message: Message) -> None:
        self._missed.pop(_place(message), None)
        _keep(self._heard, _place(message))

    def given_up(self, message: Message) -> None:
        if _place(message) not in self._heard and kind(message) in BEGINS:
            _keep(self._missed, _place(message))

    def needless(self, message: Message) -> bool:
        """Whether it only follows what its receiver never heard."""
        return _place(message) in self._missed and kind(message) in FOLLOWS


def wakes(message: Message) -> bool:
    """Whether it begins a page."""
    page = _page(message)
    return page is not None and page.severity == "page" and page.kind in BEGINS


def kind(message: Message) -> str:
    """ "" where the body doesn't say."""
    page = _page(message)
    return page.kind if page else ""


def _page(message: Message) -> PageContent | None:
    try:
        return parse_page(message.body)
    except ValueError:
        return None


def _place(message: Message) -> tuple[str, str]:
    return message.notifier, message.dedup_key


def _keep(places: OrderedDict[tuple[str, str], None], place: tuple[str, str]) -> None:
    places[place] = None
    if len(places) > MOST:
        places.popitem(last=False)
