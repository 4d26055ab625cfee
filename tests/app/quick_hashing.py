"""The shipped API, but for passwords that take no time: for tests that log in by the thousand and measure nothing."""

from __future__ import annotations

from argon2 import PasswordHasher
from fastapi import FastAPI

from app import security
from app.main import create_app


def create() -> FastAPI:
    security._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    security._NOBODYS_HASH = security.hash_password("nobody's")
    return create_app()
