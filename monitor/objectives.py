"""The documented thresholds: alerts/objectives.yml as frozen dataclasses, checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter

from monitor.mistakes import at, did_you_mean, known_keys, shown
from monitor.quantity import Seconds, Threshold, Unit, format_duration, parse_threshold
from monitor.resources import resource
from monitor.slis import SLI_KINDS, Sli
from monitor.yamlfile import Document, load_yaml

Severity = Literal["page", "ticket", "info"]
Limit = Annotated[Threshold, BeforeValidator(parse_threshold)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(strict=True, ge=1)]
Positive = Annotated[Seconds, Field(gt=0)]

_UNITS: dict[Unit, str] = {
    "seconds": "a duration (3s, 200ms)",
    "ratio": "a percentage (5%)",
    "per_minute": "a rate (100/min)",
    "number": "a plain number (14.4)",
}
_UNIT_SUFFIXES: dict[str, Unit] = {"_seconds": "seconds", "_ratio": "ratio"}


def _name(written: object) -> str:
    """Names become label values, file names and rule names."""
    if not isinstance(written, str) or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", written):
        raise ValueError(f"expected a name in kebab-case such as error-rate, got {shown(written)}")
    if len(written) > 63:
        raise ValueError(f"expected at most 63 characters, got {shown(written)}")
    return written


def _sli(written: object) -> Sli:
    """Which keys belong to a kind, and what they hold, is said by the fields of its class alone."""
    parameters = dict(written) if isinstance(written, dict) else {}
    if not parameters:
        raise ValueError(f"expected a mapping with a kind, such as {{kind: gauge, …}}, got {shown(written)}")
    if "kind" not in parameters:
        raise at(("kind",), f"missing; add `kind: …` here, one of {', '.join(sorted(SLI_KINDS))}")
    kind = str(parameters.pop("kind"))
    if kind not in SLI_KINDS:
        raise at(("kind",), f"there is no SLI kind {kind!r}{did_you_mean(kind, SLI_KINDS)}")
    return _parameters_of(kind).validate_python(parameters)


@cache
def _parameters_of(kind: str) -> TypeAdapter[Sli]:
    annotated: Any = Annotated[SLI_KINDS[kind], known_keys(SLI_KINDS[kind], "kind")]
    return TypeAdapter(annotated)


@dataclass(frozen=True, slots=True)
class NoData:
    """After `after` seconds without data a notice of this severity goes out."""

    after: Positive
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """An SLI held against its documented threshold. Durations are seconds; alerts/objectives.yml says what
    each key means."""

    name: Annotated[str, BeforeValidator(_name)]
    title: Text
    document: Text
    sli: Annotated[Sli, PlainValidator(_sli)]
    check: Text
    breach: Limit
    warn: Limit | None = None
    clear: Limit | None = None
    window: Positive
    for_: Annotated[Seconds, Field(alias="for")]
    keep_firing_for: Seconds = 0.0
    good_results: Count = 1
    severity: Severity
    minimum_samples: Count
    no_data: Annotated[NoData, known_keys(NoData)]
    inhibited_by: str | None = None
    runbook: Text

    def cleared_by(self, value: float) -> bool:
        """Whether a value is good enough to end what fires, and not just within the limit."""
        return self.clear is None or self.clear.broken_by(value)


@dataclass(frozen=True, slots=True)
class Objectives:
    """In the order of the file."""

    entries: tuple[Objective, ...]
    path: Path

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def by_name(self, name: str) -> Objective:
        """KeyError when there is none."""
        for objective in self.entries:
            if objective.name == name:
                return objective
        raise KeyError(name)

    def inhibitors(self, objective: Objective) -> tuple[str, ...]:
        """The names along the chain, the nearest first: what silences an inhibitor silences the rest too."""
        return tuple(_chain(objective.name, {each.name: each.inhibited_by for each in self.entries})[1:])


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    objectives: Annotated[list[Any], Field(min_length=1, max_length=1000)]


_FILE: TypeAdapter[_File] = TypeAdapter(Annotated[_File, known_keys(_File)])
_OBJECTIVE: TypeAdapter[Objective] = TypeAdapter(Annotated[Objective, known_keys(Objective)])

Entries = dict[int, Objective]
"""By their place in the file; those with mistakes of their own are left out."""


def load_objectives(path: Path) -> Objectives:
    """Raises ConfigError with everything that is wrong with the file."""
    document = load_yaml(path)
    document.read(_FILE, document.root)
    written = document.under("objectives", list)
    read = ((i, document.read(_OBJECTIVE, each, ("objectives", i))) for i, each in enumerate(written))
    entries = {index: objective for index, objective in read if objective is not None}
    _check_names(written, document)
    _check_inhibitors(entries, _names(written), document)
    for index, objective in entries.items():
        for key, message in _contradictions(objective, path):
            document.wrong(("objectives", index, *key), message)
    document.raise_mistakes()
    return Objectives(tuple(entries.values()), path)


def _names(written: list[object]) -> list[object]:
    return [each.get("name") if isinstance(each, dict) else None for each in written]


def shortened(objectives: Objectives, factor: float) -> Objectives:
    """Every duration divided by `factor`, for a demonstration; thresholds and minimum counts stay."""
    if factor == 1:
        return objectives
    entries = tuple(_shortened(objective, factor) for objective in objectives)
    return dataclasses.replace(objectives, entries=entries)


def _shortened(objective: Objective, factor: float) -> Objective:
    sli: Any = objective.sli
    if hasattr(sli, "short_window"):
        sli = dataclasses.replace(sli, short_window=sli.short_window / factor)
    return dataclasses.replace(
        objective,
        sli=sli,
        window=objective.window / factor,
        for_=objective.for_ / factor,
        keep_firing_for=objective.keep_firing_for / factor,
        no_data=dataclasses.replace(objective.no_data, after=objective.no_data.after / factor),
    )


def _check_names(written: list[object], document: Document) -> None:
    first: dict[object, int] = {}
    for index, name in enumerate(_names(written)):
        if isinstance(name, str) and (other := first.setdefault(name, index)) != index:
            document.wrong(
                ("objectives", index, "name"), f"{name!r} is the name of objectives[{other}] already"
            )


def _check_inhibitors(entries: Entries, names: list[object], document: Document) -> None:
    inhibitor = {objective.name: objective.inhibited_by for objective in entries.values()}
    for index, objective in entries.items():
        if (name := objective.inhibited_by) is None:
            continue
        place = ("objectives", index, "inhibited_by")
        if name not in names:
            known = [each for each in names if isinstance(each, str)]
            document.wrong(place, f"there is no objective {name!r}{did_you_mean(name, known)}")
        elif (chain := _chain(objective.name, inhibitor))[-1] == objective.name:
            document.wrong(place, f"goes round in a circle: {' -> '.join(chain)}; none of them could notify")


def _chain(start: str, inhibitor: dict[str, str | None]) -> list[str]:
    """From an objective along its inhibitors, until there is none or one comes for the second time."""
    chain = [start]
    while (name := inhibitor.get(chain[-1])) is not None:
        chain.append(name)
        if name in chain[:-1]:
            break
    return chain


def _contradictions(objective: Objective, path: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    breach, warn, sli = objective.breach, objective.warn, objective.sli
    if breach.unit not in (units := _units(sli)):
        expected = " or ".join(text for unit, text in _UNITS.items() if unit in units)
        yield ("breach",), f"expected {expected} for this SLI, got {breach.text!r}"
    elif warn is not None and not warn.milder_than(breach):
        yield ("warn",), f"expected a limit that is passed before {breach.text!r}, got {warn.text!r}"
    if (clear := objective.clear) is not None and not clear.on_good_side_of(breach):
        side = "below" if breach.high_is_bad else "above"
        yield ("clear",), f"expected {side} a value on the good side of {breach.text!r}, got {clear.text!r}"
    short = getattr(sli, "short_window", 0.0)
    if short >= objective.window:
        limit = format_duration(objective.window)
        yield (
            ("sli", "short_window"),
            f"expected less than the window of {limit}, got {format_duration(short)}",
        )
    if breach.unit == "per_minute" and (per := getattr(sli, "per", 60.0)) != 60:
        yield ("sli", "per"), f"expected 1m for a limit in events a minute, got {format_duration(per)}"
    if not _exists(objective.runbook, path):
        yield ("runbook",), f"there is no file {objective.runbook!r} in {path.parent} or the package"


def _units(sli: Sli) -> frozenset[str]:
    """What the kind can be held against; where a metric's name tells its unit, that one only."""
    for suffix, unit in _UNIT_SUFFIXES.items():
        if unit in sli.units and any(
            each.name.removesuffix("_bucket").endswith(suffix) for each in sli.reads
        ):
            return frozenset({unit})
    return sli.units


def _exists(runbook: str, path: Path) -> bool:
    """A page in the web can't be looked at from here."""
    if runbook.startswith(("https://", "http://")):
        return True
    return (path.parent / runbook).is_file() or resource(runbook).is_file()
