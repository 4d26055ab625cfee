"""From the outbox table to a real receiver on loopback, and what happens when that one misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from monitor.conversations import Kind
from monitor.history import Entry, History, Message, outbox
from monitor.metrics import AgentMetrics
from monitor.notify import Notifier
from monitor.notify import outbox as sending
from monitor.notify.delivery import seconds_asked
from monitor.notify.facts import Facts
from monitor.notify.journal import unsent
from monitor.notify.letters import Letter
from monitor.notify.message import page_json
from monitor.notify.outbox import LONGEST_ASKED_FOR, LONGEST_HELD, LONGEST_RETRY, Outbox, pause
from monitor.notify.receivers import AT_ONCE, at_once
from monitor.notify.receivers import Receiver as Made
from monitor.notify.webhook import Webhook
from tests.monitor.making import FIRING, RESOLVED, notifier, notifier_of, recorder_of
from tests.servers import eventually, free_port


def body(severity: str, kind: Kind) -> str:
    alert = replace(RESOLVED if kind is Kind.RESOLVED else FIRING, severity=severity)
    return page_json("on-call", kind, alert, "key", Facts(at=200.0))


class Post(NamedTuple):
    body: str
    headers: dict[str, str]


@dataclass
class Receiver:
    """Answers each POST with the next of `answers`, at last with 204; `hold` keeps all of them waiting."""

    port: int
    answers: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    hold: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def bodies(self) -> list[str]:
        return [post.body for post in self.posts]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in head)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.posts.append(Post(body.decode(), headers))
            if self.hold:
                await self.hold.wait()
            answer = self.answers.pop(0) if self.answers else "204 No Content"
            writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver(port=free_port(), hold=None)
    server = await asyncio.start_server(made.serve, "127.0.0.1", made.port)
    yield made
    if made.hold:
        made.hold.set()
    server.close()
    await server.wait_closed()


@dataclass
class PostOffice:
    """An outbox over a SQLite file, with a clock that stands still until the test moves it."""

    file: Path
    notifiers: dict[str, Notifier]
    now: float = 1000.0
    metrics: AgentMetrics = field(default_factory=lambda: AgentMetrics(CollectorRegistry()))

    def __post_init__(self) -> None:
        self.store = History(f"sqlite:///{self.file}")
        self.store.create()
        self.outbox = self.reopened()

    def reopened(self) -> Outbox:
        """As after a restart of the agent."""
        _, made = recorder_of(self.store, self.metrics, lambda: self.now, self.notifiers)
        made.post(unsent(self.store.engine))
        return made

    def put(self, *bodies: str, key: str = "key", to: str = "on-call") -> None:
        messages = tuple(Message(to, key, body) for body in bodies)
        ids = self.store.record([Entry(self.now, (), (), (), "api", messages)])
        letters = [Letter.new(each, self.now, released=True) for each in messages]
        self.outbox.post(letters)
        self.outbox.stored((each, id_, each.progress) for each, id_ in zip(letters, ids, strict=True))

    @property
    def waits(self) -> float | None:
        """Seconds until the first row is due."""
        due = [letter.due_at for letter in unsent(self.store.engine)]
        return min(due) - self.now if due else None

    @property
    def states(self) -> list[tuple[str, str, int, str]]:
        columns = (outbox.c.body, outbox.c.state, outbox.c.attempts, outbox.c.error)
        with self.store._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(outbox.select().with_only_columns(*columns))]

    def counted(self, outcome: str, notifier: str = "on-call") -> float | None:
        names = {"notifier": notifier, "outcome": outcome}
        return self.metrics.registry.get_sample_value("monitor_notifications_total", names)


@pytest.fixture
async def office(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostOffice]:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 0.05)
    webhook = Webhook(notifier("on-call", url=receiver.url))
    made = PostOffice(tmp_path / "history.db", {"on-call": webhook})
    yield made
    await webhook.close()
    made.store.close()


@contextlib.asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_message_arrives_as_written(office: PostOffice, receiver: Receiver) -> None:
    office.put(json.dumps({"status": "firing", "reason": "§9.2: 7 % > 5 %"}, ensure_ascii=False))
    await office.outbox.send_due()
    [post] = receiver.posts
    assert json.loads(post.body)["reason"] == "§9.2: 7 % > 5 %"
    assert post.headers["content-type"] == "application/json"
    assert office.states == [(post.body, "delivered", 1, "")]
    assert office.counted("delivered") == 1


@pytest.mark.parametrize("answer", ["500 Oops", "503 Later", "429 Slow down", "408 Timeout", "425 Too Early"])
async def test_a_refusal_that_may_pass_is_tried_again(
    office: PostOffice, receiver: Receiver, answer: str
) -> None:
    receiver.answers = [answer]
    office.put("firing")
    await office.outbox.send_due()
    assert office.states == [("firing", "waiting", 1, f"answered {answer[:3]}")]
    await office.outbox.send_due()
    assert len(receiver.posts) == 1
    office.now += 2
    await office.outbox.send_due()
    assert office.states == [("firing", "delivered", 2, "")]
    first, second = receiver.posts
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert (office.counted("retried"), office.counted("delivered")) == (1, 1)


@pytest.mark.parametrize(
    "answer", ["404 Not Found", "401 Who are you", "400 What", "301 Moved\r\nlocation: http://127.0.0.1:9/"]
)
async def test_a_refusal_for_good_is_given_up(office: PostOffice, receiver: Receiver, answer: str) -> None:
    receiver.answers = [answer]
    office.put("firing", "resolved")
    await office.outbox.send_due()
    assert office.states[0] == ("firing", "dead", 1, f"answered {answer[:3]}")
    await office.outbox.send_due()
    assert receiver.bodies == ["firing", "resolved"]
    assert office.counted("given_up") == 1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("120", 120),
        ("0", sending.FIRST_RETRY),
        ("99999999999", LONGEST_ASKED_FOR),
        ("9" * 400, LONGEST_ASKED_FOR),
    ],
)
async def test_retry_after_is_kept_within_reason(
    office: PostOffice, receiver: Receiver, asked: str, waited: float
) -> None:
    receiver.answers = [f"429 Slow down\r\nretry-after: {asked}"]
    office.put("firing")
    await office.outbox.send_due()
    assert office.waits == waited


async def test_who_asks_for_patience_is_not_asked_with_the_next_message(
    office: PostOffice, receiver: Receiver
) -> None:
    receiver.answers = ["429 Slow down\r\nretry-after: 120"]
    office.put("first", key="one")
    await office.outbox.send_due()
    office.put("second", key="two")
    office.now += LONGEST_HELD - 1
    await office.outbox.send_due()
    assert receiver.bodies == ["first"]
    office.now += 1  # it may be the page: it waits no longer than that
    await office.outbox.send_due()
    assert receiver.bodies == ["first", "second"]
    office.now += 90
    await office.outbox.send_due()
    assert receiver.bodies == ["first", "second", "first"]


def test_mail_servers_and_slack_are_given_few_at_a_time() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    mail = notifier_of("email", host="127.0.0.1", from_="a@example.com", to=("b@example.com",))
    assert at_once(Made(mail, {})) == 3
    assert at_once(Made(notifier_of("slack", url=url), {})) == 1
    assert at_once(Made(notifier("on-call", url=url), {})) == AT_ONCE
    assert at_once(None) == AT_ONCE


async def test_pages_that_begin_go_before_all_that_can_wait(
    office: PostOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.notify.outbox.at_once", lambda _: 1)
    told = [
        ("first ticket", body("ticket", Kind.FIRING)),
        ("old page", body("page", Kind.RESOLVED)),
        ("second ticket", body("ticket", Kind.FIRING)),
        ("page", body("page", Kind.FIRING)),
        ("flapping page", body("page", Kind.FLAPPING)),
        ("page", body("page", Kind.RESOLVED)),
    ]
    for key, said in told:
        office.put(said, key=key)
    office.outbox = office.reopened()
    for _ in told:
        await office.outbox.send_due()
    assert receiver.bodies == [told[number][1] for number in (3, 4, 0, 1, 2, 5)]


async def test_a_retry_after_that_is_no_number_of_seconds_gets_our_own_pause(
    office: PostOffice, receiver: Receiver
) -> None:
    receiver.answers = ["503 Later\r\nretry-after: soon"]
    office.put("firing")
    await office.outbox.send_due()
    assert 0.75 <= (office.waits or 0) <= 1.25


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37.0),
        ("Sun, 06 Nov 1994 08:48:00 GMT", -60.0),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_may_be_a_date(asked: str, seconds: float | None) -> None:
    assert seconds_asked(asked, 784_111_740.0) == seconds


async def test_a_receiver_that_is_down_gets_it_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    webhook = Webhook(notifier("on-call", url=f"http://127.0.0.1:{port}/"))
    office, receiver = PostOffice(tmp_path / "history.db", {"on-call": webhook}), Receiver(port)
    office.put("firing")
    await office.outbox.send_due()
    assert office.states[0][3].startswith("no answer: ConnectError")
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", port):
        office.now += 2
        await office.outbox.send_due()
    assert receiver.bodies == ["firing"]
    await webhook.close()
    office.store.close()


async def test_it_gives_up_after_a_day(office: PostOffice, receiver: Receiver) -> None:
    receiver.answers = ["500 Oops"] * 100
    office.put("firing")
    while len(office.outbox):
        await office.outbox.send_due()
        office.now += 3600
    assert len(receiver.posts) == 26
    assert office.states[0][1] == "dead"


async def test_resolved_never_overtakes_firing(office: PostOffice, receiver: Receiver) -> None:
    receiver.answers = ["500 Oops", "429 Slow down", "503 Later"]
    office.put("firing", "resolved")
    while len(office.outbox):
        await office.outbox.send_due()
        office.now += 10
    assert receiver.bodies == ["firing"] * 4 + ["resolved"]
    assert len({post.headers["idempotency-key"] for post in receiver.posts}) == 2


async def test_a_slow_receiver_is_cut_off_in_time(
    office: PostOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_DEADLINE", 0.1)
    receiver.hold = asyncio.Event()
    office.put("firing")
    await office.outbox.send_due()
    assert office.states == [("firing", "waiting", 1, "not delivered within 0.1 s")]


async def test_a_slow_receiver_holds_up_nobody_else(
    office: PostOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LOOK_EVERY", 0.02)
    receiver.hold = asyncio.Event()
    told: list[str] = []
    office.notifiers["chat"] = Told(told.append)
    async with running(office.outbox):
        for number in range(150):
            office.put(f"slow {number}", key=str(number))
        await eventually(lambda: receiver.posts)
        office.put("to chat", to="chat")
        await eventually(lambda: told)
        assert office.counted("delivered") is None
        receiver.hold.set()
        receiver.hold = None
        await eventually(lambda: office.counted("delivered") == 150)
    assert sorted(receiver.bodies) == sorted(f"slow {number}" for number in range(150))


async def test_it_runs_without_being_asked_twice(office: PostOffice, receiver: Receiver) -> None:
    async with running(office.outbox):
        office.put("firing", "resolved")
        office.outbox.wake()
        await eventually(lambda: receiver.bodies == ["firing", "resolved"])
        await eventually(lambda: office.metrics.registry.get_sample_value("monitor_outbox_depth") == 0)


async def test_killed_between_delivery_and_the_note_of_it(office: PostOffice, receiver: Receiver) -> None:
    """The only way to a second delivery; the receiver knows it by its key."""
    office.put("firing")
    with locked(office.file):
        await office.outbox.send_due()
    await office.reopened().send_due()
    first, second = receiver.posts
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert office.states == [("firing", "delivered", 1, "")]


async def test_killed_between_two_messages_about_an_alert_only_the_last_is_repeated(
    office: PostOffice, receiver: Receiver
) -> None:
    """To some receivers a "firing" after its "resolved" is a new incident, whatever its key."""
    office.put("firing", "resolved")
    office.outbox._settle = never
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(office.outbox.send_due())
        await eventually(lambda: receiver.posts)
        office.outbox._look(tasks)
        sending.cancel()
    assert receiver.bodies == ["firing"]
    await office.reopened().send_due()
    assert receiver.bodies == ["firing", "firing"]


async def test_a_store_that_is_silent_holds_up_the_next_message_for_two_seconds(
    office: PostOffice, receiver: Receiver
) -> None:
    office.put("firing", "resolved")
    office.outbox._settle = never
    async with asyncio.TaskGroup() as tasks:
        silent = tasks.create_task(office.outbox.send_due())
        await eventually(lambda: receiver.posts)
        await eventually(lambda: not office.outbox._busy)
        office.now += sending.PATIENCE
        office.outbox._look(tasks)
        await eventually(lambda: len(receiver.posts) == 2)
        silent.cancel()
    assert receiver.bodies == ["firing", "resolved"]


async def never(*_: object) -> None:
    await asyncio.Event().wait()


async def test_a_store_that_cannot_be_written_holds_nothing_back_and_repeats_nothing(
    office: PostOffice, receiver: Receiver
) -> None:
    office.put("firing", "resolved")
    with locked(office.file):
        for _ in range(3):
            await office.outbox.send_due()
        assert receiver.bodies == ["firing", "resolved"]
    assert [state for _, state, _, _ in office.states] == ["waiting", "waiting"]
    await office.outbox.send_due()
    assert office.states == [("firing", "delivered", 1, ""), ("resolved", "delivered", 1, "")]
    assert receiver.bodies == ["firing", "resolved"]


async def test_when_too_many_wait_the_oldest_is_given_up_and_not_forgotten(
    office: PostOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_LETTERS", 3)
    for number in range(5):
        office.now += 1
        office.put(str(number), key=str(number))
    await office.outbox.send_due()
    assert receiver.bodies == ["2", "3", "4"]
    assert office.states[1] == ("1", "dead", 1, "more than 3 messages wait")
    assert office.counted("given_up") == 2


async def test_a_notifier_that_left_the_config_blocks_nobody(office: PostOffice, receiver: Receiver) -> None:
    office.put("to nobody", to="gone")
    office.put("firing")
    await office.outbox.send_due()
    assert receiver.bodies == ["firing"]
    assert office.states[0] == ("to nobody", "dead", 1, "no notifier is called gone any more")


async def test_a_mistake_in_a_notifier_costs_one_message_some_time(office: PostOffice) -> None:
    told: list[str] = []

    def clumsy(body: str) -> None:
        told.append({"good": body}[body])

    office.notifiers["clumsy"] = Told(clumsy)
    office.put("bad", key="1", to="clumsy")
    office.put("good", key="2", to="clumsy")
    await office.outbox.send_due()
    assert told == ["good"]
    assert office.states[0] == ("bad", "waiting", 1, "KeyError: 'bad'")


def test_pauses_double_up_to_a_limit() -> None:
    for attempts, middle in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_RETRY, LONGEST_RETRY]):
        assert 0.75 * middle <= pause(attempts, None) <= 1.25 * middle
    assert pause(10**6, None) <= 1.25 * LONGEST_RETRY


class Told:
    """A notifier that is a function."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    async def send(self, body: str, dedup_key: str) -> None:
        self._tell(body)

    async def close(self) -> None:
        """Nothing is held open."""


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Readable by everybody, writable by nobody."""
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_stop_that_comes_together_with_a_wake_up_is_a_stop(office: PostOffice) -> None:
    running = asyncio.create_task(office.outbox.run())
    await asyncio.sleep(0.2)
    office.outbox.wake()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done
