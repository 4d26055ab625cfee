"""Passwords that take no time, where many log in and nothing is measured; and the shipped API with them."""

from __future__ import annotations

from argon2 import PasswordHasher
from fastapi import FastAPI

from app import security
from app.main import create_app

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NOBODYS = HASHER.hash("nobody's")


def create() -> FastAPI:
    security._hasher, security._NOBODYS_HASH = HASHER, NOBODYS
    return create_app()
