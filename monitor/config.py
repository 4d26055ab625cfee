"""monitor.yml: what is watched, how often, and who is told. Frozen once it is loaded."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, TypeAdapter

from exporters.http import Request
from monitor.fields import (
    BaseUrl,
    Database,
    Headers,
    Interval,
    Listen,
    Name,
    Notifier,
    Pattern,
    Probe,
    Proxy,
    Reminder,
    Statuses,
    Timeout,
    UrlPath,
)
from monitor.heartbeatconfig import HeartbeatConfig
from monitor.hours import Hours
from monitor.links import NO_LINKS, Links
from monitor.maintenance import Window
from monitor.mistakes import did_you_mean, keys_of, known_keys
from monitor.objectives import Severity
from monitor.quantity import format_duration
from monitor.quietconfig import HoursShape, check_escalation, windows
from monitor.webconfig import WebConfig
from monitor.yamlfile import Document, Loc, load_yaml

DEFAULT_TIMEOUT = 10.0
LONGEST_BODY = 64 * 1_048_576
MOST_SHORTENED = 10_000
DEFAULT_DATABASE = sa.make_url("sqlite:///paciolus-monitor.db")


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """One question to a target. `request` holds all but the URL, which is the target's plus `path`."""

    name: str
    probe: str
    path: str
    request: Request = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """`url` has no slash at its end; `interval` is in seconds."""

    name: str
    url: str
    interval: float
    checks: tuple[CheckConfig, ...]
    depends_on: tuple[str, ...] = ()
    """Targets whose faults explain this one's."""


@dataclass(frozen=True, slots=True)
class NotifierConfig:
    """`options` are what the class of its kind `takes`; `timeout` is in seconds."""

    name: str
    kind: str
    options: Any
    timeout: float
    severities: tuple[Severity, ...]
    """None: it hears what is escalated to it, and nothing else."""
    hours: Hours | None = None
    """Outside of them, what can wait waits; None: always open."""
    remind_every: float | None = None
    """Seconds after which an alert that still fires is told again; None: never."""
    escalate_after: float | None = None
    """Seconds without an acknowledgement after which the notifier `escalate_to` is told too."""
    escalate_to: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """`objectives` is None for those that travel with the package; `database` is an SQLAlchemy URL."""

    targets: tuple[Target, ...]
    notify: tuple[NotifierConfig, ...]
    host: str
    port: int
    database: str = field(repr=False)
    objectives: Path | None
    shorten_windows: float
    path: Path
    maintenance: tuple[Window, ...] = ()
    links: Links = NO_LINKS
    heartbeat: HeartbeatConfig | None = None
    web: WebConfig = field(default_factory=WebConfig)

    @property
    def listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Check:
    """A check as it stands in the file."""

    probe: Probe
    path: UrlPath = "/"
    timeout: Timeout | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: Headers = ()
    expect_status: Statuses = ((200, 299),)
    expect_body: Pattern | None = None
    max_body: Annotated[int, Field(ge=1, le=LONGEST_BODY)] = 1_048_576
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 0
    proxy: Proxy | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    name: Name
    url: BaseUrl
    checks: Annotated[dict[Name, Annotated[_Check, known_keys(_Check)]], Field(min_length=1, max_length=100)]
    interval: Interval = 30.0
    depends_on: Annotated[tuple[Name, ...], Field(max_length=100)] = ()


@dataclass(frozen=True, slots=True)
class _Notifier:
    kind: Notifier
    timeout: Timeout = DEFAULT_TIMEOUT
    severities: tuple[Severity, ...] = ("page", "ticket", "info")
    hours: Annotated[HoursShape, known_keys(HoursShape)] | None = None
    remind_every: Reminder | None = None
    escalate_after: Reminder | None = None
    escalate_to: Name | None = None


@dataclass(frozen=True, slots=True)
class _Links:
    dashboards: BaseUrl | None = None
    runbooks: BaseUrl | None = None


@dataclass(frozen=True, slots=True)
class _File:
    targets: Annotated[list[Any], Field(min_length=1)]
    notify: Annotated[dict[Name, Any], Field(max_length=100)] = field(default_factory=dict)
    maintenance: Annotated[list[Any], Field(max_length=100)] = field(default_factory=list)
    listen: Listen = ("127.0.0.1", 9464)
    database: Database = DEFAULT_DATABASE
    objectives: str | None = None
    links: Annotated[_Links, known_keys(_Links)] = field(default_factory=lambda: _Links())
    shorten_windows: Annotated[float, Field(ge=1, le=MOST_SHORTENED)] = 1.0
    web: Annotated[WebConfig, known_keys(WebConfig)] = field(default_factory=WebConfig)
    heartbeat: Annotated[HeartbeatConfig, known_keys(HeartbeatConfig)] | None = None


_FILE: TypeAdapter[_File] = TypeAdapter(Annotated[_File, known_keys(_File)])
_TARGET: TypeAdapter[_Target] = TypeAdapter(Annotated[_Target, known_keys(_Target)])


def load_config(path: Path, environ: Mapping[str, str] = os.environ, without: Collection[str] = ()) -> Config:
    """Raises ConfigError with everything that is wrong with the file; `${NAME}` is looked up in `environ`.

    `without` names sections that are not read at all, so that nobody needs the secrets in them.
    """
    document = load_yaml(path)
    document.leave_out(without)
    document.expand(environ)
    file = document.read(_FILE, document.root)
    targets = tuple(_targets(document))
    _check_target_names(document)
    _check_dependencies(targets, document)
    notifiers = tuple(_notifiers(document))
    check_escalation(document)
    maintenance = tuple(windows(document, [target.name for target in targets]))
    objectives = _objectives(file.objectives, document) if file else None
    document.raise_mistakes()
    assert file is not None  # noqa: S101 (a file that could not be read has mistakes)
    return Config(
        targets=targets,
        notify=notifiers,
        host=file.listen[0],
        port=file.listen[1],
        database=_database(file.database, path),
        objectives=objectives,
        shorten_windows=file.shorten_windows,
        path=path,
        links=Links(file.links.dashboards or "", file.links.runbooks or "", file.web.url or ""),
        web=file.web,
        maintenance=maintenance,
        heartbeat=file.heartbeat,
    )


def _targets(document: Document) -> Iterator[Target]:
    for index, written in enumerate(document.under("targets", list)):
        loc: Loc = ("targets", index)
        shape = document.read(_TARGET, written, loc)
        if shape is None:
            continue
        checks = (
            _check(name, check, shape.interval, document, (*loc, "checks", name))
            for name, check in shape.checks.items()
        )
        yield Target(shape.name, shape.url, shape.interval, tuple(checks), shape.depends_on)


def _check(name: str, shape: _Check, interval: float, document: Document, loc: Loc) -> CheckConfig:
    timeout = min(DEFAULT_TIMEOUT, interval) if shape.timeout is None else shape.timeout
    if timeout > interval:
        limit, got = format_duration(interval), format_duration(timeout)
        document.wrong((*loc, "timeout"), f"expected at most the target's interval of {limit}, got {got}")
    request = Request(
        url="",
        method=shape.method,
        headers=shape.headers,
        timeout=timeout,
        max_body=shape.max_body,
        max_redirects=shape.max_redirects,
        expect_status=shape.expect_status,
        expect_body=shape.expect_body,
        proxy=shape.proxy,
        ca_file=str(_existing(shape.ca_file, document, (*loc, "ca_file"))) if shape.ca_file else None,
    )
    return CheckConfig(name, shape.probe, shape.path, request)


def _check_target_names(document: Document) -> None:
    """Over all targets, also those that have other mistakes."""
    first: dict[str, int] = {}
    for index, written in enumerate(document.under("targets", list)):
        name = written.get("name") if isinstance(written, dict) else None
        if isinstance(name, str) and (other := first.setdefault(name, index)) != index:
            document.wrong(("targets", index, "name"), f"{name!r} is the name of targets[{other}] already")


def _check_dependencies(targets: tuple[Target, ...], document: Document) -> None:
    depends_on = {target.name: target.depends_on for target in targets}
    written = document.under("targets", list)
    names = [each["name"] for each in written if isinstance(each, dict) and isinstance(each.get("name"), str)]
    for index, shape in enumerate(written):
        name = shape.get("name") if isinstance(shape, dict) else None
        for number, parent in enumerate(depends_on.get(name, ()) if isinstance(name, str) else ()):
            loc: Loc = ("targets", index, "depends_on", number)
            if parent not in names:
                document.wrong(loc, f"there is no target {parent!r}{did_you_mean(parent, names)}")
            elif name == parent or name in depending(parent, depends_on):
                document.wrong(loc, f"goes round in a circle: {parent} depends on {name}; neither could page")


def depending(name: str, depends_on: Mapping[str, Iterable[str]]) -> list[str]:
    """All that a target depends on, through others too, the nearest first."""
    found = list(depends_on.get(name, ()))
    for parent in found:
        found += [each for each in depends_on.get(parent, ()) if each not in found]
    return found


def _notifiers(document: Document) -> Iterator[NotifierConfig]:
    from monitor.notify import NOTIFIERS  # imports this file

    of_kinds = {kind: keys_of(each.takes) for kind, each in NOTIFIERS.items()}
    notifier: TypeAdapter[_Notifier] = TypeAdapter(
        Annotated[_Notifier, known_keys(_Notifier, *frozenset().union(*of_kinds.values()))]
    )
    for name, written in document.under("notify", dict).items():
        loc: Loc = ("notify", name)
        kind = str(written.get("kind")) if isinstance(written, dict) else ""
        options = _options(kind, written, document, loc) if kind in NOTIFIERS else None
        shape = document.read(notifier, written, loc)
        if shape is not None and options is not None:
            yield NotifierConfig(
                name,
                shape.kind,
                options,
                shape.timeout,
                shape.severities,
                hours=shape.hours.made(document, (*loc, "hours")) if shape.hours else None,
                remind_every=shape.remind_every,
                escalate_after=shape.escalate_after,
                escalate_to=shape.escalate_to,
            )


def _options(kind: str, written: dict[str, Any], document: Document, loc: Loc) -> Any:
    """What only this kind has; a key of another kind is a mistake of its own."""
    from monitor.notify import NOTIFIERS  # imports this file

    options, common = NOTIFIERS[kind].takes, keys_of(_Notifier)
    others = frozenset[str]().union(*(keys_of(each.takes) for each in NOTIFIERS.values()))
    foreign = written.keys() & (others - keys_of(options) - common)
    for key in sorted(foreign):
        document.wrong((*loc, key), f"{_a(kind)} notifier has no {key}; remove it")
    annotated: Any = Annotated[options, known_keys(options, *common)]
    adapter: TypeAdapter[Any] = TypeAdapter(annotated)
    own = {key: value for key, value in written.items() if key not in foreign}
    found = document.read(adapter, own, loc)
    if found is not None and getattr(found, "ca_file", None):
        return replace(found, ca_file=str(_existing(found.ca_file, document, (*loc, "ca_file"))))
    return found


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _objectives(written: str | None, document: Document) -> Path | None:
    return None if written is None else _existing(written, document, ("objectives",))


def _existing(written: str, document: Document, loc: Loc) -> Path:
    """Relative to the folder of monitor.yml, wherever the agent is started."""
    found = document.path.parent / written
    if not found.is_file():
        document.wrong(loc, f"expected a file, beside {document.path.name} or absolute, got {written!r}")
    return found


def _database(url: sa.URL, path: Path) -> str:
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(path.parent.absolute() / url.database))
    return url.render_as_string(hide_password=False)
