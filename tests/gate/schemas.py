"""Schemas that others wrote, read from the packages that bring them: none lies in this repository."""

from __future__ import annotations

import json
import pickle
import sqlite3
import sys
import tarfile
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import xmlschema

from tests.servers import MISSING_SERVER, in_ci

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
SOURCES = Path(sys.prefix) / "sources"


def junit() -> xmlschema.XMLSchema:
    """Jenkins' own, as pytest's tests have it: its source has it, its wheel has not."""
    name = f"pytest-{version('pytest')}"
    if not (source := SOURCES / f"{name}.tar.gz").exists():
        reason = f"{MISSING_SERVER}{source.name} (scripts/setup-venv fetches it)"
        pytest.fail(reason, pytrace=False) if in_ci() else pytest.skip(reason)
    with tarfile.open(source) as archive:
        found = archive.extractfile(f"{name}/testing/example_scripts/junit-10.xsd")
        assert found
        return xmlschema.XMLSchema(found.read().decode())


def sarif() -> jsonschema_rs.Validator:
    """That of OASIS, from schemastore's copy of all that json.schemastore.org has.

    Read without the package's own code, which would ask the network for a newer one.
    """
    query = "SELECT value FROM responses WHERE instr(value, ?)"
    with closing(sqlite3.connect(f"file:{_folder('schemastore')}/cache.sqlite?mode=ro", uri=True)) as cache:
        answers = [pickle.loads(value) for (value,) in cache.execute(query, (SARIF.encode(),))]
    [found] = [each["_content"] for each in answers if each["url"] == SARIF]
    # The language's pattern ends with a bracket too many, which Rust wants escaped.
    return _validator(json.loads(found.replace(rb"{2}]?$", rb"{2}\\]?$")))


def vendored(name: str) -> jsonschema_rs.Validator:
    """`github-actions`, `github-workflows` or `gitlab-ci`, as GitHub's and GitLab's editors use them."""
    path = _folder("check_jsonschema") / "builtin_schemas/vendor" / f"{name}.json"
    return _validator(json.loads(path.read_text()))


def _validator(schema: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def _folder(package: str) -> Path:
    """Without importing it."""
    spec = find_spec(package)
    assert spec, package
    assert spec.origin
    return Path(spec.origin).parent
