"""The shipped API with passwords that take no time, where thousands log in and nothing is measured."""

from __future__ import annotations

from argon2 import PasswordHasher
from fastapi import FastAPI

from app import security
from app.main import create_app


def create() -> FastAPI:
    security._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    security._NOBODYS_HASH = security.hash_password("nobody's")
    return create_app()
