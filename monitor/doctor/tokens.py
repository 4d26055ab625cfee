"""What a token says of itself. Nothing is verified: whoever asks wants to know why it is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

LONGEST = 8192
"""Characters; no header that servers take is longer."""
LATEST = 1e11
"""Seconds since the epoch; what is later is no time, or one in milliseconds."""


class NoTokenError(ValueError):
    """Why it is no JWT, in words that end a sentence."""


@dataclass(frozen=True, slots=True)
class Token:
    header: dict[str, Any]
    claims: dict[str, Any]
    signed: str
    signature: bytes

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg", "none"))

    @property
    def key_id(self) -> str:
        """ "" where none is named."""
        return str(self.header.get("kid") or "")

    def moment(self, name: str) -> float | None:
        """`exp`, `iat` or `nbf` in seconds since the epoch; None where there is no such time."""
        value = self.claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
            return None
        return float(value)

    @property
    def lifetime(self) -> float | None:
        """Seconds."""
        begun, ended = self.moment("iat"), self.moment("exp")
        return None if begun is None or ended is None else ended - begun

    def is_signed_with(self, secret: str) -> bool:
        """Of HS256, which is what the API signs with."""
        made = hmac.new(secret.encode(), self.signed.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(made, self.signature)


def read(text: str) -> Token:
    """Raises NoTokenError."""
    if len(text) > LONGEST:
        raise NoTokenError(f"it has {len(text):,} characters")
    parts = text.split(".")
    if len(parts) != 3:
        raise NoTokenError(
            f"it has {len(parts)} part{'s' * (len(parts) != 1)} between dots, where a JWT has 3"
        )
    header, claims = (_object(part, name) for part, name in zip(parts, ("header", "claims"), strict=False))
    return Token(header, claims, ".".join(parts[:2]), _bytes(parts[2], "signature"))


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_bytes(part, name))
    except (ValueError, RecursionError) as error:
        if isinstance(error, NoTokenError):
            raise
        raise NoTokenError(f"its {name} is no JSON") from None
    if not isinstance(content, dict):
        raise NoTokenError(f"its {name} is no JSON object")
    return content


def _bytes(part: str, name: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise NoTokenError(f"its {name} is no base64url") from None
