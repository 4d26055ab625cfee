"""Settings from the environment, checked at start-up: all mistakes at once, one line each, with the cure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sentry_sdk.utils import BadDsn, Dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DEVELOPMENT_SECRET = "development-only-secret-0123456789abcdef"  # noqa: S105 - refused outside development
HOW_TO_MAKE_ONE = 'python -c "import secrets; print(secrets.token_hex(32))"'
SHORTEST_SECRET = 32
"""Characters. RFC 7518 §3.2 asks HS256 for a key as long as its hash: 32 bytes."""


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
    sentry_dsn: SecretStr | None = Field(None, examples=["https://key@host/1"])
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="one of DEBUG, INFO, WARNING, ERROR, CRITICAL", examples=["INFO"]
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

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin for part in value.split(",") if (origin := part.strip()))

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not host or "/" in host or "*" in host:
                raise ValueError(f'"{origin}" is not scheme and host without path or slash')
        return origins

    @field_validator("jwt_secret_key")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"shorter than {SHORTEST_SECRET} characters")
        public = secret.get_secret_value() == DEVELOPMENT_SECRET
        if public and info.data.get("env_mode", "development") != "development":
            raise ValueError(f"the development secret is public, {info.data['env_mode']} needs its own")
        return secret

    @field_validator("database_url")
    @classmethod
    def _is_supported(cls, text: SecretStr) -> SecretStr:
        try:
            url = make_url(text.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("cannot be read as a database URL") from None
        backend = url.drivername.partition("+")[0]
        if backend not in ("sqlite", "postgres", "postgresql"):
            raise ValueError(f"{backend} is not supported, only postgresql and sqlite are")
        if backend == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError("every connection would open a database of its own in memory, name a file")
        return text

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        try:
            Dsn(dsn.get_secret_value()) if dsn else None
        except (BadDsn, ValueError):
            raise ValueError("cannot be read as a Sentry DSN") from None
        return dsn


def _line(mistake: Any) -> str:
    """`API_PORT: "eighty" is not a port from 1 to 65535; set it like API_PORT=8000`"""
    name = str(mistake["loc"][0]).lower()
    field = Settings.model_fields[name]
    if mistake["type"] == "value_error":
        problem = str(mistake["ctx"]["error"])
    else:
        problem = f'"{mistake["input"]}" is not {field.description}'
    variable = name.upper()
    if name == "jwt_secret_key":
        return f"{variable}: {problem}; make one with: {HOW_TO_MAKE_ONE}"
    return f"{variable}: {problem}; set it like {variable}={(field.examples or [''])[0]}"
