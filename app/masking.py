"""What logs and Sentry must not show. The last net: whoever writes a log line leaves such things out.

`mask` knows secrets and personal data by their look. Values that have no look, such as amounts and the names
of accounts, get into logs with the texts of errors: `mask_error` takes out whatever such a text quotes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

LONGEST_TEXT = 8_000
"""Characters of one text; the rest is left out."""
SHORTEST_SECRET = 12
"""Characters; masking a password like "secret" wherever the word stands would only advertise it."""

Mask = Callable[[str], str]

_NAMED = re.compile(
    r"\b(\w*(?:password|secret|token|api_?key))(['\"]?\s?[:=]\s?)(?!\[)[^\s,;}&]+", re.IGNORECASE
)
_LOOKS = (
    (re.compile(r"(?<=://)[^/\s@]{1,200}@"), "[credentials]@"),
    (re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "[e-mail]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), "[token]"),
    (re.compile(r"\b(bearer|basic) +[\w.~+/=-]+", re.IGNORECASE), r"\1 [token]"),
    (re.compile(r"\$argon2[\w$=,+/.-]+"), "[hash]"),
    (_NAMED, r"\1\2[secret]"),
)
_QUOTED = (
    (re.compile(r"'[^'\n]*'"), "'...'"),
    (re.compile(r'"[^"\n]*"'), '"..."'),
    (re.compile(r"=\([^)\n]*\)"), "=(...)"),  # PostgreSQL: Key (name)=(Acme) already exists
    (re.compile(r"(?<==)[^\s,;\])(]+"), "..."),
    (re.compile(r"(?<![\w.])[-(]?\$?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+)(?![\w.])"), "[number]"),
)


def masker(secrets: Iterable[str] = ()) -> Mask:
    """`mask` that also knows these secrets, wherever they stand."""
    known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)

    def mask(text: str) -> str:
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]} [{len(text) - LONGEST_TEXT:,} characters more]"
        for secret in known:
            text = text.replace(secret, "[secret]")
        for look, instead in _LOOKS:
            text = look.sub(instead, text)
        return text

    return mask


# They quote names out of the code, never a value.
_ABOUT_CODE = ("ModuleNotFoundError", "ImportError", "NameError", "UnboundLocalError", "AttributeError")


def mask_error(text: str, kind: str = "") -> str:
    """The text of an exception without what it quotes: strings, assigned values, amounts."""
    if kind in _ABOUT_CODE:
        return text
    for look, instead in _QUOTED:
        text = look.sub(instead, text)
    return text


def mask_traceback(text: str) -> str:
    """Frames and their source lines stay as they are; everything else is what exceptions say."""
    lines, in_frame = [], False
    for line in text.splitlines():
        bare = line.lstrip(" |")
        in_frame = bare.startswith('File "') or (in_frame and line.lstrip("|").startswith("    "))
        lines.append(line if in_frame else mask_error(line, bare.partition(":")[0]))
    return "\n".join(lines)


def mask_all(value: Any, mask: Mask) -> Any:
    """Every text in nested dicts and lists, keys excepted."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: mask_all(each, mask) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask_all(each, mask) for each in value]
    return value


def network(address: str) -> str:
    """The client's network instead of the client: enough to see where an attack comes from."""
    host = address.rpartition(":")[0] if address.count(":") == 1 or "]" in address else address
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
