"""POST /audit/trial-balance: a CSV is analysed in memory, only its totals are stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, BinaryIO, NamedTuple, cast

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.analysis import Diagnosis, TrialBalanceError, analyse
from app.auth import CurrentUser
from app.clients import LARGEST_ID, owned_client
from app.database import Sessions
from app.models import ActivityLog, DiagnosticSummary

logger = logging.getLogger(__name__)

PATH = "/audit/trial-balance"
LARGEST_UPLOAD = 50_000_000
"""Bytes of the whole request body."""
SLOWEST_UPLOAD = 60.0
"""Seconds from the first to the last byte."""
MOST_LISTED = 100

router = APIRouter(tags=["trial balance"])


class Abnormal(BaseModel):
    account: str
    balance: Decimal
    normal_side: str


class Report(BaseModel):
    summary_id: int
    row_count: int
    total_debits: Decimal
    total_credits: Decimal
    difference: Decimal
    balanced: bool
    abnormal_balances: int
    abnormal: list[Abnormal]


class Upload(NamedTuple):
    content: BinaryIO
    client_id: int | None


class _InMemoryParser(MultiPartParser):
    # Above this size the parser goes on in a temporary file; the body limit stops larger uploads before.
    spool_max_size = LARGEST_UPLOAD


async def _upload(request: Request) -> AsyncIterator[Upload]:
    form = await _read_form(request)
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise HTTPException(422, "No CSV in a field named file")
        yield Upload(file.file, _client_id(form))
    finally:
        await form.close()


async def _read_form(request: Request) -> FormData:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "Send the CSV as multipart/form-data, in a field named file")
    parser = _InMemoryParser(request.headers, cast("Any", request.stream()), max_files=1, max_fields=10)
    try:
        async with asyncio.timeout(SLOWEST_UPLOAD):
            return await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    except TimeoutError:
        raise HTTPException(408, f"The upload took longer than {SLOWEST_UPLOAD:g} s") from None


def _client_id(form: FormData) -> int | None:
    text = form.get("client_id")
    if text in (None, ""):
        return None
    if not isinstance(text, str) or not text.isdecimal() or not 1 <= int(text[:20]) <= LARGEST_ID:
        raise HTTPException(422, "client_id is not the id of a client")
    return int(text)


_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "CSV with account, debit and credit"},
        "client_id": {"type": "integer"},
    },
}


@router.post(
    PATH,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    responses={
        400: {"description": "Not a readable multipart body"},
        401: {"description": "No valid token"},
        404: {"description": "No such client of this user"},
        408: {"description": "The upload took too long"},
        413: {"description": f"More than {LARGEST_UPLOAD:,} bytes"},
        415: {"description": "Not multipart/form-data"},
        422: {"description": "Not a trial balance: the detail says which row and column"},
    },
)
def analyse_trial_balance(
    user: CurrentUser, upload: Annotated[Upload, Depends(_upload)], sessions: Sessions
) -> Report:
    if upload.client_id is not None:
        with sessions() as session:
            owned_client(session, upload.client_id, user.id)
    try:
        diagnosis = analyse(upload.content)
    except TrialBalanceError as error:
        raise HTTPException(422, str(error)) from None
    summary_id = _store(sessions, user.id, upload.client_id, diagnosis)
    logger.info("analysed a trial balance user=%d rows=%d", user.id, diagnosis.row_count)
    return _report(summary_id, diagnosis)


def _store(sessions: sessionmaker[Session], user_id: int, client_id: int | None, diagnosis: Diagnosis) -> int:
    summary = DiagnosticSummary(
        user_id=user_id,
        client_id=client_id,
        row_count=diagnosis.row_count,
        total_debits=diagnosis.total_debits,
        total_credits=diagnosis.total_credits,
        difference=diagnosis.difference,
        balanced=diagnosis.balanced,
        abnormal_balances=len(diagnosis.abnormal),
    )
    with sessions.begin() as session:
        session.add_all([summary, ActivityLog(user_id=user_id, action="trial_balance_analysed")])
    return summary.id


def _report(summary_id: int, diagnosis: Diagnosis) -> Report:
    listed = diagnosis.abnormal[:MOST_LISTED]
    return Report(
        summary_id=summary_id,
        row_count=diagnosis.row_count,
        total_debits=diagnosis.total_debits,
        total_credits=diagnosis.total_credits,
        difference=diagnosis.difference,
        balanced=diagnosis.balanced,
        abnormal_balances=len(diagnosis.abnormal),
        abnormal=[Abnormal(**line._asdict()) for line in listed],
    )
