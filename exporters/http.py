"""The black-box probe: one HTTP request over a fresh connection, how long each phase took, and why it failed.

libcurl does the work and keeps the times. Nothing is remembered between two probes (no kept connection, no
cached address, no resumed TLS session): each walks the whole way that a new visitor walks. HTTP/1.1 is
spoken.

A probe has a result, never an exception. Its reason, when it failed:

    dns        the name has no address
    connect    nothing accepted the connection, or it broke before a status came. Also a request that cannot
               be sent at all (no http or https URL, a line break in a header): the detail says so
    tls        handshake, certificate or trust
    timeout    the total deadline passed, in whichever phase
    status     the status is not an expected one, or what came back was no HTTP
    redirect   a redirect that nobody expected or that may not be followed, too many, or out of http and https
    body       the body broke off, could not be decoded, or does not match
    too_large  more body than max_body, or more header than libcurl takes (300 KB, 5000 lines)

With max_redirects=0 an unexpected 3xx with a Location is "redirect", not "status", and the detail says where
it leads, for that is what on-call needs to know. A 304 stays "status".

The times are true while the event loop is free. Blocked, it reads nothing, and the phase under way looks
longer than it was: `Result.stalled` says for how long that was so.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Self
from urllib.parse import urlsplit

import pycurl

from exporters.curl_loop import Multi, Transfer

MAX_RETRY_AFTER = 3600.0
"""Seconds. A target may ask us to slow down, but not to look away for a day."""

_DETAIL = 200
_E_TOO_LARGE = 100  # CURLE_TOO_LARGE, which pycurl does not name
_URL = re.compile(r"https?://[^/?#\s]\S*", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Reason(StrEnum):
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    STATUS = "status"
    BODY = "body"
    REDIRECT = "redirect"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and what to expect.

    `timeout` is the total deadline in seconds (at most an hour), from the look-up of the name to the last
    byte. `max_body` counts bytes after decompression. `expect_status` are inclusive ranges; when redirects
    are followed they judge the last answer. `expect_body` is searched in the body: nothing bounds its time,
    so keep nested repeats out of it. Without `ca_file` the system's certificates are trusted. A proxy comes
    from `proxy` only, never from the environment. `keep_headers`: the result has those of the answer."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    timeout: float = 10.0
    max_body: int = 1_048_576
    max_redirects: int = 0
    expect_status: tuple[tuple[int, int], ...] = ((200, 299),)
    expect_body: re.Pattern[bytes] | None = None
    proxy: str | None = None
    ca_file: str | None = None
    compressed: bool = False
    keep_headers: bool = False

    @property
    def secure(self) -> bool:
        return self.url[:6].lower() == "https:"


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds that each phase took by libcurl's clock; they sum to the duration. 0.0 for a phase that did not
    happen; sums over all hops when redirects were followed."""

    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    first_byte: float = 0.0
    transfer: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """`detail` is one line for a human. `duration` and `stalled` are in seconds; `stalled` is for how long
    our own event loop was blocked meanwhile (over 50 ms at a time): then the times are upper bounds, and it
    is not the target's doing. `retry_after` is in seconds, at most MAX_RETRY_AFTER; a Retry-After of 0
    counts as none. `certificate_expires`, in seconds since the epoch, is the earliest end of the certificates
    that the server sent, trusted or not; None without TLS, or when the handshake did not get that far.
    `body` is empty when it was too large. `headers`, on request, are those of the last answer, their names in
    lower case."""

    reason: Reason | None
    detail: str
    status: int | None = None
    phases: Phases = Phases()
    duration: float = 0.0
    body: bytes = b""
    retry_after: float | None = None
    address: str = ""
    redirects: int = 0
    content_type: str = ""
    stalled: float = 0.0
    certificate_expires: float | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def success(self) -> bool:
        return self.reason is None


class Prober:
    """Runs probes, at most `max_concurrent` at once, on the loop that first uses it (asyncio's or uvloop's).

    Waiting for a free place costs a request nothing of its deadline; waiting for libcurl's resolver does,
    which looks up 20 names at a time: when as many hang, further names time out too."""

    def __init__(self, max_concurrent: int = 100) -> None:
        self._places = asyncio.Semaphore(max_concurrent)
        self._idle: list[pycurl.Curl] = []
        self._multi: Multi | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancels the probes in flight, and those that are asked for later."""
        self._closed = True
        if self._multi is not None:
            self._multi.close()
            self._multi = None
        while self._idle:
            self._idle.pop().close()

    async def probe(self, request: Request) -> Result:
        """Never raises, but when the caller is cancelled or the prober closed (asyncio.CancelledError)."""
        if (fault := _fault(request)) is not None:
            return _not_sent(fault)
        async with self._places:
            if self._closed:
                raise asyncio.CancelledError
            if self._multi is None:
                self._multi = Multi(asyncio.get_running_loop())
            curl = self._idle.pop() if self._idle else pycurl.Curl()
            try:
                return await _perform(self._multi, curl, request)
            finally:
                curl.close() if self._closed else self._idle.append(curl)


async def _perform(multi: Multi, curl: pycurl.Curl, request: Request) -> Result:
    transfer = Transfer(multi, request.timeout, request.max_body, request.keep_headers)
    try:
        try:
            _configure(curl, request, transfer)
        except (pycurl.error, TypeError, ValueError) as error:
            return _not_sent(str(error))
        code, message = await transfer.run(curl)
        return _result(curl, request, transfer, code, message)
    finally:
        transfer.leave(curl)


def _fault(request: Request) -> str | None:
    """Why the request cannot be sent, as far as libcurl would not notice, or guess instead of refusing."""
    if _URL.fullmatch(request.url) is None:
        return f"{request.url[:80]!r} is no http:// or https:// URL"
    if not 0 < request.timeout <= 3600:
        return f"a timeout of {request.timeout} s is not between 0 and 3600"
    if _TOKEN.fullmatch(request.method) is None:
        return f"{request.method[:20]!r} is no HTTP method"
    for name, value in request.headers:
        if _TOKEN.fullmatch(name) is None or any(c in value for c in "\r\n\0"):
            return f"header {name[:40]!r} has characters that HTTP does not allow"
    return None


def _not_sent(why: str) -> Result:
    return Result(Reason.CONNECT, f"not sent: {why}"[:_DETAIL])


_ALWAYS: tuple[tuple[int, Any], ...] = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.FRESH_CONNECT, 1),
    (pycurl.FORBID_REUSE, 1),
    (pycurl.DNS_CACHE_TIMEOUT, 0),
    (pycurl.SSL_SESSIONID_CACHE, 0),
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.REDIR_PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.NOPROXY, ""),
    (pycurl.USERAGENT, "paciolus-monitor"),
)


def _configure(curl: pycurl.Curl, request: Request, transfer: Transfer) -> None:
    curl.reset()
    for option, value in _ALWAYS:
        curl.setopt(option, value)
    curl.setopt(pycurl.URL, request.url.encode())
    curl.setopt(pycurl.PROXY, request.proxy or "")
    curl.setopt(pycurl.HEADERFUNCTION, transfer.header.append)
    curl.setopt(pycurl.WRITEFUNCTION, transfer.receive)
    if request.secure or request.proxy or request.max_redirects:
        _trust(curl, request.ca_file)
    if request.secure or request.max_redirects:
        curl.setopt(pycurl.OPT_CERTINFO, 1)
    if request.max_redirects:
        curl.setopt(pycurl.FOLLOWLOCATION, 1)
        curl.setopt(pycurl.MAXREDIRS, request.max_redirects)
    if request.compressed:
        curl.setopt(pycurl.ACCEPT_ENCODING, "gzip")
    _set_message(curl, request)


def _set_message(curl: pycurl.Curl, request: Request) -> None:
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
    if request.body is not None:
        curl.setopt(pycurl.POSTFIELDS, request.body)
        # Two headers that libcurl would add of its own accord.
        present = {name.lower() for name, _ in request.headers}
        lines += [f"{name}:" for name in ("Content-Type", "Expect") if name.lower() not in present]
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    elif request.method != ("GET" if request.body is None else "POST"):
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
    if lines:
        curl.setopt(pycurl.HTTPHEADER, [line.encode() for line in lines])


def _trust(curl: pycurl.Curl, ca_file: str | None) -> None:
    """pycurl's wheels look for certificates where their builder kept them; ssl knows where this system
    does."""
    file, folder = (ca_file, None) if ca_file else _system_certificates()
    for option, path in ((pycurl.CAINFO, file), (pycurl.CAPATH, folder)):
        if path:
            curl.setopt(option, path)


@cache
def _system_certificates() -> tuple[str | None, str | None]:
    paths = ssl.get_default_verify_paths()
    return (paths.cafile, None) if paths.cafile else (None, paths.capath)


def _result(curl: pycurl.Curl, request: Request, transfer: Transfer, code: int, message: str) -> Result:
    status = curl.getinfo(pycurl.RESPONSE_CODE) or None
    # libcurl sums up its total only for transfers that it has ended itself.
    timed_out = code == pycurl.E_OPERATION_TIMEDOUT
    duration = time.monotonic() - transfer.started if timed_out else curl.getinfo(pycurl.TOTAL_TIME)
    phases, last = _phases(curl, duration, request.secure)
    if code == pycurl.E_OK:
        reason, detail = _judge(curl, request, transfer, status or 0)
    elif timed_out:
        reason, detail = Reason.TIMEOUT, f"no answer within {request.timeout:g} s, {_WHILE[last]}"
    elif transfer.overflowed:
        reason, detail = Reason.TOO_LARGE, f"body larger than {request.max_body} bytes"
    else:
        reason, detail = _failure(code, message, status), message or pycurl.easy_strerror(code)
    return Result(
        reason=reason,
        detail=(detail or f"{status} in {duration:.3g} s")[:_DETAIL],
        status=status,
        phases=phases,
        duration=duration,
        body=bytes(transfer.body),
        retry_after=min(float(curl.getinfo(pycurl.RETRY_AFTER)), MAX_RETRY_AFTER) or None,
        address=curl.getinfo(pycurl.PRIMARY_IP) or "",
        redirects=curl.getinfo(pycurl.REDIRECT_COUNT),
        content_type=curl.getinfo(pycurl.CONTENT_TYPE) or "",
        stalled=transfer.stalled,
        certificate_expires=_certificate_expires(curl.getinfo_raw(pycurl.INFO_CERTINFO)),
        headers=_headers(transfer.header) if request.keep_headers else (),
    )


def _headers(lines: Iterable[bytes]) -> tuple[tuple[str, str], ...]:
    """Of the last answer: libcurl hands over those of redirects, too, each after its status line."""
    found: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            found.append((name.strip().lower(), value.strip()))
        elif line.startswith(b"HTTP/"):
            found.clear()
    return tuple(found)


def _certificate_expires(chain: list[tuple[tuple[bytes, bytes], ...]]) -> float | None:
    """libcurl has read the certificates before it judges them, so those are here that it refused."""
    ends = [value for fields in chain for name, value in fields if name == b"Expire date"]
    try:
        return min((float(ssl.cert_time_to_seconds(end.decode())) for end in ends), default=None)
    except ValueError:
        return None


_WHILE = {
    "dns": "while looking up the name",
    "connect": "while connecting",
    "tls": "during the TLS handshake",
    "first_byte": "while waiting for the first byte",
    "transfer": "while reading the answer",
}


def _phases(curl: pycurl.Curl, total: float, secure: bool) -> tuple[Phases, str]:
    """Lengths from libcurl's marks, which all count from the start, and the name of the last phase. A mark
    at 0 was not reached: its phase lasted until the end."""
    marks = {
        "dns": curl.getinfo(pycurl.NAMELOOKUP_TIME),
        "connect": curl.getinfo(pycurl.CONNECT_TIME),
        "tls": curl.getinfo(pycurl.APPCONNECT_TIME),
        "first_byte": curl.getinfo(pycurl.STARTTRANSFER_TIME),
    }
    if not secure and not marks["tls"]:
        del marks["tls"]
    elif marks["dns"] and not marks["connect"] and curl.getinfo(pycurl.NUM_CONNECTS):
        # Connected, but libcurl says since when only after the handshake, which here stands for both.
        del marks["connect"]
    lengths: dict[str, float] = {}
    before = 0.0
    for phase, mark in marks.items():
        if not mark:
            return Phases(**lengths, **{phase: total - before}), phase
        lengths[phase] = mark - before
        before = mark
    return Phases(**lengths, transfer=total - before), "transfer"


def _judge(curl: pycurl.Curl, request: Request, transfer: Transfer, status: int) -> tuple[Reason | None, str]:
    if transfer.header and transfer.header[-1].strip():
        return Reason.BODY, "the connection closed in the middle of the headers"
    if not any(low <= status <= high for low, high in request.expect_status):
        expected = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in request.expect_status)
        if 300 <= status < 400 and (target := curl.getinfo(pycurl.REDIRECT_URL)):
            return Reason.REDIRECT, f"{status} to {_place(target)}, expected {expected}"
        return Reason.STATUS, f"status {status}, expected {expected}"
    if request.expect_body is not None and request.expect_body.search(transfer.body) is None:
        size = len(transfer.body)
        return Reason.BODY, f"no match for {request.expect_body.pattern!r} in {size} bytes of body"
    return None, ""


def _place(url: str) -> str:
    """The URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


_REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.DNS,
    pycurl.E_COULDNT_RESOLVE_PROXY: Reason.DNS,
    pycurl.E_SSL_CONNECT_ERROR: Reason.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Reason.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Reason.TLS,
    pycurl.E_SSL_CERTPROBLEM: Reason.TLS,
    pycurl.E_SSL_CIPHER: Reason.TLS,
    pycurl.E_SSL_ISSUER_ERROR: Reason.TLS,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Reason.STATUS,
    pycurl.E_TOO_MANY_REDIRECTS: Reason.REDIRECT,
    _E_TOO_LARGE: Reason.TOO_LARGE,
}


def _failure(code: int, message: str, status: int | None) -> Reason:
    """The reason behind libcurl's code. What breaks before a status is the connection's fault, after it the
    body's."""
    if code in _REASONS:
        return _REASONS[code]
    if code in (pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT) and status:
        return Reason.REDIRECT
    if code == pycurl.E_UNSUPPORTED_PROTOCOL:
        return Reason.STATUS
    if "response headers" in message:  # too many or too large, for which libcurl has no code
        return Reason.TOO_LARGE
    return Reason.BODY if status else Reason.CONNECT
