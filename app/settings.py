"""Settings from the environment, checked at start-up: all mistakes at once, one line each, with the cure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DEVELOPMENT_SECRET = "development-only-secret-0123456789abcdef"  # noqa: S105 - refused outside development
_EXAMPLE_SECRET = "e4a2b1c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6c7d8e9f0a1"  # noqa: S105 - the handbook's
_PUBLIC_SECRETS = {DEVELOPMENT_SECRET: "the development secret", _EXAMPLE_SECRET: "the handbook's example"}
HOW_TO_MAKE_ONE = 'python -c "import secrets; print(secrets.token_hex(32))"'
SHORTEST_SECRET = 32
"""Characters. RFC 7518 §3.2 asks HS256 for a key as long as its hash: 32 bytes."""
SHORTEST_PASSWORD = 32
"""Characters of the database's password in production; or else:"""
SHORTEST_MIXED_PASSWORD = 24
"""With letters of both cases: as providers of databases generate them, with more than 110 bits."""


_MAKE_ONE = f"make one with: {HOW_TO_MAKE_ONE}"
_GIVE_THE_OLD_ONE = "give the key that JWT_SECRET_KEY replaced, or leave it out"


class _CurableError(ValueError):
    """With a cure of its own, where an example of a good value would not help."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(problem)
        self.cure = cure


class SettingsError(ValueError):
    """One line per mistake: the variable, what was wrong, the cure. Values of secrets are left out."""


class Settings(BaseSettings):
    """One field per environment variable. A description completes "... is not", an example shows the cure."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, validate_default=True, extra="ignore"
    )

    env_mode: Literal["development", "staging", "production"] = Field(
        "development", description="one of development, staging, production", examples=["production"]
    )
    debug: bool = Field(False, description="true or false", examples=["false"])
    api_host: str = Field("127.0.0.1", description="an address to listen on", examples=["0.0.0.0"])
    api_port: int = Field(8000, ge=1, le=65535, description="a port from 1 to 65535", examples=["8000"])
    port: int | None = Field(None, ge=1, le=65535, description="a port from 1 to 65535", examples=["8000"])
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = Field((), examples=["10.0.0.0/8"])
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000",), examples=["https://paciolus.com,https://www.paciolus.com"]
    )
    jwt_secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    jwt_algorithm: Literal["HS256"] = Field(
        "HS256", description="an algorithm that this API signs with", examples=["HS256"]
    )
    jwt_expiration_minutes: int = Field(
        480, ge=1, le=43200, description="a number of minutes from 1 to 43200", examples=["480"]
    )
    jwt_secret_key_previous: SecretStr | None = None
    jwt_secret_rotated_at: date | None = Field(
        None, description="a date like 2026-01-31", examples=["2026-01-31"]
    )
    login_lock_failures: int = Field(
        5, ge=1, le=1000, description="a number of failures from 1 to 1000", examples=["5"]
    )
    login_lock_seconds: float = Field(
        900, ge=1, le=86400, description="seconds from 1 to 86400", examples=["900"]
    )
    login_address_attempts: int = Field(
        20, ge=1, le=100_000, description="a number of attempts from 1 to 100000", examples=["20"]
    )
    login_address_seconds: float = Field(
        60, ge=1, le=86400, description="seconds from 1 to 86400", examples=["60"]
    )
    login_addresses_remembered: int = Field(
        10_000, ge=1, le=1_000_000, description="a number of addresses from 1 to 1000000", examples=["10000"]
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///paciolus.db"), examples=["postgresql://user:password@host:5432/paciolus"]
    )
    db_pool_size: int = Field(
        10, ge=1, le=1000, description="a number of connections from 1 to 1000", examples=["10"]
    )
    db_max_overflow: int = Field(
        20, ge=0, le=1000, description="a number of connections from 0 to 1000", examples=["20"]
    )
    db_pool_recycle: int = Field(
        3600, ge=1, le=86400, description="seconds from 1 to 86400", examples=["3600"]
    )
    db_pool_timeout: float = Field(10.0, ge=0.1, le=60, description="seconds from 0.1 to 60", examples=["10"])
    db_statement_timeout: float = Field(
        5.0, ge=0.1, le=600, description="seconds from 0.1 to 600", examples=["5"]
    )
    request_deadline: float = Field(
        10.0, ge=0.5, le=600, description="seconds from 0.5 to 600", examples=["10"]
    )
    db_slow_query: float = Field(
        0.5, ge=0.001, le=600, description="seconds from 0.001 to 600", examples=["0.5"]
    )
    web_concurrency: int = Field(
        4, ge=1, le=256, description="a number of workers from 1 to 256", examples=["4"]
    )
    drain_seconds: float | None = Field(
        None, ge=0, le=300, description="seconds from 0 to 300", examples=["5"]
    )
    shutdown_seconds: float = Field(20, ge=1, le=300, description="seconds from 1 to 300", examples=["20"])
    sentry_dsn: SecretStr | None = Field(None, examples=["https://key@host/1"])
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="one of DEBUG, INFO, WARNING, ERROR, CRITICAL", examples=["INFO"]
    )
    log_format: Literal["json", "text"] | None = Field(
        None, description="one of json, text", examples=["json"]
    )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """From `overrides` (by field name), else the environment. Raises SettingsError with every mistake."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [_line(mistake) for mistake in error.errors()]
            raise SettingsError("\n".join(lines)) from None

    @property
    def production(self) -> bool:
        return self.env_mode == "production"

    @property
    def drain(self) -> float:
        """Seconds between "not ready" and the end: long enough for a load balancer to notice."""
        if self.drain_seconds is not None:
            return self.drain_seconds
        return 5.0 if self.production else 0.0

    @property
    def logs_are_json(self) -> bool:
        return self.log_format == "json" or (self.log_format is None and self.env_mode != "development")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show, as plain text."""
        kept = (self.jwt_secret_key, self.jwt_secret_key_previous, self.sentry_dsn, self.database_url)
        return (*(secret.get_secret_value() for secret in kept if secret), self.url.password or "")

    @property
    def listen_port(self) -> int:
        """A platform that chooses the port itself says so in PORT, and sends requests nowhere else."""
        return self.port or self.api_port

    @property
    def url(self) -> URL:
        """The database's address with the driver named: hosting providers write postgres:// or postgresql://."""
        url = make_url(self.database_url.get_secret_value())
        if url.drivername in ("postgres", "postgresql"):
            return url.set(drivername="postgresql+psycopg2")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("cors_origins", "forwarded_allow_ips", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin for part in value.split(",") if (origin := part.strip()))

    @field_validator("debug")
    @classmethod
    def _hides_traces(cls, debug: bool, info: ValidationInfo) -> bool:
        if debug and _in_production(info):
            raise ValueError("it shows stack traces to clients, which production must not")
        return debug

    @field_validator("log_level")
    @classmethod
    def _hides_queries(cls, level: str, info: ValidationInfo) -> str:
        if level == "DEBUG" and _in_production(info):
            raise ValueError("DEBUG logs every query and is for development only")
        return level

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            if proxy == "*":
                raise ValueError("with * every client could choose the address that it is throttled by")
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f'"{proxy}" is not an address or network of a proxy') from None
        return proxies

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not re.fullmatch(r"[\w.:\[\]-]+", host):
                raise ValueError(f'"{origin}" is not scheme and host without path or slash')
            if scheme != "https" and _in_production(info):
                raise ValueError(f'"{origin}" is not https, and production trusts nothing else')
        return origins

    @field_validator("jwt_secret_key", "jwt_secret_key_previous")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is None:
            return None
        text, mode = secret.get_secret_value(), info.data.get("env_mode", "development")
        cure = _MAKE_ONE if info.field_name == "jwt_secret_key" else _GIVE_THE_OLD_ONE
        if len(text) < SHORTEST_SECRET:
            raise _CurableError(f"shorter than {SHORTEST_SECRET} characters", cure)
        if text in _PUBLIC_SECRETS and mode != "development":
            raise _CurableError(f"{_PUBLIC_SECRETS[text]} is public, {mode} needs its own", cure)
        if info.field_name != "jwt_secret_key" and secret == info.data.get("jwt_secret_key"):
            raise _CurableError("the same as JWT_SECRET_KEY", cure)
        return secret

    @field_validator("jwt_secret_rotated_at")
    @classmethod
    def _has_come(cls, day: date | None) -> date | None:
        # A day more than ours: somewhere it is tomorrow.
        if day and day > datetime.now(UTC).date() + timedelta(days=1):
            raise ValueError(f"{day} is in the future")
        return day

    @field_validator("database_url")
    @classmethod
    def _is_supported(cls, text: SecretStr, info: ValidationInfo) -> SecretStr:
        try:
            url = make_url(text.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("cannot be read as a database URL") from None
        backend = url.drivername.partition("+")[0]
        if backend not in ("sqlite", "postgres", "postgresql"):
            raise ValueError(f"{backend} is not supported, only postgresql and sqlite are")
        if backend == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError("every connection would open a database of its own in memory, name a file")
        if _in_production(info) and backend == "sqlite":
            raise ValueError("sqlite is for development, production needs postgresql")
        if _in_production(info) and not _is_strong(url.password or ""):
            either = f"{SHORTEST_PASSWORD} characters, or {SHORTEST_MIXED_PASSWORD} of both cases"
            raise _CurableError(f"its password is weak, production needs {either}", _MAKE_ONE)
        return text

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is None:
            return None
        from sentry_sdk.utils import Dsn  # for those who use it: a tenth of all that the API imports

        try:
            Dsn(dsn.get_secret_value())
        except ValueError:
            raise ValueError("cannot be read as a Sentry DSN") from None
        return dsn


def _in_production(info: ValidationInfo) -> bool:
    return info.data.get("env_mode") == "production"


def _is_strong(password: str) -> bool:
    both_cases = re.search("[a-z]", password) and re.search("[A-Z]", password)
    shortest = SHORTEST_MIXED_PASSWORD if both_cases else SHORTEST_PASSWORD
    return len(password) >= shortest and len(set(password)) >= 8


def _line(mistake: Any) -> str:
    """`API_PORT: "eighty" is not a port from 1 to 65535; set it like API_PORT=8000`"""
    name = str(mistake["loc"][0]).lower()
    field = Settings.model_fields[name]
    if mistake["type"] == "value_error":
        problem = mistake["ctx"]["error"]
    else:
        problem = f'"{mistake["input"]}" is not {field.description}'
    variable = name.upper()
    cure = f"set it like {variable}={(field.examples or [''])[0]}"
    return f"{variable}: {problem}; {getattr(problem, 'cure', cure)}"
