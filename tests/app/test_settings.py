from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from app.settings import DEVELOPMENT_SECRET, HOW_TO_MAKE_ONE, Settings, SettingsError

SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret-s3cret"
PASSWORD = "Zq4-Xw9_Lm2.Rt7~Kd5-Vb8_Hn3.Jp6~"
PRODUCTION = {
    "ENV_MODE": "production",
    "JWT_SECRET_KEY": SECRET,
    "CORS_ORIGINS": "https://paciolus.com",
    "DATABASE_URL": f"postgresql://user:{PASSWORD}@host:5432/paciolus",
}
LIKE_THE_CORS_ORIGINS = "set it like CORS_ORIGINS=https://paciolus.com,https://www.paciolus.com"
WEAK_PASSWORD = (
    "DATABASE_URL: its password is weak, production needs 32 characters, or 24 of both cases; "
    f"make one with: {HOW_TO_MAKE_ONE}"
)

MISTAKES = {
    "env_mode": (
        {"ENV_MODE": "prod"},
        'ENV_MODE: "prod" is not one of development, staging, production; set it like ENV_MODE=production',
    ),
    "debug": ({"DEBUG": "maybe"}, 'DEBUG: "maybe" is not true or false; set it like DEBUG=false'),
    "port_word": (
        {"API_PORT": "eighty"},
        'API_PORT: "eighty" is not a port from 1 to 65535; set it like API_PORT=8000',
    ),
    "port_range": (
        {"API_PORT": "70000"},
        'API_PORT: "70000" is not a port from 1 to 65535; set it like API_PORT=8000',
    ),
    "platforms_port": (
        {"PORT": "x"},
        'PORT: "x" is not a port from 1 to 65535; set it like PORT=8000',
    ),
    "cors_slash": (
        {"CORS_ORIGINS": "https://paciolus.com, https://www.paciolus.com/"},
        (
            'CORS_ORIGINS: "https://www.paciolus.com/" is not scheme and host without path or slash; '
            "set it like CORS_ORIGINS=https://paciolus.com,https://www.paciolus.com"
        ),
    ),
    "cors_wildcard": (
        {"CORS_ORIGINS": "*"},
        (
            'CORS_ORIGINS: "*" is not scheme and host without path or slash; '
            "set it like CORS_ORIGINS=https://paciolus.com,https://www.paciolus.com"
        ),
    ),
    "secret_short": (
        {"JWT_SECRET_KEY": "hunter2"},
        f"JWT_SECRET_KEY: shorter than 32 characters; make one with: {HOW_TO_MAKE_ONE}",
    ),
    "secret_public": (
        PRODUCTION | {"JWT_SECRET_KEY": ""},
        (
            "JWT_SECRET_KEY: the development secret is public, production needs its own; "
            f"make one with: {HOW_TO_MAKE_ONE}"
        ),
    ),
    "secret_public_given": (
        {"ENV_MODE": "staging", "JWT_SECRET_KEY": DEVELOPMENT_SECRET},
        (
            "JWT_SECRET_KEY: the development secret is public, staging needs its own; "
            f"make one with: {HOW_TO_MAKE_ONE}"
        ),
    ),
    "secret_of_the_handbook": (
        PRODUCTION | {"JWT_SECRET_KEY": "e4a2b1c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6c7d8e9f0a1"},
        (
            "JWT_SECRET_KEY: the handbook's example is public, production needs its own; "
            f"make one with: {HOW_TO_MAKE_ONE}"
        ),
    ),
    "previous_secret_short": (
        {"JWT_SECRET_KEY_PREVIOUS": "hunter2"},
        (
            "JWT_SECRET_KEY_PREVIOUS: shorter than 32 characters; "
            "give the key that JWT_SECRET_KEY replaced, or leave it out"
        ),
    ),
    "previous_secret_not_previous": (
        {"JWT_SECRET_KEY": SECRET, "JWT_SECRET_KEY_PREVIOUS": SECRET},
        (
            "JWT_SECRET_KEY_PREVIOUS: the same as JWT_SECRET_KEY; "
            "give the key that JWT_SECRET_KEY replaced, or leave it out"
        ),
    ),
    "rotated_some_day": (
        {"JWT_SECRET_ROTATED_AT": "soon"},
        (
            'JWT_SECRET_ROTATED_AT: "soon" is not a date like 2026-01-31; '
            "set it like JWT_SECRET_ROTATED_AT=2026-01-31"
        ),
    ),
    "rotated_in_the_future": (
        {"JWT_SECRET_ROTATED_AT": "2999-01-31"},
        "JWT_SECRET_ROTATED_AT: 2999-01-31 is in the future; set it like JWT_SECRET_ROTATED_AT=2026-01-31",
    ),
    "production_debug": (
        PRODUCTION | {"DEBUG": "true"},
        "DEBUG: it shows stack traces to clients, which production must not; set it like DEBUG=false",
    ),
    "production_queries": (
        PRODUCTION | {"LOG_LEVEL": "debug"},
        "LOG_LEVEL: DEBUG logs every query and is for development only; set it like LOG_LEVEL=INFO",
    ),
    "production_http": (
        PRODUCTION | {"CORS_ORIGINS": "https://paciolus.com,http://www.paciolus.com"},
        (
            'CORS_ORIGINS: "http://www.paciolus.com" is not https, and production trusts nothing else; '
            f"{LIKE_THE_CORS_ORIGINS}"
        ),
    ),
    "production_anyone": (
        PRODUCTION | {"CORS_ORIGINS": "https://*.paciolus.com"},
        (
            'CORS_ORIGINS: "https://*.paciolus.com" is not scheme and host without path or slash; '
            f"{LIKE_THE_CORS_ORIGINS}"
        ),
    ),
    "production_sqlite": (
        PRODUCTION | {"DATABASE_URL": "sqlite:///paciolus.db"},
        (
            "DATABASE_URL: sqlite is for development, production needs postgresql; "
            "set it like DATABASE_URL=postgresql://user:password@host:5432/paciolus"
        ),
    ),
    "production_weak_password": (
        PRODUCTION | {"DATABASE_URL": "postgresql://paciolus_user:hunter2@host:5432/paciolus_db"},
        WEAK_PASSWORD,
    ),
    "production_monotonous_password": (
        PRODUCTION | {"DATABASE_URL": f"postgresql://user:{'a' * 40}@host:5432/paciolus"},
        WEAK_PASSWORD,
    ),
    "production_no_password": (
        PRODUCTION | {"DATABASE_URL": "postgresql://user@host:5432/paciolus"},
        WEAK_PASSWORD,
    ),
    "lock_failures": (
        {"LOGIN_LOCK_FAILURES": "0"},
        (
            'LOGIN_LOCK_FAILURES: "0" is not a number of failures from 1 to 1000; '
            "set it like LOGIN_LOCK_FAILURES=5"
        ),
    ),
    "workers": (
        {"WEB_CONCURRENCY": "four"},
        'WEB_CONCURRENCY: "four" is not a number of workers from 1 to 256; set it like WEB_CONCURRENCY=4',
    ),
    "drain": (
        {"DRAIN_SECONDS": "-1"},
        'DRAIN_SECONDS: "-1" is not seconds from 0 to 300; set it like DRAIN_SECONDS=5',
    ),
    "log_format": (
        {"LOG_FORMAT": "xml"},
        'LOG_FORMAT: "xml" is not one of json, text; set it like LOG_FORMAT=json',
    ),
    "algorithm": (
        {"JWT_ALGORITHM": "none"},
        'JWT_ALGORITHM: "none" is not an algorithm that this API signs with; set it like JWT_ALGORITHM=HS256',
    ),
    "expiration": (
        {"JWT_EXPIRATION_MINUTES": "0"},
        (
            'JWT_EXPIRATION_MINUTES: "0" is not a number of minutes from 1 to 43200; '
            "set it like JWT_EXPIRATION_MINUTES=480"
        ),
    ),
    "database_scheme": (
        {"DATABASE_URL": "mysql://user:hunter2@host/name"},
        (
            "DATABASE_URL: mysql is not supported, only postgresql and sqlite are; "
            "set it like DATABASE_URL=postgresql://user:password@host:5432/paciolus"
        ),
    ),
    "database_garbage": (
        {"DATABASE_URL": "hunter2"},
        (
            "DATABASE_URL: cannot be read as a database URL; "
            "set it like DATABASE_URL=postgresql://user:password@host:5432/paciolus"
        ),
    ),
    "database_port": (
        {"DATABASE_URL": "postgresql://user:hunter2@host:port/name"},
        (
            "DATABASE_URL: cannot be read as a database URL; "
            "set it like DATABASE_URL=postgresql://user:password@host:5432/paciolus"
        ),
    ),
    "database_memory": (
        {"DATABASE_URL": "sqlite://"},
        (
            "DATABASE_URL: every connection would open a database of its own in memory, name a file; "
            "set it like DATABASE_URL=postgresql://user:password@host:5432/paciolus"
        ),
    ),
    "pool_size": (
        {"DB_POOL_SIZE": "0"},
        'DB_POOL_SIZE: "0" is not a number of connections from 1 to 1000; set it like DB_POOL_SIZE=10',
    ),
    "overflow": (
        {"DB_MAX_OVERFLOW": "-1"},
        'DB_MAX_OVERFLOW: "-1" is not a number of connections from 0 to 1000; set it like DB_MAX_OVERFLOW=20',
    ),
    "recycle": (
        {"DB_POOL_RECYCLE": "1.5"},
        'DB_POOL_RECYCLE: "1.5" is not seconds from 1 to 86400; set it like DB_POOL_RECYCLE=3600',
    ),
    "pool_timeout": (
        {"DB_POOL_TIMEOUT": "forever"},
        'DB_POOL_TIMEOUT: "forever" is not seconds from 0.1 to 60; set it like DB_POOL_TIMEOUT=10',
    ),
    "sentry": (
        {"SENTRY_DSN": "hunter2"},
        "SENTRY_DSN: cannot be read as a Sentry DSN; set it like SENTRY_DSN=https://key@host/1",
    ),
    "log_level": (
        {"LOG_LEVEL": "LOUD"},
        'LOG_LEVEL: "LOUD" is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL; set it like LOG_LEVEL=INFO',
    ),
}


@pytest.mark.parametrize(("environment", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(
    environment: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value) == line
    assert "hunter2" not in line


def test_all_mistakes_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_PORT", "DATABASE_URL", "DB_POOL_SIZE", "LOG_LEVEL"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("ENV_MODE", "production")
    monkeypatch.setenv("DEBUG", "true")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    named = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    wrong = [
        "DEBUG",
        "API_PORT",
        "CORS_ORIGINS",
        "JWT_SECRET_KEY",
        "DATABASE_URL",
        "DB_POOL_SIZE",
        "LOG_LEVEL",
    ]
    assert named == wrong


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "0123456789abcdef" * 2, "AVNS_kcRfaQwdLxgTzmVbpNm"],
    ids=["all kinds", "32 of hexadecimal", "as managed databases have it"],
)
def test_production_takes_strong_passwords(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://user:{password}@host:5432/paciolus"
    for name, value in (PRODUCTION | {"DATABASE_URL": url}).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().url.password == password


def test_only_production_waits_for_load_balancers_and_all_servers_log_json() -> None:
    modes = ("development", "staging", "production")
    loaded = [
        Settings.load(**{key.lower(): value for key, value in (PRODUCTION | {"ENV_MODE": mode}).items()})
        for mode in modes
    ]
    assert [settings.drain for settings in loaded] == [0, 0, 5]
    assert [settings.logs_are_json for settings in loaded] == [False, True, True]
    assert Settings.load(log_format="json", drain_seconds=2.5).logs_are_json
    assert Settings.load(drain_seconds=2.5).drain == 2.5


def test_runs_out_of_the_box() -> None:
    settings = Settings.load()
    assert (settings.env_mode, settings.debug, settings.api_port) == ("development", False, 8000)
    assert (settings.db_pool_size, settings.db_max_overflow, settings.db_pool_recycle) == (10, 20, 3600)
    assert settings.jwt_expiration_minutes == 480
    assert settings.url.drivername == "sqlite"


def test_reads_the_documented_production_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = {
        "ENV_MODE": "production",
        "DEBUG": "false",
        "API_HOST": "0.0.0.0",
        "CORS_ORIGINS": "https://paciolus.com,https://www.paciolus.com",
        "JWT_SECRET_KEY": SECRET,
        "DATABASE_URL": f"postgresql://user:{PASSWORD}@host:5432/paciolus",
        "SENTRY_DSN": "",
        "LOG_LEVEL": "warning",
    }
    for name, value in documented.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.cors_origins == ("https://paciolus.com", "https://www.paciolus.com")
    assert (settings.sentry_dsn, settings.log_level) == (None, "WARNING")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_way_to_write_postgresql_names_the_driver(scheme: str) -> None:
    settings = Settings.load(database_url=f"{scheme}://u:p@host:5432/name")
    assert settings.url.render_as_string(hide_password=False) == "postgresql+psycopg2://u:p@host:5432/name"


def test_a_platforms_port_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "9001")
    assert Settings.load().listen_port == 9001
    monkeypatch.setenv("PORT", "9002")
    assert Settings.load().listen_port == 9002


def test_settings_are_frozen_and_keep_their_secrets() -> None:
    settings = Settings.load(jwt_secret_key=SECRET, database_url="postgresql://user:hunter2@host/name")
    with pytest.raises(ValidationError):
        settings.debug = True
    assert SECRET not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "app.main:app"],
        ["gunicorn", "-c", "python:app.gunicorn_conf", "app.main:app"],
        ["app"],
    ],
    ids=lambda command: command[0],
)
def test_every_way_to_start_says_the_lines_and_no_traceback(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (PRODUCTION | {"API_PORT": "eighty", "JWT_SECRET_KEY": ""}).items():
        monkeypatch.setenv(name, value)
    ended = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert ended.stderr.strip().splitlines() == [MISTAKES["port_word"][1], MISTAKES["secret_public"][1]]
