"""A TLS handshake by hand: why it fails, in OpenSSL's terms, which neither asyncio nor libcurl hand on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

TIMEOUT = 8.0
"""Seconds for connection and handshake."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """`version` is "" where it failed; then `code` (of verification) or `reason` say why."""

    version: str = ""
    code: int = 0
    reason: str = ""
    detail: str = ""


async def shake_hands(
    host: str, address: str, port: int, context: ssl.SSLContext, opening: bytes = b""
) -> Handshake:
    """Never raises. `address` is that of `host`. `opening` is sent before, and answered by one byte: so does
    PostgreSQL want to be asked for TLS."""
    try:
        async with asyncio.timeout(TIMEOUT), _connected(address or host, port) as (reader, writer):
            if opening:
                writer.write(opening)
                if (answer := await reader.readexactly(1)) != b"S":
                    return Handshake(reason="REFUSED", detail=f"it answers {answer!r} to the wish for TLS")
            return Handshake(version=await _agreed(reader, writer, context, host))
    except ssl.SSLCertVerificationError as error:
        return Handshake(code=error.verify_code, detail=error.verify_message)
    except ssl.SSLError as error:
        return Handshake(reason=error.reason or "", detail=error.reason or str(error))
    except (OSError, EOFError, TimeoutError) as error:
        return Handshake(detail=str(error) or type(error).__name__)


@contextlib.asynccontextmanager
async def _connected(
    address: str, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _agreed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
) -> str:
    """The version. Raises ssl.SSLError, OSError."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, to_send, server_hostname=host)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(to_send.read())
        else:
            return tls.version() or ""
        if part := await reader.read(16 * 1024):
            received.write(part)
        else:
            received.write_eof()
