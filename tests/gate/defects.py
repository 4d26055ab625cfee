"""The shipped API with one defect each: `uvicorn --factory tests.gate.defects:slow_route`.

DEFECTS says which check has to catch it.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import auth, clients, passwords, security, trial_balance
from app.main import create_app
from app.settings import DEVELOPMENT_SECRET, Settings
from monitor.demo.api import SmallMachine

Factory = Callable[[], ASGIApp]


class Defect(NamedTuple):
    make: Factory
    check: str
    """That has to catch it."""
    after: tuple[str, ...]
    """Checks that make the traffic in which it shows."""


DEFECTS: dict[str, Defect] = {}
_before: dict[tuple[Any, str], Any] = {}


def caught_by(check: str, *after: str) -> Callable[[Factory], Factory]:
    def named(factory: Factory) -> Factory:
        DEFECTS[factory.__name__] = Defect(factory, check, after or ("upload",))
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
        keeps_connection = any(name == b"connection" for name, _ in scope["headers"])
        if not keeps_connection and not chosen.setdefault(scope["client"], next(instances)):
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


def _signed_in_but_idle(client_id: int, user: auth.CurrentUser) -> JSONResponse:
    return JSONResponse(None, status_code=204)


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
