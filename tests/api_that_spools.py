"""The shipped API with one more route, whose uploads go on in a temporary file as Starlette's do."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.formparsers import MultiPartParser

from app.main import create_app

PATH = "/audit/spooled"


class _Spools(MultiPartParser):
    spool_max_size = 1_000  # Starlette's own is larger than the bodies that this path may have


def create() -> FastAPI:
    app = create_app()

    @app.post(PATH)
    async def spooled(request: Request) -> dict[str, int]:
        form = await _Spools(request.headers, request.stream()).parse()
        await form.close()
        return {"fields": len(form)}

    return app
