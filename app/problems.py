"""The shape of every error: problem details (RFC 9457, application/problem+json), in answers and OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app.telemetry import request_id

MEDIA_TYPE = "application/problem+json"
PLAIN = "about:blank"
"""The type of problems of which the status says all."""

_DESCRIPTIONS = {
    400: "The body cannot be read",
    401: "No valid token",
    404: "This user has no such thing",
    408: "The body took too long",
    409: "Contradicts what is there already",
    413: "The body is too large",
    415: "The body is of another media type",
    422: "Invalid; `errors` names the fields, if fields are to blame",
    429: "Too many requests; Retry-After says when to go on",
    503: "The database cannot answer; Retry-After says when to try again",
}
_SCHEMAS = "#/components/schemas/"


class FieldError(BaseModel):
    """One mistake; what was sent is never repeated, since it may be a secret."""

    loc: list[str | int] = Field(description="The way to the field", examples=[["body", "name"]])
    msg: str = Field(examples=["String should have at least 1 character"])
    type: str = Field(examples=["string_too_short"])


class Problem(BaseModel):
    type: str = Field(PLAIN, description="Which problem; about:blank when the status says all")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No such client"])
    instance: str = Field(description="The path that was asked for", examples=["/clients/7"])
    request_id: str | None = Field(None, description="How our logs call this request")
    errors: list[FieldError] | None = Field(None, description="With 422")


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    kind: str = "",
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """`kind` is a short name, such as "invalid-request", of what programs may want to tell apart."""
    told = Problem(
        type=f"urn:paciolus:problem:{kind}" if kind else PLAIN,
        title=_phrase(status),
        status=status,
        detail=detail,
        instance=quote(request.url.path),
        request_id=request_id() or None,
        errors=errors,
    )
    content = told.model_dump(exclude_none=True)
    return ProblemResponse(content, status, headers=dict(headers or {}))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problems(*statuses: int, **described: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: `problems(401, 404)`, or in words of its own `problems(_404="...")`."""
    words = {status: _DESCRIPTIONS[status] for status in statuses}
    words |= {int(name.removeprefix("_")): description for name, description in described.items()}
    return {
        status: {
            "description": words[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}},
        }
        for status in sorted(words)
    }


def describe_problems(app: FastAPI) -> None:
    """Completes the OpenAPI document: the schema of problems replaces FastAPI's of validation errors."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def with_problems() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schema = Problem.model_json_schema(ref_template=_SCHEMAS + "{model}", mode="serialization")
            schemas |= {**schema.pop("$defs"), "Problem": schema}
            _replace_validation_errors(document, schemas)
        return document

    app.openapi = with_problems  # type: ignore[method-assign]


def _replace_validation_errors(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    operations = (operation for path in document["paths"].values() for operation in path.values())
    for responses in (operation["responses"] for operation in operations):
        answer = responses.get("422")
        if answer and "HTTPValidationError" in str(answer):
            responses["422"] = problems(422)[422]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
