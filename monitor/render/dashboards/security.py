"""Is somebody at the door, and are secrets and certificates fresh?"""

from __future__ import annotations

from monitor.objectives import Objectives
from monitor.render import judged
from monitor.render.dashboard import OF_TARGET, Band, band, dashboard, target_variables
from monitor.render.panels import NEUTRAL, UNKNOWN_COLOUR, Json, Query, Step, coloured, lines, stacked, stat

FAILURES = "auth_login_failures_total"
REFUSED = f'{FAILURES}{{{OF_TARGET}, reason=~"locked|throttled"}}'
WRITTEN = f"zero_storage_violations_total{{{OF_TARGET}}}"
A_DAY = 86400
SECRET_AGE = f"auth_jwt_secret_age_seconds{{{OF_TARGET}}} / {A_DAY}"
DAYS_LEFT = f"(probe_certificate_expiry_timestamp_seconds{{{OF_TARGET}}} - time()) / {A_DAY}"
DAYS = "suffix: d"
REASONS = {
    "bad_password": "blue",
    "unknown_user": "purple",
    "locked": "orange",
    "throttled": "yellow",
    "inactive": "text",
}
EXPIRED = (Step(UNKNOWN_COLOUR, None), Step("red", -1e6), Step("text", 0))
"""Nothing documented says how early; less than no day is too late."""
NO_DATE = "JWT_SECRET_ROTATED_AT is not set"
NO_HTTPS = "no https target is probed"


def security(objectives: Objectives) -> str:
    return dashboard(
        "security",
        target_variables("auth_login_failures_total"),
        _now(objectives),
        band(9, _failed_logins(objectives), _refused(), widths=(15, 9)),
        band(8, _storage(), _certificates(), _secret_age()),
    )


def _now(objectives: Objectives) -> Band:
    watched = (judged.named(objectives, name) for name in ("failed-logins", "zero-storage"))
    figures = [judged.figure(objectives, objective) for objective in watched if objective]
    panels = [*figures, _locked(), _certificate_now(), _secret_now()]
    widths = (5,) * len(panels)
    return band(4, *panels, widths=(*widths[:-1], 24 - sum(widths[:-1])))


def _locked() -> Json:
    return stat(
        "Attempts on locked accounts",
        "Over the time shown. Many: an account is being guessed at, or its owner has forgotten the password. "
        "docs/runbooks/failed-logins.md.",
        "none",
        Query(f'sum(increase({FAILURES}{{{OF_TARGET}, reason="locked"}}[$__range]))', "locked"),
        decimals=0,
    )


def _certificate_now() -> Json:
    return stat(
        "Certificate, days left",
        "Of the one that expires first. Below what a renewal by hand takes: renew now, then find out why it "
        "did not renew itself. Only https targets have one.",
        DAYS,
        Query(f"min by (target) ({DAYS_LEFT})", "{{target}}"),
        limits=EXPIRED,
        no_value=NO_HTTPS,
        decimals=0,
    )


def _secret_now() -> Json:
    return stat(
        "JWT secret, days old",
        "Older than the operations document allows (its section on secrets): rotate JWT_SECRET_KEY as "
        "docs/deploy.md describes. Shown where JWT_SECRET_ROTATED_AT is set.",
        DAYS,
        Query(f"max by (target) ({SECRET_AGE})", "{{target}}"),
        no_value=NO_DATE,
        decimals=0,
    )


def _failed_logins(objectives: Objectives) -> Json:
    panel = stacked(
        "Failed logins a minute, by reason",
        "The line is about their sum. bad_password for many: a storm, docs/runbooks/failed-logins.md. "
        "unknown_user: lists of addresses are tried. throttled: we hold somebody back already.",
        "suffix:/min",
        Query(f"60 * sum by (reason) (rate({FAILURES}{{{OF_TARGET}}}[$__rate_interval]))", "{{reason}}"),
        limits=judged.limits_of(objectives, "failed-logins"),
        legend="right",
    )
    return coloured(panel, **REASONS)


def _refused() -> Json:
    panel = lines(
        "Refused unread: locked or throttled, a minute",
        "The password was not even looked at. Users complain that the right one is refused: their account "
        "is locked, and the runbook says how to open it: docs/runbooks/failed-logins.md.",
        "suffix:/min",
        Query(f"60 * sum by (reason) (rate({REFUSED}[$__rate_interval]))", "{{reason}}"),
    )
    return coloured(panel, **REASONS)


def _storage() -> Json:
    return lines(
        "Trial-balance data written to a disk, a minute, by kind",
        "One is too many, and critical: docs/runbooks/zero-storage.md. The kinds are those of "
        "exporters/zero_storage.py.",
        "suffix:/min",
        Query(f"60 * sum by (kind) (rate({WRITTEN}[$__rate_interval]))", "{{kind}}"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _certificates() -> Json:
    return lines(
        "Certificates: days left, check by check",
        "A line that falls for months and never jumps back is a certificate that nobody renews.",
        DAYS,
        Query(f"min by (target, check) ({DAYS_LEFT})", "{{target}} {{check}}"),
        no_value=NO_HTTPS,
    )


def _secret_age() -> Json:
    return lines(
        "JWT secret: days old, over time",
        "It falls to 0 when the secret is rotated. Never falling: nobody rotates it. Shown where "
        "JWT_SECRET_ROTATED_AT is set.",
        DAYS,
        Query(f"max by (target) ({SECRET_AGE})", "{{target}}"),
        no_value=NO_DATE,
    )
