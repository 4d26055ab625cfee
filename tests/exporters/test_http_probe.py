from __future__ import annotations

import asyncio
import datetime
import email.utils
import gzip
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from exporters.http import Prober, Reason, Request, Result, _certificate_expires
from tests.exporters.loopback import OK, Conversation, is_silent, repeats, says, serving

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = HEAD + b"Content-Encoding: gzip\r\n\r\n"


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    async with Prober() as prober:
        yield prober


async def answer(prober: Prober, converse: Conversation, **wishes: Any) -> Result:
    async with serving(converse) as url:
        return await prober.probe(Request(url, **{"timeout": 5.0, **wishes}))


def redirects_to(place: str) -> Conversation:
    return says(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())


FAULTS: dict[str, tuple[Conversation, dict[str, Any], Reason, str]] = {
    "hangs up": (says(b""), {}, Reason.CONNECT, "Empty reply"),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), {}, Reason.STATUS, "HTTP/0.9"),
    "garbage status line": (says(b"HTTP/9.9 fine\r\n\r\n"), {}, Reason.STATUS, "Unsupported HTTP version"),
    "server error": (says(b"HTTP/1.1 503 Busy\r\n\r\n"), {}, Reason.STATUS, "status 503, expected 200-299"),
    "not modified": (says(b"HTTP/1.1 304 Same\r\n\r\n"), {}, Reason.STATUS, "status 304"),
    "cut in the headers": (says(HEAD + b"Content-T"), {}, Reason.BODY, "in the middle of the headers"),
    "cut in the body": (says(HEAD + b"Content-Length: 9\r\n\r\nok"), {}, Reason.BODY, "7 bytes missing"),
    "cut in a chunk": (says(CHUNKED + b"5\r\nab"), {}, Reason.BODY, "closed"),
    "broken chunk": (says(CHUNKED + b"zz\r\n"), {}, Reason.BODY, "hex"),
    "broken gzip": (says(GZIP + b"no gzip"), {"compressed": True}, Reason.BODY, "unencoding"),
    "no match": (says(OK), {"expect_body": re.compile(b"^fine$")}, Reason.BODY, "no match for b'^fine$'"),
    "endless body": (repeats(HEAD + b"\r\n", b"x" * 65536), {}, Reason.TOO_LARGE, "1048576 bytes"),
    "10 GB": (
        repeats(HEAD + b"Content-Length: 10737418240\r\n\r\n", b"x" * 65536),
        {"max_body": 1000},
        Reason.TOO_LARGE,
        "1000 bytes",
    ),
    "gzip bomb": (
        says(GZIP + gzip.compress(bytes(50_000_000))),
        {"compressed": True},
        Reason.TOO_LARGE,
        "1048576 bytes",
    ),
    "endless headers": (repeats(HEAD, b"X: y\r\n" * 99), {}, Reason.TOO_LARGE, "headers"),
    "endless header line": (repeats(HEAD + b"X: ", b"y" * 9999), {}, Reason.TOO_LARGE, "larger than allowed"),
    "endless status line": (repeats(b"HTTP/1.1 200 ", b"y" * 9999), {}, Reason.TOO_LARGE, "larger"),
    "endless interim answers": (repeats(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 99), {}, Reason.TOO_LARGE, ""),
    "endless trailers": (repeats(CHUNKED + b"0\r\n", b"X: y\r\n" * 99), {}, Reason.TOO_LARGE, "headers"),
    "unexpected redirect": (redirects_to("/login?t=secret"), {}, Reason.REDIRECT, "/login, expected 200-299"),
    "endless redirect": (redirects_to("/"), {"max_redirects": 5}, Reason.REDIRECT, "(5) redirects"),
    "redirect to a file": (redirects_to("file:///etc/passwd"), {"max_redirects": 5}, Reason.REDIRECT, "file"),
    "redirect to nowhere": (redirects_to("http://[::1"), {"max_redirects": 5}, Reason.REDIRECT, "redirect"),
    "never answers": (is_silent, {"timeout": 0.2}, Reason.TIMEOUT, "0.2 s, while waiting for the first byte"),
    "drips": (repeats(HEAD + b"\r\n", b"x", 0.01), {"timeout": 0.2}, Reason.TIMEOUT, "reading the answer"),
    "endless chunk extension": (
        repeats(CHUNKED + b"2;", b"x" * 9999),
        {"timeout": 0.2},
        Reason.TIMEOUT,
        "reading the answer",
    ),
}


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_reason_and_the_next_probe_is_fine(
    run: Callable[[Coroutine[Any, Any, Any]], Any], fault: str
) -> None:
    converse, wishes, reason, detail = FAULTS[fault]

    async def probe_twice() -> tuple[Result, Result]:
        async with Prober(max_concurrent=1) as prober:
            return await answer(prober, converse, **wishes), await answer(prober, says(OK))

    bad, good = run(probe_twice())
    assert bad.reason is reason, bad
    assert detail in bad.detail
    assert bad.reason is not Reason.TOO_LARGE or bad.body == b""
    assert "secret" not in bad.detail
    assert "\n" not in bad.detail
    assert sum(astuple(bad.phases)) == pytest.approx(bad.duration)
    assert good.success
    assert (good.status, good.body, good.redirects, good.address) == (200, b"ok", 0, "127.0.0.1")


async def test_phases_are_told_apart_and_sum_to_the_duration(prober: Prober) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(HEAD + b"Content-Length: 2\r\n\r\no")
        await asyncio.sleep(0.2)
        writer.write(b"k")
        await writer.drain()

    result = await answer(prober, slow)
    assert result.success
    assert result.phases.first_byte >= 0.09
    assert result.phases.transfer >= 0.19
    assert result.phases.tls == 0.0
    assert result.phases.connect > 0.0
    assert sum(astuple(result.phases)) == pytest.approx(result.duration)


async def test_phases_of_followed_redirects_are_summed(prober: Prober) -> None:
    paths: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        paths.append((await reader.readuntil(b"\r\n\r\n")).split()[1])
        await asyncio.sleep(0.05)
        moved = b"HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
        writer.write(moved if len(paths) < 3 else OK)

    result = await answer(prober, converse, max_redirects=5)
    assert result.success
    assert paths == [b"/", b"/there", b"/there"]
    assert (result.redirects, result.status, result.body) == (2, 200, b"ok")
    assert result.phases.first_byte >= 0.14
    assert sum(astuple(result.phases)) == pytest.approx(result.duration)


async def test_an_expected_redirect_is_a_success(prober: Prober) -> None:
    result = await answer(prober, redirects_to("/new"), expect_status=((301, 302), (308, 308)))
    assert result.success
    assert result.status == 302


@pytest.mark.parametrize(
    "request_",
    [
        Request("localhost:8000/health"),
        Request("ftp://127.0.0.1/"),
        Request("file:///etc/passwd"),
        Request("http:///nowhere"),
        Request(""),
        Request("http://127.0.0.1:99999/"),
        Request("http://[::1"),
        Request("http://127.0.0.1/with blank"),
        Request("http://127.0.0.1/\0"),
        Request("http://127.0.0.1/\ud800"),
        Request("http://127.0.0.1/", method="GET / HTTP/1.1\r\nX:"),
        Request("http://127.0.0.1/", headers=(("X", "a\r\nY: b"),)),
        Request("http://127.0.0.1/", headers=(("X:", "a"),)),
        Request("http://127.0.0.1/", timeout=0),
        Request("http://127.0.0.1/", timeout=float("nan")),
    ],
    ids=repr,
)
async def test_what_cannot_be_sent_is_a_result(prober: Prober, request_: Request) -> None:
    result = await prober.probe(request_)
    assert result.reason is Reason.CONNECT
    assert "not sent" in result.detail or "URL rejected" in result.detail


async def test_connection_refused(prober: Prober) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = await prober.probe(Request(f"http://127.0.0.1:{unused.getsockname()[1]}/"))
    assert result.reason is Reason.CONNECT
    assert "Could not connect" in result.detail
    assert result.phases.connect > 0.0


async def test_a_listener_that_accepts_nobody(prober: Prober) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for queued in (first, second):
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = await prober.probe(Request(url, timeout=0.2))
    assert result.detail == "no answer within 0.2 s, while connecting"
    assert result.phases.connect == pytest.approx(result.duration, rel=0.1)


async def test_unknown_host(prober: Prober) -> None:
    # A label of 64 letters is refused by the resolver itself, so no name server is asked.
    result = await prober.probe(Request(f"http://{'a' * 64}.test/"))
    assert result.reason is Reason.DNS
    assert result.phases.dns == pytest.approx(result.duration)


async def test_ipv6(prober: Prober) -> None:
    try:
        async with serving(says(OK), host="::1") as url:
            result = await prober.probe(Request(url))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert result.success
    assert result.address == "::1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def certified(
    authority: trustme.CA, name: str, valid_until: datetime.datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begin = valid_until - datetime.timedelta(days=1) if valid_until else None
    authority.issue_cert(name, not_before=begin, not_after=valid_until).configure_cert(context)
    return context


async def test_tls_has_its_own_phase(prober: Prober, authority: trustme.CA, ca_file: str) -> None:
    async with serving(says(OK), certified(authority, "127.0.0.1")) as url:
        result = await prober.probe(Request(url, ca_file=ca_file))
    assert result.success, result
    assert result.phases.tls > 0.0
    assert result.certificate_expires == datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC).timestamp()
    assert sum(astuple(result.phases)) == pytest.approx(result.duration)


async def test_untrusted_certificate(prober: Prober, authority: trustme.CA) -> None:
    async with serving(says(OK), certified(authority, "127.0.0.1")) as url:
        result = await prober.probe(Request(url))
    assert result.reason is Reason.TLS
    assert "issuer certificate" in result.detail


async def test_certificate_of_another_name(prober: Prober, authority: trustme.CA, ca_file: str) -> None:
    async with serving(says(OK), certified(authority, "example.org")) as url:
        result = await prober.probe(Request(url, ca_file=ca_file))
    assert result.reason is Reason.TLS
    assert "127.0.0.1" in result.detail


async def test_expired_certificate(prober: Prober, authority: trustme.CA, ca_file: str) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    async with serving(says(OK), certified(authority, "127.0.0.1", yesterday)) as url:
        result = await prober.probe(Request(url, ca_file=ca_file))
    assert result.reason is Reason.TLS
    assert "expired" in result.detail
    assert result.certificate_expires == int(yesterday.timestamp())


async def test_the_first_certificate_of_the_chain_to_end_counts(
    prober: Prober, authority: trustme.CA
) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=20)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = authority.create_child_ca().issue_cert("127.0.0.1", not_after=soon)
    leaf.configure_cert(context)
    assert len(leaf.cert_chain_pems) == 2
    async with serving(says(OK), context) as url:
        untrusted = await prober.probe(Request(url))
    assert untrusted.reason is Reason.TLS
    assert untrusted.certificate_expires == int(soon.timestamp())


async def test_without_tls_no_certificate_expires(prober: Prober) -> None:
    followed = {"max_redirects": 1}
    for wishes in ({}, followed):
        assert (await answer(prober, says(OK), **wishes)).certificate_expires is None
    hung = await answer(prober, is_silent, timeout=0.2)
    assert hung.certificate_expires is None


async def test_after_a_redirect_to_https_it_is_the_last_servers_certificate(
    prober: Prober, authority: trustme.CA, ca_file: str
) -> None:
    async with serving(says(OK), certified(authority, "127.0.0.1")) as secure:
        result = await answer(prober, redirects_to(secure), max_redirects=1, ca_file=ca_file)
    assert result.success, result
    assert result.certificate_expires == datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC).timestamp()


def test_an_intermediate_certificate_may_be_the_first_to_end() -> None:
    leaf = ((b"Subject", b"CN = api"), (b"Expire date", b"Jan  1 00:00:30 1970 GMT"))
    intermediate = ((b"Expire date", b"Jan  1 00:00:10 1970 GMT"),)
    assert _certificate_expires([leaf, intermediate]) == 10.0


@pytest.mark.parametrize("end", [b"Bad time value", b"Jan 99 00:00:00 2030 GMT", b"\xff"])
def test_a_certificate_with_an_impossible_end_is_none(end: bytes) -> None:
    assert _certificate_expires([((b"Subject", b"\xff"), (b"Expire date", end))]) is None


async def test_plain_http_where_tls_is_expected(prober: Prober) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 This is no TLS\r\n\r\n")

    async with serving(converse) as url:
        result = await prober.probe(Request(url.replace("http:", "https:")))
    assert result.reason is Reason.TLS


async def test_a_handshake_that_hangs(prober: Prober) -> None:
    async with serving(is_silent) as url:
        result = await prober.probe(Request(url.replace("http:", "https:"), timeout=0.2))
    assert result.detail == "no answer within 0.2 s, during the TLS handshake"
    assert result.phases.tls > 0.1


async def test_missing_ca_file(prober: Prober, authority: trustme.CA, tmp_path: Path) -> None:
    async with serving(says(OK), certified(authority, "127.0.0.1")) as url:
        result = await prober.probe(Request(url, ca_file=str(tmp_path / "none.pem")))
    assert result.reason is Reason.TLS


class Recorder:
    """Keeps each request as it came over the wire, and answers "ok"."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        self.requests.append(head + (await reader.readexactly(int(length[1])) if length else b""))
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n" if head.startswith(b"HEAD") else OK)


async def test_the_request_on_the_wire_is_the_one_asked_for(prober: Prober) -> None:
    heard = Recorder()
    body = bytes(range(256))
    async with serving(heard) as url:
        for method in ("POST", "PUT", "DELETE"):
            sent = await prober.probe(
                Request(url, method, headers=(("X-A", "é"), ("X-Empty", "")), body=body)
            )
            assert sent.success
        for method in ("GET", "HEAD", "OPTIONS"):
            assert (await prober.probe(Request(url, method))).success
    assert [request.split()[0] for request in heard.requests] == [
        *(b"POST", b"PUT", b"DELETE"),
        *(b"GET", b"HEAD", b"OPTIONS"),
    ]
    for request in heard.requests[:3]:
        assert request.endswith(b"\r\n\r\n" + body)
        assert "X-A: é\r\n".encode() in request
        assert b"X-Empty:\r\n" in request
        assert b"Content-Type" not in request
        assert b"Expect" not in request
    for request in heard.requests[3:]:
        assert b"X-A" not in request
        assert b"Accept-Encoding" not in request
        assert b"User-Agent: paciolus-monitor\r\n" in request


async def test_each_probe_is_a_new_connection(prober: Prober) -> None:
    connections = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)

    async with serving(converse) as url:
        for _ in range(5):
            assert (await prober.probe(Request(url))).success
    assert connections == 5


async def test_proxies_come_from_the_request_only(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")
    proxy = Recorder()
    async with serving(says(OK)) as url, serving(proxy) as proxy_url:
        assert (await prober.probe(Request(url))).success
        assert proxy.requests == []
        assert (await prober.probe(Request("http://service.test/health", proxy=proxy_url))).success
    assert proxy.requests[0].startswith(b"GET http://service.test/health HTTP/1.1\r\n")


async def test_gzip_is_unpacked_when_asked_for(prober: Prober) -> None:
    result = await answer(prober, says(GZIP + gzip.compress(b"plain " * 99)), compressed=True)
    assert result.body == b"plain " * 99


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7", 7.0),
        ("Retry-After: 99999999", 3600.0),
        ("Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", 3600.0),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Retry-After: soon", None),
        ("Retry-After: -5", None),
        ("X: y", None),
    ],
)
async def test_retry_after(prober: Prober, header: str, seconds: float | None) -> None:
    result = await answer(prober, says(f"HTTP/1.1 429 Slow down\r\n{header}\r\n\r\n".encode()))
    assert (result.status, result.retry_after) == (429, seconds)


async def test_retry_after_as_a_date(prober: Prober) -> None:
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    result = await answer(prober, says(f"HTTP/1.1 429 Slow down\r\nRetry-After: {soon}\r\n\r\n".encode()))
    assert result.retry_after == pytest.approx(60, abs=10)


async def test_a_cancelled_probe_leaves_nothing_behind(prober: Prober) -> None:
    left = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await is_silent(reader, _writer)
        left.set()

    async with serving(converse) as url:
        task = asyncio.create_task(prober.probe(Request(url)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 5)
    assert (await answer(prober, says(OK))).success


async def test_closing_cancels_what_is_in_flight_and_what_comes_later() -> None:
    prober = Prober()
    async with serving(is_silent) as url:
        task = asyncio.create_task(prober.probe(Request(url)))
        await asyncio.sleep(0.05)
        await prober.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.CancelledError):
            await prober.probe(Request(url))
    await prober.close()


async def test_no_more_at_once_than_allowed() -> None:
    now = most = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(OK)

    async with serving(converse) as url, Prober(max_concurrent=3) as prober:
        results = await asyncio.gather(*(prober.probe(Request(url)) for _ in range(12)))
    assert all(result.success for result in results)
    assert most == 3


@pytest.fixture
def other_thread() -> Iterator[str]:
    """A server that answers after 0.1 s whatever our event loop does; the path /never gets no answer."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            if b"/never" in peer.recv(4096):
                peer.recv(1)
            else:
                time.sleep(0.1)
                peer.sendall(OK)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    thread.join(5)
    server.close()


async def test_an_answer_that_came_while_the_loop_was_blocked_counts(
    prober: Prober, other_thread: str
) -> None:
    task = asyncio.create_task(prober.probe(Request(other_thread + "/", timeout=0.4)))
    await asyncio.sleep(0.02)
    time.sleep(0.8)  # noqa: ASYNC251 this is the fault
    result = await task
    assert result.success, result
    assert result.stalled > 0.5


async def test_a_deadline_holds_after_the_loop_was_blocked(prober: Prober, other_thread: str) -> None:
    task = asyncio.create_task(prober.probe(Request(other_thread + "/never", timeout=0.2)))
    await asyncio.sleep(0.02)
    time.sleep(0.5)  # noqa: ASYNC251 this is the fault
    result = await task
    assert result.reason is Reason.TIMEOUT
    assert result.duration < 5


async def test_nothing_stalled_on_a_free_loop(prober: Prober) -> None:
    assert (await answer(prober, is_silent, timeout=0.3)).stalled < 0.3


PEAK = """
import asyncio, resource, sys
from exporters.http import Prober, Request

async def main():
    async with Prober() as prober:
        await prober.probe(Request(sys.argv[1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(3):
            for url in sys.argv[2:]:
                result = await prober.probe(Request(url, timeout=5.0, max_redirects=3, compressed=True))
                assert not result.success, result
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""


async def test_hostile_answers_cost_bounded_memory() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    async with (
        serving(says(OK)) as warm_up,
        serving(repeats(HEAD + b"\r\n", b"x" * 65536)) as endless,
        serving(repeats(HEAD, b"X: y\r\n" * 999)) as headers,
        serving(says(GZIP + bomb)) as packed,
        serving(redirects_to("/")) as redirect,
    ):
        urls = (warm_up, endless, headers, packed, redirect)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PEAK, *urls, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0
    assert int(output) * 1024 < 30_000_000


async def test_headers_are_kept_on_request_and_those_of_the_last_answer(prober: Prober) -> None:
    async with serving(
        says(HEAD + b"X-Request-ID:  a1 \r\nSet-Cookie: b:c\r\nContent-Length: 2\r\n\r\nok")
    ) as there:
        moved = f"HTTP/1.1 302 Found\r\nX-Old: 1\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(says(moved)) as here:
            result = await prober.probe(Request(here, max_redirects=1, keep_headers=True))
            assert result.headers == (("x-request-id", "a1"), ("set-cookie", "b:c"), ("content-length", "2"))
            assert (await prober.probe(Request(there))).headers == ()
    cut = await answer(prober, says(HEAD + b"Content-T"), keep_headers=True)
    assert (cut.reason, cut.status) == (Reason.BODY, 200)
