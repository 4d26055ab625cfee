"""A target's state as a small picture, for a README or a wiki."""

from __future__ import annotations

from xml.sax.saxutils import escape

from fastapi import APIRouter
from starlette.responses import Response

from monitor.web.page import Page
from monitor.web.public import PublicTarget, public_view
from monitor.web.standing import Standing
from monitor.web.words import plain

COLOURS = {
    Standing.BROKEN: "#b3231b",
    Standing.DEGRADED: "#8f4a00",
    Standing.UNKNOWN: "#5f4b8b",
    Standing.GOOD: "#17663a",
}
WIDE, NARROW = "mwMWGOQD@%", "ilj.,:;|!' 1tfrI"
FRESH = "max-age=30"


def routes(page: Page) -> APIRouter:
    web = APIRouter()

    @web.get("/badge/{name}.svg")
    async def badge(name: str) -> Response:
        found = {each.name: each for each in public_view(page.snapshot()).targets}.get(name)
        drawn = svg(found) if found else _svg(plain(name, 63), "no such target", COLOURS[Standing.UNKNOWN])
        headers = {"cache-control": FRESH, "content-security-policy": "default-src 'none'"}
        return Response(drawn, 200 if found else 404, headers, "image/svg+xml")

    return web


def svg(target: PublicTarget) -> str:
    return _svg(target.name, target.word.lower(), COLOURS[target.standing])


def _svg(name: str, word: str, colour: str) -> str:
    """`textLength` makes the text fit, whichever font the reader has."""
    left, right = _width(name) + 12, _width(word) + 12
    whole, label = left + right, escape(f"{name}: {word}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" '
        f'aria-label="{_quoted(label)}">'
        f"<title>{label}</title>"
        f'<rect width="{whole}" height="20" rx="3" fill="#3a424c"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14" textLength="{left - 12}">{escape(name)}</text>'
        f'<text x="{left + 6}" y="14" textLength="{right - 12}">{escape(word)}</text>'
        "</g></svg>"
    )


def _width(text: str) -> int:
    return round(sum(9.5 if char in WIDE else 4 if char in NARROW else 7 for char in text))


def _quoted(text: str) -> str:
    return text.replace('"', "&quot;")
