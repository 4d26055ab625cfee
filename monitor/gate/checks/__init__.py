"""All checks by name. One more is a function in a file here, lines in CHECKS and alerts/gate.yml, and a test.

A function takes the Run and returns what it Found; what it raises becomes a result with a cause, too.
"""

from __future__ import annotations

from monitor.gate.checks import (
    accounts,
    cors,
    edge,
    exposure,
    functional,
    headers,
    idle,
    memory,
    passwords,
    past,
    performance,
    regression,
    state,
    tokens,
)
from monitor.gate.found import Check

CHECKS: dict[str, Check] = {
    "register": Check("functional", "a user can register", functional.registers),
    "log-in": Check("functional", "a user can log in", functional.logs_in),
    "upload": Check("functional", "a trial balance is analysed", functional.uploads),
    "pdf-export": Check("functional", "a PDF is made of it", functional.exports_pdf),
    "excel-export": Check("functional", "an Excel file is made of it", functional.exports_excel),
    "history": Check("functional", "the activity history shows it", functional.shows_history),
    "client-create": Check("functional", "a client can be created", functional.creates_client),
    "client-edit": Check("functional", "a client can be edited", functional.edits_client),
    "client-delete": Check("functional", "a client can be deleted", functional.deletes_client),
    "ready": Check("functional", "it says that it is ready", functional.is_ready),
    "frontend": Check("functional", "the frontend's pages load", functional.frontend_loads),
    "clean-up": Check("functional", "nothing is left behind", functional.is_cleaned),
    "https": Check("security", "nothing is served without TLS", edge.https_enforced),
    "tls": Check("security", "TLS 1.2 at least, and 1.3 offered", edge.tls_versions),
    "certificate": Check(
        "security", "the certificate is trusted, and good for {limit}", edge.certificate, unit="seconds"
    ),
    "hsts": Check("security", "HSTS for {limit} on every answer", headers.hsts, unit="seconds"),
    "security-headers": Check("security", "security headers on every answer", headers.all_there),
    "protected-routes": Check(
        "security", "every protected route wants a token", tokens.routes_protected, asks=14
    ),
    "tampered-token": Check("security", "a tampered token is refused", tokens.tampered, asks=5),
    "unsigned-token": Check("security", "a token with alg none is refused", tokens.unsigned, asks=9),
    "public-secret": Check(
        "security", "no token is signed with a public secret", tokens.public_secret, asks=6
    ),
    "expired-token": Check("security", "an expired token is refused", tokens.expired),
    "other-accounts": Check(
        "security", "nobody gets at another account's data", accounts.kept_apart, asks=12
    ),
    "account-enumeration": Check("security", "a log-in does not tell who has an account", accounts.not_told),
    "one-secret": Check(
        "security", "a token is good on every instance", tokens.good_everywhere, asks=tokens.INSTANCES_TRIED
    ),
    "cors": Check("security", "other origins are kept out", cors.restricted),
    "password-rules": Check("security", "weak passwords are refused", passwords.rules_enforced, asks=6),
    "docs-closed": Check("security", "no documentation in production", exposure.docs_closed),
    "metrics-private": Check("security", "/metrics is not public", exposure.metrics_private),
    "stack-traces": Check("security", "no answer shows a stack trace", exposure.no_traces, asks=15),
    "secret-age": Check("security", "the JWT secret is {limit} old", state.secret_age, unit="seconds"),
    "health-latency": Check(
        "performance",
        "/health takes {limit} (median)",
        performance.health_latency,
        objective="gauge_quantile",
    ),
    "latency-p95": Check("performance", "p95 {limit}", performance.by_turns, objective="quantile"),
    "error-rate": Check("performance", "server errors {limit}", performance.by_turns, objective="ratio"),
    "regression": Check("performance", "no slower or worse than the baseline", regression.not_worse),
    "burst": Check(
        "performance",
        "with ten requests at once, server errors {limit}",
        performance.burst,
        objective="ratio",
        own=True,
    ),
    "after-idle": Check(
        "performance",
        "the first request after six idle seconds takes {limit}",
        idle.wakes_up,
        unit="seconds",
        waits=idle.WAITS,
    ),
    "ten-thousand-rows": Check(
        "performance", "10,000 rows take {limit} (median)", performance.large, unit="seconds"
    ),
    "home-page": Check(
        "performance", "the home page takes {limit} (median)", performance.home_page, unit="seconds"
    ),
    "memory-leak": Check(
        "performance",
        "memory growth {limit} MB a minute",
        memory.grows,
        unit="number",
        asks=memory.MOST,
        waits=memory.WAITS,
    ),
    "pool-usage": Check("state", "database pool in use {limit}", state.objective, objective="utilisation"),
    "memory-usage": Check("state", "memory in use {limit}", state.objective, objective="utilisation"),
    "failed-logins": Check("state", "failed logins {limit}", state.objective, objective="rate"),
    "zero-storage": Check(
        "state", "trial balances written to a disk: {limit}", state.objective, objective="total"
    ),
    "availability": Check("state", "availability {limit}", past.objective, objective="availability"),
    "error-budget": Check("state", "error budget left: {limit}", past.error_budget, unit="ratio"),
    "firing-alerts": Check("state", "no alert fires", past.firing),
}
