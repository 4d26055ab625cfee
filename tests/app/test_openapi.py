"""The OpenAPI document is a promise: thousands of requests made from it, and no answer that it leaves out."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import PASSWORD, StartServer, register, samples
from tests.conftest import StartProcess
from tests.servers import CALMLY

# Another one explores further: OPENAPI_SEED=7 pytest tests/app/test_openapi.py
SEED = os.environ.get("OPENAPI_SEED", "20261")
CASES = 2500
PATIENCE = 600
"""Seconds, against hanging alone: the work takes 40 to 140, by what else the machine does."""
NO_LIMITS = {"LOGIN_ADDRESS_ATTEMPTS": "100000", "LOGIN_LOCK_FAILURES": "1000"}
"""Else soon nobody gets in: all cases come from one address."""
FILES = Path(__file__).with_name("trial_balances.py")
EMAIL = "grace@example.com"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
CONFIG = """
hooks = "{hooks}"

[generation]
database = "none"

[auth.dynamic.openapi.{scheme}]
path = "/auth/login"
payload = {{ email = "{email}", password = "{password}" }}
extract_selector = "/access_token"
"""
COUNT = re.compile(r'http_request_duration_seconds_count\{method="(\w+)",route="(.*)",status="(\d)\d\d"\}')


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 30)
def test_no_answer_is_undocumented_and_none_is_our_fault(
    serve: StartServer, process: StartProcess, postgres_url: str, at_end: ExitStack, tmp_path: Path
) -> None:
    server, client = serve("tests.app.quick_hashing:create", {"DATABASE_URL": postgres_url, **NO_LIMITS})
    at_end.callback(client.close)
    assert register(client, EMAIL).status_code == 201
    ours = by_operation(client.get("/metrics").text)
    document = client.get("/openapi.json").json()
    write_config(tmp_path, document)
    run = process(
        *(*CALMLY, sys.executable, "-m", "schemathesis.cli", "run", f"{client.base_url}/openapi.json"),
        *("--seed", SEED, "--checks", ",".join(CHECKS), "--max-examples", "95", "--continue-on-failure"),
        *("--no-color", "--report", "json", "--report-json-path", "report.json"),
        cwd=tmp_path,
    )
    assert run.wait(PATIENCE) == 0, run.output
    delete_account(client)
    report = json.loads((tmp_path / "report.json").read_text())
    counted = by_operation(client.get("/metrics").text) - ours
    print(f"{report['test_cases']['generated']} cases in {report['running_time']:.0f} s: {counted}")
    assert report["test_cases"]["generated"] >= CASES
    assert {operation for operation, kind in counted if kind == "5"} == set()
    assert operations(document) - {operation for operation, kind in counted if kind == "2"} == set()
    assert "Traceback" not in server.output


def delete_account(client: httpx.Client) -> None:
    """Last, and by us: with it all that was asked afterwards would be refused."""
    token = client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()["access_token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    answer = client.post("/auth/delete", json={"password": PASSWORD}, headers=signed_in)
    assert answer.status_code == 204


def write_config(folder: Path, document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"]
    text = CONFIG.format(hooks=FILES, scheme=scheme, email=EMAIL, password=PASSWORD)
    (folder / "schemathesis.toml").write_text(text)


def operations(document: dict[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


def by_operation(page: str) -> Counter[tuple[str, str]]:
    """By operation and the first digit of the status, as the server itself has counted."""
    counts = ((COUNT.fullmatch(series), value) for series, value in samples(page).items())
    total: Counter[tuple[str, str]] = Counter()
    for found, value in counts:
        if found:
            total[f"{found[1]} {found[2]}", found[3]] += int(value)
    return total
