"""The shipped API with one defect each: `uvicorn --factory tests.gate.defects:slow_route`.

DEFECTS says which check has to catch it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import delete
from sqlalchemy.orm import Session
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import auth, clients, exports, passwords, security, trial_balance
from app.database import Sessions
from app.main import create_app
from app.models import Client, DiagnosticSummary, User
from app.settings import DEVELOPMENT_SECRET, Settings
from monitor.demo.api import SmallMachine

Factory = Callable[[], ASGIApp]


class Defect(NamedTuple):
    make: Factory
    check: str
    """That has to catch it."""
    after: tuple[str, ...]
    """Checks that make the traffic in which it shows."""
    always: bool = True
    """Else it is so near to the limit that some runs end with "inconclusive": never with a pass."""


DEFECTS: dict[str, Defect] = {}
IDLE = 5.0
READ = ("/clients", "/activity", "/auth/me")
"""Three of the five requests that performance is sampled with."""
_before: dict[tuple[Any, str], Any] = {}


def caught_by(check: str, *after: str, always: bool = True) -> Callable[[Factory], Factory]:
    def named(factory: Factory) -> Factory:
        DEFECTS[factory.__name__] = Defect(factory, check, after or ("upload",), always)
        return factory

    return named


def changed(owner: Any, name: str, value: Any) -> None:
    """For the whole process; put back by tests that stay in it."""
    _before.setdefault((owner, name), getattr(owner, name))
    setattr(owner, name, value)


def put_back() -> None:
    while _before:
        (owner, name), value = _before.popitem()
        setattr(owner, name, value)


def healthy() -> FastAPI:
    return create_app(registry=CollectorRegistry())


def before(app: ASGIApp, act: Callable[[Scope], Any]) -> ASGIApp:
    """Awaits `act` before each request; an answer of its own is sent in place of the app's."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await act(scope) if scope["type"] == "http" else None
        await (answer or app)(scope, receive, send)

    return wrapped


def answering(app: ASGIApp, change: Callable[[Scope, MutableHeaders], None]) -> ASGIApp:
    """Changes the headers of each answer."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                change(scope, MutableHeaders(scope=message))
            await send(message)

        await app(scope, receive, changed if scope["type"] == "http" else send)

    return wrapped


def replaced(app: FastAPI, path: str, methods: list[str], endpoint: Callable[..., Any]) -> FastAPI:
    app.router.routes.insert(0, APIRoute(path, endpoint, methods=methods))
    return app


def without(name: str) -> Callable[[Scope, MutableHeaders], None]:
    def change(_scope: Scope, headers: MutableHeaders) -> None:
        del headers[name]

    return change


@caught_by("latency-p95")
def slow_route() -> ASGIApp:
    async def dawdle(scope: Scope) -> None:
        if scope["path"] == "/activity":
            await asyncio.sleep(3.2)

    return before(healthy(), dawdle)


@caught_by("error-rate")
def eight_percent_errors() -> ASGIApp:
    """One route of the five that are asked fails two times of five."""
    turns = itertools.cycle((False, False, True, False, True))

    async def fail(scope: Scope) -> ASGIApp | None:
        if scope["path"] == "/activity" and next(turns):
            return JSONResponse({"detail": "Internal server error"}, status_code=500)
        return None

    return before(healthy(), fail)


@caught_by("error-rate", always=False)
def eight_percent_at_random() -> ASGIApp:
    """Near the limit of 5 %: some 97 of 100 runs fail, the others are inconclusive."""
    dice = random.Random()

    async def fail(scope: Scope) -> ASGIApp | None:
        if _of_prober(scope, *READ) and dice.random() < 0.08 * 5 / 3:
            return JSONResponse({"detail": "Internal server error"}, status_code=500)
        return None

    return before(healthy(), fail)


def _of_prober(scope: Scope, *paths: str) -> bool:
    """What samples performance; what walks the user's way asks to keep its connection."""
    return scope["path"] in paths and not any(name == b"connection" for name, _ in scope["headers"])


@caught_by("latency-p95")
def slow_for_one_in_seven() -> ASGIApp:
    return _slow_for(0.15)


@caught_by("latency-p95", always=False)
def slow_for_six_of_a_hundred() -> ASGIApp:
    """A mean and a median show nothing of it."""
    return _slow_for(0.06)


def _slow_for(share: float) -> ASGIApp:
    dice = random.Random()

    async def dawdle(scope: Scope) -> None:
        if _of_prober(scope, *READ) and dice.random() < share * 5 / 3:
            await asyncio.sleep(3.2)

    return before(healthy(), dawdle)


@caught_by("after-idle")
def slow_after_idle() -> ASGIApp:
    """The first request after IDLE seconds without any; numbers and /health are asked all the time."""
    last = time.monotonic()

    async def wake(scope: Scope) -> None:
        nonlocal last
        if scope["path"] in ("/metrics", "/health"):
            return
        slept, last = time.monotonic() - last > IDLE, time.monotonic()
        if slept and _of_prober(scope, "/clients"):
            await asyncio.sleep(3.5)

    return before(healthy(), wake)


@caught_by("burst")
def errors_in_bursts() -> ASGIApp:
    """Whoever comes while four others are served is sent away."""
    app, inside = healthy(), 0

    async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        if scope["type"] != "http":
            return await app(scope, receive, send)
        inside += 1
        try:
            full = JSONResponse({"detail": "Internal server error"}, status_code=500)
            await (full if inside > 4 else app)(scope, receive, send)
        finally:
            inside -= 1

    return crowded


@caught_by("protected-routes")
def open_route() -> ASGIApp:
    def everybody(client_id: int) -> dict[str, int]:
        return {"id": client_id}

    return replaced(healthy(), "/clients/{client_id}", ["DELETE"], everybody)


@caught_by("unsigned-token")
def alg_none_accepted() -> ASGIApp:
    good = security.read_token

    def careless(token: str, settings: Settings) -> security.Claims | None:
        if jwt.get_unverified_header(token).get("alg") in ("none", "None"):
            return _unverified(token)
        return good(token, settings)

    changed(auth, "read_token", careless)
    return healthy()


@caught_by("tampered-token")
def signature_not_looked_at() -> ASGIApp:
    changed(auth, "read_token", lambda token, _settings: _unverified(token))
    return healthy()


def _unverified(token: str) -> security.Claims:
    claims = jwt.decode(token, options={"verify_signature": False})
    moments = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
    return security.Claims(int(claims["sub"]), claims["jti"], *moments)


@caught_by("expired-token")
def expired_accepted() -> ASGIApp:
    def careless(token: str, key: str, settings: Settings) -> security.Claims:
        jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
        return _unverified(token)

    changed(security, "_decoded", careless)
    return healthy()


@caught_by("expired-token")
def leeway_of_five_minutes() -> ASGIApp:
    good = security._decoded

    def patient(token: str, key: str, settings: Settings) -> Any:
        claims = jwt.decode(token, options={"verify_signature": False})
        late = time.time() - float(claims["exp"])
        return _decoded_late(token, key) if 0 < late < 300 else good(token, key, settings)

    changed(security, "_decoded", patient)
    return healthy()


def _decoded_late(token: str, key: str) -> security.Claims:
    jwt.decode(token, key, algorithms=["HS256"], leeway=300)
    return _unverified(token)


@caught_by("other-accounts")
def clients_of_everybody() -> ASGIApp:
    """Reads any client by its number, and files uploads under it."""

    def careless(session: Session, client_id: int, user_id: int) -> Client:
        return session.get(Client, client_id) or clients._missing()

    changed(clients, "owned_client", careless)
    changed(trial_balance, "owned_client", careless)
    return healthy()


@caught_by("other-accounts")
def anybody_deletes_clients() -> ASGIApp:
    def delete_client(client_id: int, user: auth.CurrentUser, sessions: Sessions) -> Response:
        with sessions.begin() as session:
            gone = session.execute(delete(Client).where(Client.id == client_id).returning(Client.id)).all()
        return Response(status_code=204 if gone else 404)

    return replaced(healthy(), "/clients/{client_id}", ["DELETE"], delete_client)


@caught_by("other-accounts")
def deletes_and_denies_it() -> ASGIApp:
    """404 for another account's client, which is gone all the same."""

    def delete_client(client_id: int, user: auth.CurrentUser, sessions: Sessions) -> Response:
        with sessions.begin() as session:
            gone = session.execute(delete(Client).where(Client.id == client_id).returning(Client.user_id))
            mine = gone.scalar() == user.id
        return Response(status_code=204 if mine else 404)

    return replaced(healthy(), "/clients/{client_id}", ["DELETE"], delete_client)


@caught_by("other-accounts")
def pdf_of_another() -> ASGIApp:
    good = exports._stored

    def careless(session: Session, summary_id: int, user_id: int) -> dict[str, Any]:
        summary = session.get(DiagnosticSummary, summary_id)
        return good(session, summary_id, summary.user_id if summary else user_id)

    changed(exports, "_stored", careless)
    return healthy()


@caught_by("account-enumeration")
def unknown_addresses_told() -> ASGIApp:
    good = auth._known

    async def frank(credentials: auth.Credentials, sessions: Any, request: Request) -> User:
        if await asyncio.to_thread(auth._find, sessions, credentials.email.lower()) is None:
            raise HTTPException(404, "There is no account with this e-mail address")
        return await good(credentials, sessions, request)

    changed(auth, "_known", frank)
    return healthy()


@caught_by("public-secret")
def development_secret() -> ASGIApp:
    app = healthy()
    known = {"jwt_secret_key": SecretStr(DEVELOPMENT_SECRET)}
    app.state.settings = app.state.settings.model_copy(update=known)
    return app


@caught_by("one-secret")
def another_secret_on_one_of_two_instances() -> ASGIApp:
    """Who is balanced by connection: one of two tokens is refused."""
    app, instances = healthy(), itertools.cycle((True, False))
    chosen: dict[object, bool] = {}

    async def forget_key(scope: Scope) -> ASGIApp | None:
        if _of_prober(scope, "/auth/me") and not chosen.setdefault(scope["client"], next(instances)):
            scope["headers"] = [each for each in scope["headers"] if each[0] != b"authorization"]
        return None

    return before(app, forget_key)


@caught_by("cors")
def any_origin() -> ASGIApp:
    def change(_scope: Scope, headers: MutableHeaders) -> None:
        headers["access-control-allow-origin"] = "*"

    return answering(healthy(), change)


@caught_by("cors")
def null_origin() -> ASGIApp:
    """As pages from a sandboxed frame send it, which anybody can make."""

    def change(scope: Scope, headers: MutableHeaders) -> None:
        if (b"origin", b"null") in scope["headers"]:
            headers["access-control-allow-origin"] = "null"

    return answering(healthy(), change)


@caught_by("hsts")
def no_hsts() -> ASGIApp:
    return answering(healthy(), without("strict-transport-security"))


@caught_by("security-headers")
def sniffed() -> ASGIApp:
    return answering(healthy(), without("x-content-type-options"))


@caught_by("security-headers")
def version_told() -> ASGIApp:
    def change(_scope: Scope, headers: MutableHeaders) -> None:
        headers["server"] = "uvicorn/0.30.1"

    return answering(healthy(), change)


@caught_by("stack-traces")
def trace_in_a_500() -> ASGIApp:
    """Debug is off; somebody was helpful where exceptions are handled."""

    shown = traceback.format_list(traceback.extract_stack())

    async def falls_over(scope: Scope) -> ASGIApp | None:
        if scope["path"].startswith("/clients/99999"):
            return JSONResponse({"detail": "".join(shown)}, status_code=500)
        return None

    return before(healthy(), falls_over)


@caught_by("stack-traces")
def debug_on() -> ASGIApp:
    """And something that goes wrong: a number that is none."""
    app = healthy()
    app.debug = True

    async def raises(request: Request, error: Exception) -> JSONResponse:
        if request.url.path == "/clients/not-a-number":
            raise RuntimeError("nobody thought of it")
        return JSONResponse({"detail": "wrong"}, status_code=422)

    app.add_exception_handler(RequestValidationError, raises)
    return app


@caught_by("docs-closed")
def documentation_open() -> ASGIApp:
    app = healthy()
    app.openapi_url, app.docs_url = "/openapi.json", "/docs"
    app.setup()
    return app


@caught_by("password-rules")
def weak_passwords() -> ASGIApp:
    changed(passwords, "RULES", ())
    return healthy()


@caught_by("password-rules")
def common_passwords() -> ASGIApp:
    changed(passwords, "_COMMON", set())
    return healthy()


@caught_by("zero-storage")
def upload_spooled_to_disk() -> ASGIApp:
    changed(trial_balance._InMemoryParser, "spool_max_size", 10)
    return healthy()


@caught_by("pool-usage", "latency-p95")
def pool_leak() -> ASGIApp:
    """Connections that never come back; the overflow hides it from users."""
    app, numbers = healthy(), itertools.count(1)
    lost: list[Any] = []

    async def lose(scope: Scope) -> None:
        if scope["path"] == "/clients" and next(numbers) % 2 == 0 and len(lost) < 5:
            lost.append(await asyncio.to_thread(app.state.engine.connect))

    return before(app, lose)


@caught_by("memory-usage")
def little_memory() -> ASGIApp:
    """A machine that the process just fits into."""
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    return create_app(registry=SmallMachine(folder, limit=80_000_000))


@caught_by("failed-logins")
def passwords_guessed() -> ASGIApp:
    app = healthy()

    def guess() -> None:
        while True:
            app.state.login_failures.record("bad_password")
            time.sleep(0.2)

    threading.Thread(target=guess, daemon=True).start()
    return app


@caught_by("health-latency")
def slow_health() -> ASGIApp:
    async def dawdle(scope: Scope) -> None:
        if scope["path"] == "/health":
            await asyncio.sleep(0.25)

    return before(healthy(), dawdle)


@caught_by("ten-thousand-rows")
def slow_analysis() -> ASGIApp:
    async def dawdle(scope: Scope) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if int(length) > 100_000:
            await asyncio.sleep(5)

    return before(healthy(), dawdle)


@caught_by("ready")
def not_ready() -> ASGIApp:
    return replaced(
        healthy(),
        "/health/ready",
        ["GET"],
        lambda: JSONResponse({"status": "unavailable", "reason": "database: no answer"}, status_code=503),
    )


@caught_by("register")
def registration_fails() -> ASGIApp:
    def refuse() -> None:
        raise HTTPException(500, "Internal server error")

    return replaced(healthy(), "/auth/register", ["POST"], refuse)


@caught_by("upload")
def wrong_totals() -> ASGIApp:
    good = trial_balance._report

    def careless(*arguments: Any) -> trial_balance.Report:
        return good(*arguments).model_copy(update={"balanced": False})

    changed(trial_balance, "_report", careless)
    return healthy()


@caught_by("pdf-export")
def empty_pdf() -> ASGIApp:
    return replaced(healthy(), "/export/pdf", ["POST"], lambda: {"pages": 0})


@caught_by("excel-export")
def broken_excel() -> ASGIApp:
    def fail() -> None:
        raise HTTPException(503, "Too many documents are being made. Try again shortly.")

    return replaced(healthy(), "/export/excel", ["POST"], fail)


@caught_by("history")
def history_forgets() -> ASGIApp:
    def nothing(user: auth.CurrentUser) -> list[Any]:
        return []

    return replaced(healthy(), "/activity", ["GET"], nothing)


@caught_by("client-edit")
def edit_is_lost() -> ASGIApp:
    def edited(client_id: int, new: clients.NewClient, user: auth.CurrentUser) -> dict[str, Any]:
        return {"id": client_id, "name": new.name}

    return replaced(healthy(), "/clients/{client_id}", ["PUT"], edited)


@caught_by("client-delete")
def delete_is_lost() -> ASGIApp:
    return replaced(healthy(), "/clients/{client_id}", ["DELETE"], _signed_in_but_idle)


def _signed_in_but_idle(client_id: int, user: auth.CurrentUser) -> Response:
    return Response(status_code=204)


@caught_by("clean-up")
def accounts_stay() -> ASGIApp:
    def fail() -> None:
        raise HTTPException(500, "Internal server error")

    return replaced(healthy(), "/auth/delete", ["POST"], fail)


@caught_by("memory-leak")
def memory_leak() -> ASGIApp:
    """1 MB a minute, whatever is asked."""
    kept: list[bytes] = []

    def grow() -> None:
        while True:
            kept.append(bytes(range(256)) * 65)
            time.sleep(1)

    threading.Thread(target=grow, daemon=True).start()
    return healthy()


@caught_by("memory-leak")
def leak_by_request() -> ASGIApp:
    """10 kB of each, which nobody sees who only watches an idle process."""
    kept: list[bytes] = []

    async def grow(scope: Scope) -> None:
        if scope["path"] != "/metrics":
            kept.append(bytes(range(250)) * 40)

    return before(healthy(), grow)
