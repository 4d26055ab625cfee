"""alerts/gate.yml: which checks a profile has, what the gate's own claims are, and where everything is.

Thresholds of objectives are not repeated there: a check names the objective.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BeforeValidator, Field, TypeAdapter

from monitor.fields import BaseUrl, Database, HttpUrl, Mailbox, Name, Secret
from monitor.gate.found import Check
from monitor.gate.model import CLEAN_UP
from monitor.mistakes import did_you_mean, known_keys, shown
from monitor.objectives import Limit, Objective, Objectives, Positive, Text
from monitor.quantity import Threshold, Unit
from monitor.resources import ROOT
from monitor.slis import SLI_KINDS
from monitor.yamlfile import Document, Loc, load_yaml

DEFAULT_PROFILE = "post-deploy"
_EXAMPLES: dict[Unit, str] = {
    "seconds": "below 2s",
    "ratio": "at least 20%",
    "per_minute": "below 10/min",
    "number": "below 1",
}
_OPPOSITE = {"above": "at most", "below": "at least", "at least": "below", "at most": "above"}


@dataclass(frozen=True, slots=True)
class Claim:
    """What one check holds the target to, and the file and line that say so.

    `holds` is a limit on whose side a value is good; an objective's `breach` is the other way round.
    """

    check: str
    document: str
    where: str
    objective: Objective | None = None
    holds: Threshold | None = None

    @property
    def limit(self) -> str:
        """As a claim says it: `below 2 s`."""
        if self.objective is not None:
            breach = self.objective.breach
            return f"{_OPPOSITE[breach.operator]} {breach.limit}"
        return "" if self.holds is None else str(self.holds)

    @property
    def breach(self) -> str:
        """What is bad: `above 90 d`; "" for a check without a limit."""
        if self.objective is not None:
            return str(self.objective.breach)
        return "" if self.holds is None else f"{_OPPOSITE[self.holds.operator]} {self.holds.limit}"

    @property
    def value(self) -> float:
        """Of the limit, in base units; only for checks that have one."""
        limit = self.objective.breach if self.objective else self.holds
        return limit.value if limit else math.nan

    def is_kept_by(self, value: float) -> bool:
        if self.objective is not None:
            return not self.objective.breach.broken_by(value)
        return self.holds is None or self.holds.broken_by(value)


@dataclass(frozen=True, slots=True)
class Profile:
    """`max_time` in seconds; `samples`: requests at most for one claim, which most need far fewer for."""

    name: str
    checks: tuple[str, ...]
    max_time: float
    max_requests: int
    samples: int


@dataclass(frozen=True, slots=True)
class Account:
    """A given one, or "" for one that is registered by the gate and deleted again."""

    email: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Metrics:
    """`given` by the file; else it is a guess, and nobody's fault if it isn't there."""

    url: str
    token: str = field(default="", repr=False)
    given: bool = False


@dataclass(frozen=True, slots=True)
class GateConfig:
    path: Path
    claims: Mapping[str, Claim]
    profiles: Mapping[str, Profile]
    objectives: Objectives
    requests: tuple[str, ...]
    """`GET /clients`: what performance is sampled with, in turn."""
    protected: tuple[str, ...]
    """`GET /clients`: needs a token, whatever the target says of itself."""
    frontend: str
    plain: str
    ca_file: str
    edge: str
    account: Account
    metrics: Metrics
    jwt_secret: str = field(repr=False)
    database: str = field(repr=False)
    watched_as: str
    """The target's name there, and in Prometheus."""


def _unset(written: object) -> object:
    """`${NAME:-}` of a variable that is not set."""
    return None if written == "" else written


def _request(written: object) -> object:
    method, _, path = str(written).partition(" ")
    if method not in ("GET", "POST") or not path.startswith("/") or not path.isprintable():
        raise ValueError(f"expected a method and a path such as GET /clients, got {shown(written)}")
    return written


def _route(written: object) -> object:
    if not re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) /[!-~]*", str(written)):
        raise ValueError(f"expected a method and a path such as GET /clients/{{id}}, got {shown(written)}")
    return written


Unset = BeforeValidator(_unset)


@dataclass(frozen=True, slots=True)
class _Account:
    email: Annotated[Mailbox | None, Unset] = None
    password: Annotated[str | None, Unset] = None


@dataclass(frozen=True, slots=True)
class _Metrics:
    url: Annotated[HttpUrl | None, Unset] = None
    token: Annotated[Secret | None, Unset] = None


@dataclass(frozen=True, slots=True)
class _History:
    database: Annotated[Database | None, Unset] = None
    target: Annotated[Name | None, Unset] = None


@dataclass(frozen=True, slots=True)
class _Check:
    document: Text = ""
    objective: str | None = None
    claim: Limit | None = None


@dataclass(frozen=True, slots=True)
class _Profile:
    checks: Annotated[list[str], Field(min_length=1, max_length=200)]
    max_time: Positive = 120.0
    max_requests: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 1200
    samples: Annotated[int, Field(strict=True, ge=1, le=20_000)] = 600


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    checks: Annotated[dict[str, Any], Field(min_length=1, max_length=200)]
    profiles: Annotated[dict[Name, Any], Field(min_length=1, max_length=50)]
    requests: Annotated[
        tuple[Annotated[str, BeforeValidator(_request)], ...], Field(min_length=1, max_length=100)
    ]
    protected: Annotated[tuple[Annotated[str, BeforeValidator(_route)], ...], Field(max_length=1000)] = ()
    frontend: Annotated[BaseUrl | None, Unset] = None
    plain: Annotated[BaseUrl | None, Unset] = None
    ca_file: Annotated[str | None, Unset] = None
    edge: Literal["auto", "always"] = "auto"
    account: Annotated[_Account, known_keys(_Account)] = field(default_factory=_Account)
    metrics: Annotated[_Metrics, known_keys(_Metrics)] = field(default_factory=_Metrics)
    jwt_secret: Annotated[Secret | None, Unset] = None
    history: Annotated[_History, known_keys(_History)] = field(default_factory=_History)


_FILE: TypeAdapter[_File] = TypeAdapter(Annotated[_File, known_keys(_File)])
_CHECK: TypeAdapter[_Check] = TypeAdapter(Annotated[_Check, known_keys(_Check)])
_PROFILE: TypeAdapter[_Profile] = TypeAdapter(Annotated[_Profile, known_keys(_Profile)])


def load_gate(path: Path, objectives: Objectives, environ: Mapping[str, str] = os.environ) -> GateConfig:
    """Raises ConfigError with everything that is wrong with the file."""
    document = load_yaml(path)
    document.expand(environ)
    file = document.read(_FILE, document.root)
    claims = dict(_claims(document, objectives))
    profiles = dict(_profiles(document))
    if file is not None:
        _check_account(file.account, document)
    ca_file = _beside(file.ca_file, document, "ca_file") if file is not None else None
    document.raise_mistakes()
    assert file is not None  # noqa: S101 (a file that could not be read has mistakes)
    return GateConfig(
        path=path,
        claims=claims,
        profiles=profiles,
        objectives=objectives,
        requests=file.requests,
        protected=file.protected,
        frontend=file.frontend or "",
        plain=file.plain or "",
        ca_file=str(ca_file or ""),
        edge=file.edge,
        account=Account(file.account.email or "", file.account.password or ""),
        metrics=Metrics(file.metrics.url or "", file.metrics.token or "", given=bool(file.metrics.url)),
        jwt_secret=file.jwt_secret or "",
        database=_rendered(file.history.database),
        watched_as=file.history.target or "",
    )


def _claims(document: Document, objectives: Objectives) -> Iterator[tuple[str, Claim]]:
    from monitor.gate.checks import CHECKS  # imports this file

    places = _places(objectives)
    for name, written in document.under("checks", dict).items():
        loc: Loc = ("checks", name)
        if (check := CHECKS.get(name)) is None:
            document.wrong(loc, f"there is no check {name!r}{did_you_mean(name, CHECKS)}")
            continue
        if (shape := document.read(_CHECK, {} if written is None else written, loc)) is None:
            continue
        objective = _objective(check, shape, objectives, document, loc)
        _check_claim(check, shape, document, loc)
        where = places[objective.name] if objective else f"{_shown(document.path)}:{document.lines[loc]}"
        about = objective.document if objective else shape.document
        yield name, Claim(name, about, where, objective, shape.claim)


def _objective(
    check: Check, shape: _Check, objectives: Objectives, document: Document, loc: Loc
) -> Objective | None:
    if not check.objective:
        if shape.objective is not None:
            document.wrong((*loc, "objective"), "this check follows no objective; remove it")
        return None
    kinds = check.objective.split("|")
    fitting = [each.name for each in objectives if isinstance(each.sli, tuple(SLI_KINDS[k] for k in kinds))]
    if shape.objective is None:
        document.wrong((*loc, "objective"), f"missing; add `objective: …` here{did_you_mean('', fitting)}")
        return None
    if shape.objective not in fitting:
        cure = did_you_mean(shape.objective, fitting)
        document.wrong(
            (*loc, "objective"),
            f"there is no objective {shape.objective!r} of kind {' or '.join(kinds)} "
            f"in {objectives.path.name}{cure}",
        )
        return None
    return objectives.by_name(shape.objective)


def _check_claim(check: Check, shape: _Check, document: Document, loc: Loc) -> None:
    place = (*loc, "claim")
    if check.unit is None:
        if shape.claim is not None:
            document.wrong(place, "this check needs no limit; remove it")
    elif shape.claim is None:
        document.wrong(place, f"missing; add `claim: …` here, such as {_EXAMPLES[check.unit]}")
    elif shape.claim.unit != check.unit:
        document.wrong(place, f"expected a limit such as {_EXAMPLES[check.unit]}, got {shape.claim.text!r}")


def _profiles(document: Document) -> Iterator[tuple[str, Profile]]:
    known = document.under("checks", dict)
    for name, written in document.under("profiles", dict).items():
        loc: Loc = ("profiles", name)
        if (shape := document.read(_PROFILE, written, loc)) is None:
            continue
        for index, check in enumerate(shape.checks):
            place = (*loc, "checks", index)
            if check not in known:
                document.wrong(place, f"there is no {check!r} under checks{did_you_mean(check, known)}")
            elif check == CLEAN_UP:
                document.wrong(place, "this is always done, when all is over; remove it")
            elif check in shape.checks[:index]:
                document.wrong(place, f"{check!r} is in this profile already")
        yield (
            name,
            Profile(name, tuple(shape.checks), shape.max_time, shape.max_requests, shape.samples),
        )


def _check_account(account: _Account, document: Document) -> None:
    if (account.email is None) != (account.password is None):
        missing = "email" if account.email is None else "password"
        document.wrong(("account", missing), "e-mail address and password belong together: give both or none")


def _beside(written: str | None, document: Document, key: str) -> Path | None:
    if written is None:
        return None
    found = document.path.parent / written
    if not found.is_file():
        document.wrong((key,), f"expected a file, beside {document.path.name} or absolute, got {written!r}")
    return found


def _rendered(database: sa.URL | None) -> str:
    return database.render_as_string(hide_password=False) if database else ""


def _places(objectives: Objectives) -> dict[str, str]:
    """File and line of each objective."""
    document = load_yaml(objectives.path)
    return {
        written["name"]: f"{_shown(objectives.path)}:{document.lines['objectives', index]}"
        for index, written in enumerate(document.under("objectives", list))
    }


def _shown(path: Path) -> str:
    """As in the repository, wherever that is."""
    whole = path.resolve()
    return whole.relative_to(ROOT).as_posix() if whole.is_relative_to(ROOT) else str(path)
