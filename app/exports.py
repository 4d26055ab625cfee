"""POST /export/pdf and /export/excel: a diagnosis as a document, made in memory and forgotten when sent.

The caller sends the diagnosis that POST /audit/trial-balance answered with, which nobody has kept, or names a
stored summary, which has totals and nothing else.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from app import trial_balance
from app.auth import CurrentUser
from app.database import Sessions
from app.documents import excel, pdf
from app.documents.report import Cell, Report, Section, sections_of
from app.errors import RETRY_AFTER
from app.models import MOST_DIGITS, ActivityLog, Client, DiagnosticSummary, User
from app.paging import LARGEST_ID
from app.problems import problems

router = APIRouter(prefix="/export", tags=["export"])

TITLE = "Trial balance diagnostics"
MOST_ROWS = 2_000
"""Of all sections of a report together."""
MAKING_PATIENCE = 10.0
"""Seconds that a request waits for the documents before it."""

_IDS = frozenset({"id", "user_id", "client_id", "summary_id"})
_one_at_a_time = threading.Lock()  # a core for one is enough: requests that need none go on beside it


class OfSummary(BaseModel):
    """A summary of the user's: its id is in the answer to the upload and in the activity history."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"summary_id": 7}]})

    summary_id: int = Field(ge=1, le=LARGEST_ID)


class OfDiagnostic(BaseModel):
    """The body that POST /audit/trial-balance answered with."""

    model_config = ConfigDict(extra="forbid")

    diagnostic: trial_balance.Report

    @field_validator("diagnostic")
    @classmethod
    def _is_bounded(cls, diagnostic: trial_balance.Report) -> trial_balance.Report:
        rows = [row for section in _sections(diagnostic.model_dump()) for row in section.rows]
        if len(rows) > MOST_ROWS:
            raise ValueError(f"a report has at most {MOST_ROWS:,} rows")
        if not all(map(_is_printable, itertools.chain.from_iterable(rows))):
            raise ValueError(f"numbers have at most {MOST_DIGITS} digits")
        return diagnostic


class PdfResponse(Response):
    media_type = pdf.MEDIA_TYPE


class ExcelResponse(Response):
    media_type = excel.MEDIA_TYPE


_ERRORS = problems(400, 401, 404, 413, 422, 503)


def _binary(media_type: str) -> dict[str, Any]:
    return {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}


@router.post("/pdf", response_class=PdfResponse, responses={200: _binary(pdf.MEDIA_TYPE), **_ERRORS})
def export_pdf(wanted: OfSummary | OfDiagnostic, user: CurrentUser, sessions: Sessions) -> PdfResponse:
    report = _report(wanted, user, sessions, "exported_pdf")
    with _alone():
        return PdfResponse(pdf.make(report), headers=_attachment("pdf"))


@router.post("/excel", response_class=ExcelResponse, responses={200: _binary(excel.MEDIA_TYPE), **_ERRORS})
def export_excel(wanted: OfSummary | OfDiagnostic, user: CurrentUser, sessions: Sessions) -> ExcelResponse:
    """Text that a spreadsheet could take for a formula begins with an apostrophe."""
    report = _report(wanted, user, sessions, "exported_excel")
    with _alone():
        return ExcelResponse(excel.make(report), headers=_attachment("xlsx"))


def _report(
    wanted: OfSummary | OfDiagnostic, user: User, sessions: sessionmaker[Session], action: str
) -> Report:
    """All work with the database, done before the document is begun."""
    summary_id = wanted.summary_id if isinstance(wanted, OfSummary) else None
    with sessions.begin() as session:
        if isinstance(wanted, OfSummary):
            findings = _stored(session, wanted.summary_id, user.id)
        else:
            findings = wanted.diagnostic.model_dump()
        session.add(ActivityLog(user_id=user.id, action=action, subject_id=summary_id))
    return Report(TITLE, list(_sections(findings)))


def _stored(session: Session, summary_id: int, user_id: int) -> dict[str, Any]:
    """Every column of the summary, by its name, below the client's. Raises HTTPException 404."""
    mine = DiagnosticSummary.id == summary_id, DiagnosticSummary.user_id == user_id
    both = select(DiagnosticSummary, Client.name).outerjoin(Client, Client.id == DiagnosticSummary.client_id)
    if (found := session.execute(both.where(*mine)).one_or_none()) is None:
        raise HTTPException(404, "No such summary")
    summary, client = found
    columns = DiagnosticSummary.__table__.columns.keys()
    values = {name: getattr(summary, name) for name in columns}
    return {"client": client, "analysed_at": values.pop("created_at").isoformat(" ", "seconds"), **values}


def _sections(findings: dict[str, Any]) -> Iterator[Section]:
    return sections_of({name: value for name, value in findings.items() if name not in _IDS}, "Totals")


def _is_printable(cell: Cell) -> bool:
    if isinstance(cell, str | bool | None):
        return True
    number = Decimal(cell) if isinstance(cell, int | Decimal) else Decimal(repr(cell))
    few = len(number.as_tuple().digits) <= MOST_DIGITS
    return few and number.is_finite() and abs(number.adjusted()) <= MOST_DIGITS


@contextmanager
def _alone() -> Iterator[None]:
    if not _one_at_a_time.acquire(timeout=MAKING_PATIENCE):
        busy = "Too many documents are being made. Try again shortly."
        raise HTTPException(503, busy, {"Retry-After": str(RETRY_AFTER)})
    try:
        yield
    finally:
        _one_at_a_time.release()


def _attachment(ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="trial-balance-diagnostics.{ending}"'}
