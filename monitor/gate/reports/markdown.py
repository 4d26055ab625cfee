"""Markdown, for a pull request or the summary of a job: what is wrong first, all of it below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.gate.model import Report, Result, by_group
from monitor.gate.reports import words
from monitor.gate.reports.words import Standing

LOUD = (Standing.FAIL, Standing.INCONCLUSIVE, Standing.WAIVED)


def markdown(report: Report, base: str = "") -> str:
    """`base`: where the repository's files are to be seen, with a slash at its end; "": beside this file."""
    return "\n".join(_lines(report, base)) + "\n"


def _lines(report: Report, base: str) -> Iterator[str]:
    word, said = words.outcome(report)
    yield from (f"# {word}: {_safe(report.target)} {said}", "")
    yield from (f"{words.summary(report)}; {_safe(words.circumstances(report))}.", "")
    if names := words.named(report):
        yield from (*(f"- {_safe(each)}" for each in names.values()), "")
    for loud in LOUD:
        for each in report.results:
            if words.standing(each) is loud:
                yield from _loud(each, base)
    if report.waivers:
        yield from ("## Waivers", "", *(f"- {_safe(each)}" for each in words.waivers(report)), "")
    yield from ("## All checks", "")
    for group, results in by_group(report.results).items():
        yield from (f"### {_safe(group)}", "", "| check | evidence |", "| --- | --- |")
        yield from (_row(each, base) for each in results)
        yield ""


def _loud(result: Result, base: str) -> Iterator[str]:
    found = words.standing(result)
    yield from (f"## {_safe(result.check)}: {found}", "")
    yield from (f"{_safe(each)}  " for each in words.told(result))
    yield from filter(None, [_source(result, base)])
    yield ""
    if result.asked:
        yield from (*(f"- {_safe(words.asked(each))}" for each in result.asked), "")


def _row(result: Result, base: str) -> str:
    found = words.standing(result)
    told = [*map(_safe, words.evidence(result)), *_slowest(result), _source(result, base)]
    claim = _safe(result.claim) if found is Standing.PASS else f"promised: {_safe(result.claim)}"
    name = f"**{_safe(result.check)}**: {f'**{found}**' if found in LOUD else found}"
    return f"| {name}<br>{claim} | {'<br>'.join(filter(None, told))} |"


def _slowest(result: Result) -> Iterable[str]:
    """Of what is not told above already."""
    if words.standing(result) in LOUD:
        return ()
    return (_safe(words.asked(each)) for each in result.asked)


def _source(result: Result, base: str) -> str:
    found, document = words.where(result), _safe(words.plain(result.document))
    if found is None:
        return document
    shown = f"[{_safe(str(found))}]({base}{_address(found)})" if _beside(found) else _safe(str(found))
    return f"{shown} ({document})" if document else shown


def _beside(place: words.Place) -> bool:
    """A file of another machine's folder is no link."""
    return not place.path.startswith(("/", "..")) and "://" not in place.path


def _address(place: words.Place) -> str:
    path = "".join(each if each.isalnum() or each in "/._-" else f"%{ord(each):02X}" for each in place.path)
    return f"{path}#L{place.line}" if place.line else path


def _safe(text: str) -> str:
    """What a target said must not end a cell, nor become a link, a tag or a mention."""
    plain = words.plain(text).replace("&", "&amp;")
    return "".join(f"\\{each}" if each in "\\|<>[]*_`~#" else each for each in plain).replace("@", "@&#8203;")
