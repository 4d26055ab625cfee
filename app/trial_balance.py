"""POST /audit/trial-balance: a CSV or XLSX is analysed in memory, only its totals are stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any, BinaryIO, NamedTuple, cast

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app import deadlines, idempotency
from app.auth import CurrentUser
from app.clients import owned_client
from app.database import Sessions
from app.diagnostics import ClassTotal, Diagnosis, TrialBalanceError, analyse, to_decimal
from app.errors import RETRY_AFTER
from app.models import ActivityLog, DiagnosticSummary
from app.paging import LARGEST_ID
from app.problems import problems
from app.upload_memory import FullError, UploadMemory

logger = logging.getLogger(__name__)

PATH = "/audit/trial-balance"
LARGEST_UPLOAD = 50_000_000
"""Bytes of the whole request body."""
MOST_UPLOADED = 4 * LARGEST_UPLOAD
"""Bytes of all uploads that one process holds at a time."""
SLOWEST_UPLOAD = 60.0
"""Seconds from the first to the last byte."""
ANALYSES_AT_ONCE = 2
"""Of one process; others wait for their turn, as more would slow each other and everything else down."""

router = APIRouter(tags=["trial balance"])


class _Part(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Abnormal(_Part):
    account: str = Field(examples=["1000 Cash"])
    balance: Decimal = Field(description="Debit minus credit", examples=["-250.00"])
    normal_side: str = Field(examples=["debit"])
    account_class: str = Field(examples=["asset"])
    row: int = Field(description="The account's first, as a spreadsheet counts", examples=[2])


class Duplicate(_Part):
    kind: str = Field(
        description="account: on several rows; number or name: shared by several accounts",
        examples=["number"],
    )
    value: str = Field(examples=["1000"])
    rows: list[int] = Field(examples=[[2, 7]])


class Suspense(_Part):
    account: str = Field(examples=["9999 Suspense"])
    balance: Decimal = Field(examples=["12.00"])
    row: int = Field(examples=[12])


class TotalRow(_Part):
    row: int = Field(examples=[30])
    agrees: bool = Field(description="Whether the rows above add up to it")


class ClassReport(BaseModel):
    accounts: int = Field(examples=[12])
    balance: Decimal = Field(description="Debit minus credit", examples=["1200.00"])
    largest_account: str | None = Field(examples=["1200 Trade debtors"])
    largest_share: float = Field(description="Of the sum of absolute balances, from 0 to 1", examples=[0.4])
    concentrated: bool = Field(description="One of several accounts holds half of the class or more")


class Rounding(BaseModel):
    amounts: int = Field(description="Other than 0", examples=[24])
    round_thousands: int = Field(examples=[3])
    round_share: float = Field(description="From 0 to 1", examples=[0.125])
    not_whole_cents: int = Field(examples=[0])
    not_whole_cents_rows: list[int] = Field(examples=[[]])


class Origin(_Part):
    """How the file was read, so that a wrong guess can be seen."""

    format: str = Field(examples=["csv"])
    encoding: str = Field(examples=["utf-8-sig"])
    separator: str = Field(examples=[","])
    decimal_mark: str = Field(examples=["."])


class Report(BaseModel):
    """Of each list the first 100 entries; the counts beside them are of all."""

    summary_id: int = Field(examples=[41])
    row_count: int = Field(description="Without rows of totals", examples=[24])
    account_count: int = Field(examples=[24])
    total_debits: Decimal = Field(examples=["53125.50"])
    total_credits: Decimal = Field(examples=["53125.50"])
    difference: Decimal = Field(examples=["0.00"])
    balanced: bool = Field(description="To the cent")
    difference_hints: list[str] = Field(description="Where a difference may come from", examples=[[]])
    abnormal_balances: int = Field(examples=[0])
    abnormal: list[Abnormal]
    duplicate_accounts: int = Field(examples=[0])
    duplicates: list[Duplicate]
    suspense_accounts: int = Field(description="With a balance", examples=[0])
    suspense: list[Suspense]
    missing: list[str] = Field(
        description="cash, and classes without accounts; empty when over 10 % could not be classified",
        examples=[["equity"]],
    )
    unclassified_accounts: int = Field(examples=[0])
    classes: dict[str, ClassReport]
    rounding: Rounding
    total_rows: list[TotalRow]
    source: Origin


class Upload(NamedTuple):
    content: BinaryIO
    name: str
    client_id: int | None


class _InMemoryParser(MultiPartParser):
    # Above this size the parser goes on in a temporary file; the body limit stops larger uploads before.
    spool_max_size = LARGEST_UPLOAD
    _complete = False

    def on_end(self) -> None:
        self._complete = True

    async def parse(self) -> FormData:
        """Raises MultiPartException; then no file is left open, nor its memory taken."""
        form = await super().parse()
        if not self._complete:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("The body ends before its last boundary.")
        return form


def prepare(app: FastAPI) -> None:
    """What uploads share, in each process for itself."""
    app.state.upload_memory = UploadMemory(MOST_UPLOADED)
    app.state.analyses = asyncio.Semaphore(ANALYSES_AT_ONCE)


async def _upload(request: Request) -> AsyncIterator[Upload]:
    with _room(request):
        form = await _read_form(request)
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "No CSV or XLSX in a field named file")
            yield Upload(file.file, file.filename or "", _client_id(form))
        finally:
            await form.close()


@contextmanager
def _room(request: Request) -> Iterator[None]:
    """For as much as was announced, before any of it is read."""
    announced = int(request.headers.get("content-length", LARGEST_UPLOAD))
    memory: UploadMemory = request.app.state.upload_memory
    try:
        with memory.reserve(min(announced, LARGEST_UPLOAD)):
            yield
    except FullError:
        full = "Too many uploads are being handled. Try again shortly."
        raise HTTPException(503, full, {"Retry-After": str(RETRY_AFTER)}) from None


async def _read_form(request: Request) -> FormData:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "Send the CSV or XLSX as multipart/form-data, in a field named file")
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
        "file": {"type": "string", "format": "binary", "description": "CSV or XLSX: account, debit, credit"},
        "client_id": {"type": "integer"},
    },
}


@router.post(
    PATH,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    responses=problems(
        401,
        404,
        409,
        _503="The database cannot answer, or too many uploads are handled at once; see Retry-After",
        _400="Not a readable multipart body",
        _408="The upload took too long",
        _413=f"More than {LARGEST_UPLOAD:,} bytes",
        _415="Not multipart/form-data",
        _422="Not a trial balance: the detail says which row and column",
    ),
)
async def analyse_trial_balance(
    user: CurrentUser,
    upload: Annotated[Upload, Depends(_upload)],
    sessions: Sessions,
    request: Request,
    response: Response,
    key: idempotency.Key = None,
) -> Report:
    """Findings go to the caller only. The file is never stored, of its content only totals and counts are."""
    if upload.client_id is not None:
        await run_in_threadpool(_check_client, sessions, upload.client_id, user.id)
    try:
        async with request.app.state.analyses:
            diagnosis = await run_in_threadpool(analyse, upload.content, upload.name)
    except TrialBalanceError as error:
        raise HTTPException(422, str(error)) from None
    deadlines.restart()
    stored = await run_in_threadpool(_store, sessions, user.id, upload.client_id, diagnosis, key)
    if stored.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    logger.info("analysed a trial balance user=%d rows=%d", user.id, diagnosis.row_count)
    return _report(stored.id, diagnosis)


def _check_client(sessions: sessionmaker[Session], client_id: int, user_id: int) -> None:
    with sessions() as session:
        owned_client(session, client_id, user_id)


def _store(
    sessions: sessionmaker[Session],
    user_id: int,
    client_id: int | None,
    diagnosis: Diagnosis,
    key: str | None,
) -> idempotency.Made:
    """A new summary, or the one that the same request made before."""
    totals = {
        "client_id": client_id,
        "row_count": diagnosis.row_count,
        "total_debits": diagnosis.total_debits,
        "total_credits": diagnosis.total_credits,
        "difference": diagnosis.difference,
        "balanced": diagnosis.balanced,
        "abnormal_balances": diagnosis.findings.abnormal_count,
    }

    def add(session: Session) -> int:
        summary = DiagnosticSummary(user_id=user_id, **totals)
        session.add(summary)
        session.flush()
        session.add(ActivityLog(user_id=user_id, action="trial_balance_analysed", subject_id=summary.id))
        return summary.id

    call = idempotency.Call(user_id, key, ("trial balance", *totals.values()))
    return idempotency.once(sessions, call, add)


def _report(summary_id: int, diagnosis: Diagnosis) -> Report:
    ledger, findings, source = diagnosis.ledger, diagnosis.findings, diagnosis.source
    return Report(
        summary_id=summary_id,
        row_count=diagnosis.row_count,
        account_count=diagnosis.account_count,
        total_debits=diagnosis.total_debits,
        total_credits=diagnosis.total_credits,
        difference=diagnosis.difference,
        balanced=diagnosis.balanced,
        difference_hints=findings.hints,
        abnormal_balances=findings.abnormal_count,
        abnormal=[Abnormal.model_validate(each) for each in findings.abnormal],
        duplicate_accounts=findings.duplicate_count,
        duplicates=[Duplicate.model_validate(each) for each in findings.duplicates],
        suspense_accounts=findings.suspense_count,
        suspense=[Suspense.model_validate(each) for each in findings.suspense],
        missing=diagnosis.missing,
        unclassified_accounts=findings.unclassified,
        classes={name: _class_report(total) for name, total in findings.classes.items()},
        rounding=Rounding(
            amounts=ledger.amounts,
            round_thousands=ledger.round_amounts,
            round_share=round(ledger.round_amounts / max(ledger.amounts, 1), 4),
            not_whole_cents=ledger.not_whole_cents,
            not_whole_cents_rows=ledger.not_whole_cents_rows,
        ),
        total_rows=[TotalRow.model_validate(each) for each in ledger.total_rows],
        source=Origin(
            format=source.format,
            encoding=source.encoding,
            separator=source.separator,
            decimal_mark=diagnosis.decimal_mark,
        ),
    )


def _class_report(total: ClassTotal) -> ClassReport:
    return ClassReport(
        accounts=total.accounts,
        balance=to_decimal(total.balance),
        largest_account=total.largest_account.replace("\t", " ") or None,
        largest_share=round(total.largest_share, 4),
        concentrated=total.concentrated,
    )
