"""Each notifier against a server that speaks its service's protocol, and refuses what the service would."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from monitor.conversations import Kind
from monitor.notify import NOTIFIERS, Notifier
from monitor.notify.delivery import DeliveryError
from monitor.notify.facts import Facts
from monitor.notify.message import page_json
from monitor.notify.webhook import Webhook
from monitor.resources import ROOT
from tests.monitor import services
from tests.monitor.making import FIRING, RESOLVED, notifier_of
from tests.monitor.services import ENDLESS, HANG, Answer, Service, run_service
from tests.monitor.test_page import FULL, OBJECTIVES
from tests.servers import free_port

KEY = "0123456789abcdef"
ROUTING_KEY = "R" * 32
NASTY = (
    "<!channel> & <https://evil.test|ok> *b* `c` \r\nBcc: all@example.com\0\x1b[2J </script>" + "<&>" * 5000
)


@dataclass(frozen=True)
class Connection:
    """How a kind of notifier is told where its service is."""

    judge: Callable[[services.Post], Answer]
    options: Callable[[str], dict[str, Any]]


CONNECTIONS = {
    "webhook": Connection(services.webhook, lambda url: {"url": f"{url}/hook"}),
    "slack": Connection(services.slack, lambda url: {"url": f"{url}/services/T0/B0/key"}),
    "pagerduty": Connection(services.pagerduty, lambda url: {"routing_key": ROUTING_KEY, "url": url}),
    "sentry": Connection(
        services.sentry, lambda url: {"dsn": f"{url.replace('//', '//public@')}/42", "environment": "test"}
    ),
}


def body(kind: Kind = Kind.FIRING, facts: Facts = FULL, **changes: Any) -> str:
    alert = replace(RESOLVED if kind is Kind.RESOLVED else FIRING, **changes)
    return page_json("on-call", kind, alert, KEY, facts, OBJECTIVES)


def nasty() -> str:
    facts = replace(FULL, phase=NASTY, last_good=NASTY, also=(NASTY,) * 6, deploy=NASTY, note=NASTY)
    return body(facts=facts, reason=NASTY, title=NASTY, value=NASTY, runbook=NASTY)


@pytest.fixture(params=CONNECTIONS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(kind: str) -> AsyncIterator[Service]:
    async with run_service(CONNECTIONS[kind].judge) as running:
        yield running


@pytest.fixture
async def notifier(kind: str, service: Service) -> AsyncIterator[Notifier]:
    made = connect(kind, service.url)
    yield made
    await made.close()


def connect(kind: str, url: str, timeout: float = 5.0) -> Notifier:
    return NOTIFIERS[kind](notifier_of(kind, timeout=timeout, **CONNECTIONS[kind].options(url)))


@pytest.mark.parametrize("said", Kind)
async def test_what_is_said_is_taken(notifier: Notifier, service: Service, said: Kind) -> None:
    answer = await notifier.send(body(said), KEY)
    assert answer is not None
    assert re.match(r"20[024] \S", answer)
    assert len(service.posts) == 1


async def test_whatever_a_target_says_is_taken(notifier: Notifier, service: Service) -> None:
    await notifier.send(nasty(), KEY)
    assert len(service.posts[0].body) < 200_000


async def test_a_retry_can_be_told_from_news(notifier: Notifier, service: Service, kind: str) -> None:
    for text in (body(), body(), body(Kind.RESOLVED)):
        await notifier.send(text, KEY)
    first, again, news = service.posts
    assert first.body == again.body != news.body
    if kind == "webhook":
        assert first.headers["idempotency-key"] == again.headers["idempotency-key"]
        assert first.headers["idempotency-key"] != news.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("fault", "permanent", "wait"),
    [
        (Answer("429 Too Many Requests", headers="retry-after: 7\r\n"), False, 7.0),
        (Answer("500 Internal Server Error", "rollup_error"), False, None),
        (Answer("503 Unavailable", headers="retry-after: 30\r\n"), False, 30.0),
        (Answer("408 Request Timeout"), False, None),
        (Answer("400 Bad Request", "invalid_payload"), True, None),
        (Answer("401 Unauthorized"), True, None),
        (Answer("403 Forbidden", "action_prohibited"), True, None),
        (Answer("404 Not Found", "no_service"), True, None),
        (Answer("410 Gone", "channel_is_archived"), True, None),
        (Answer("413 Too Large"), True, None),
        (Answer("302 Found", headers="location: http://127.0.0.1:9/\r\n"), True, None),
        (Answer("not HTTP"), False, None),
        (Answer("500 Oops", ENDLESS), False, None),
        (Answer("400 Bad", "<b>\x1b[2J\r\n" * 9), True, None),
    ],
)
async def test_a_refusal_says_whether_to_try_again(
    notifier: Notifier, service: Service, fault: Answer, permanent: bool, wait: float | None
) -> None:
    service.faults = [fault]
    with pytest.raises(DeliveryError) as caught:
        await notifier.send(body(), KEY)
    assert (caught.value.permanent, caught.value.retry_after) == (permanent, wait)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    assert ROUTING_KEY not in str(caught.value)


async def test_a_service_that_hangs_is_left_in_time(kind: str, service: Service) -> None:
    service.faults = [Answer(HANG)]
    notifier, began = connect(kind, service.url, timeout=0.3), time.monotonic()
    with pytest.raises(DeliveryError, match="no answer") as caught:
        await notifier.send(body(), KEY)
    await notifier.close()
    assert not caught.value.permanent
    assert time.monotonic() - began < 3


async def test_an_answer_without_end_is_not_read_to_its_end(notifier: Notifier, service: Service) -> None:
    service.faults = [Answer("200 OK", ENDLESS)]
    answer = await notifier.send(body(), KEY)
    assert answer is not None
    assert answer.startswith("200 xxx")
    assert len(answer) < 300


async def test_nobody_there(kind: str) -> None:
    notifier = connect(kind, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DeliveryError, match="no answer: ConnectError") as caught:
        await notifier.send(body(), KEY)
    assert not caught.value.permanent
    await notifier.close()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("slack", {"url": "/services/T0/B0/other"}),
        ("pagerduty", {"routing_key": "short"}),
        ("sentry", {"dsn": "//other@127.0.0.1:{port}/42"}),
        ("sentry", {"dsn": "//public@127.0.0.1:{port}/43"}),
    ],
)
async def test_a_wrong_key_is_refused_for_good(kind: str, wrong: dict[str, str], service: Service) -> None:
    options = CONNECTIONS[kind].options(service.url)
    for name, value in wrong.items():
        place = {"url": f"{service.url}{value}", "dsn": "http:" + value.format(port=service.port)}
        options[name] = place.get(name, value)
    notifier = NOTIFIERS[kind](notifier_of(kind, **options))
    with pytest.raises(DeliveryError) as caught:
        await notifier.send(body(), KEY)
    assert caught.value.permanent
    await notifier.close()


# Each in its own best form.


@pytest.fixture
async def slack() -> AsyncIterator[Service]:
    async with run_service(services.slack) as running:
        yield running


async def test_slack_shows_what_one_asks_at_night(slack: Service) -> None:
    notifier = connect("slack", slack.url)
    await notifier.send(body(reason="<b> & co"), KEY)
    await notifier.send(body(Kind.RESOLVED), KEY)
    fired, resolved = (post.json for post in slack.posts)
    title = "api: Server errors (5xx / all requests)"
    assert fired["text"] == f"*FIRING* {title}: 7.1 % (alert when above 5 %)"
    blocks = fired["attachments"][0]["blocks"]
    text = json.dumps(blocks, ensure_ascii=False)
    assert "*Why*\\n&lt;b&gt; &amp; co" in text
    assert "<!date^100^{date_short_pretty} {time_secs}|00:01:40 UTC, for 6 min> (6 min)" in text
    assert "*Also*\\nDatabase pool in use: 96 % (alert when above 80 %)" in text
    assert [each["text"]["text"] for each in blocks[-2]["elements"]] == ["Runbook", "Dashboard", "Silence"]
    assert resolved["attachments"][0]["color"] != fired["attachments"][0]["color"]
    await notifier.close()


async def test_pagerduty_has_one_incident_from_first_to_last() -> None:
    async with run_service(services.pagerduty) as service:
        notifier = connect("pagerduty", service.url)
        for kind in Kind:
            await notifier.send(body(kind), KEY)
        await notifier.close()
    events = {kind: post.json for kind, post in zip(Kind, service.posts, strict=True)}
    assert {each["dedup_key"] for each in events.values()} == {KEY}
    actions = {kind: each["event_action"] for kind, each in events.items()}
    assert actions.pop(Kind.RESOLVED) == "resolve"
    assert actions.pop(Kind.ACKNOWLEDGED) == "acknowledge"
    assert set(actions.values()) == {"trigger"}
    payload = events[Kind.FIRING]["payload"]
    assert (payload["severity"], payload["source"]) == ("critical", "api")
    assert payload["timestamp"] == "1970-01-01T00:01:40.250Z"
    details = payload["custom_details"]
    assert details["Value"] == "7.1 % (alert when above 5 %)"
    assert details["Do first"].startswith("Released lately: roll back.")


async def test_sentry_has_one_issue_for_an_objective_of_a_target() -> None:
    async with run_service(services.sentry) as service:
        notifier = connect("sentry", service.url)
        for text in (body(), body(), body(Kind.RESOLVED)):
            await notifier.send(text, KEY)
        await notifier.close()
    (_, fired), (_, again), (_, resolved) = map(services.envelope, service.posts)
    assert fired["fingerprint"] == resolved["fingerprint"] == ["api", "metrics", "error-rate"]
    assert fired["event_id"] == again["event_id"] != resolved["event_id"]
    assert (fired["level"], resolved["level"], fired["environment"]) == ("fatal", "info", "test")
    assert fired["tags"]["incident"] == KEY
    assert "Do first:      Released lately" in fired["extra"]["page"]


async def test_the_log_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    notifier = NOTIFIERS["log"](notifier_of("log"))
    with caplog.at_level(logging.WARNING):
        await notifier.send(nasty(), KEY)
        await notifier.send(body(), KEY)
    await notifier.close()
    odd, plain = (record.getMessage() for record in caplog.records)
    assert odd.isprintable()
    assert plain.startswith("FIRING page: api: Server errors (5xx / all requests): 7.1 %")
    assert "also: Database pool in use: 96 %" in plain


async def test_a_signature_shows_who_sent_it_and_when() -> None:
    secret = b"a secret of 32 bytes, as it seems"
    async with run_service(services.webhook) as service:
        config = notifier_of(
            "webhook", url=service.url, secret=secret, headers=(("authorization", "Bearer key"),)
        )
        notifier = Webhook(config, clock=lambda: 1_700_000_000.4)
        await notifier.send(body(), KEY)
        await notifier.close()
    [post] = service.posts
    assert post.headers["authorization"] == "Bearer key"
    assert post.headers["webhook-timestamp"] == "1700000000"
    identity = post.headers["webhook-id"]
    signed = b".".join((identity.encode(), b"1700000000", post.body))
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"


async def test_the_receiver_in_the_docs_can_tell() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notifiers.md").read_text(), re.DOTALL)
    receiver: dict[str, Any] = {}
    exec(code, receiver)
    secret, genuine = b"a secret of 32 bytes, as it seems", receiver["genuine"]
    async with run_service(services.webhook) as service:
        notifier = Webhook(notifier_of("webhook", url=service.url, secret=secret))
        await notifier.send(body(), KEY)
        await notifier.close()
    [post] = service.posts
    assert genuine(secret, post.headers, post.body)
    assert not genuine(b"another secret, as long as this", post.headers, post.body)
    assert not genuine(secret, post.headers, post.body + b" ")
    assert not genuine(secret, {**post.headers, "webhook-timestamp": "1700000000"}, post.body)
    assert not genuine(secret, {**post.headers, "webhook-signature": "v1,\u00e9"}, post.body)


async def test_without_a_secret_nothing_is_signed() -> None:
    async with run_service(services.webhook) as service:
        notifier = connect("webhook", service.url)
        await notifier.send(body(), KEY)
        await notifier.close()
    assert not {name for name in service.posts[0].headers if name.startswith("webhook-")}
