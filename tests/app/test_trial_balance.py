from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.models import ActivityLog, DiagnosticSummary
from tests.app.conftest import BALANCED, log_in, samples, upload
from tests.app.spreadsheets import xlsx

_written: list[str] = []
_watching = False


def _audit(name: str, args: tuple[object, ...]) -> None:
    """PEP 578: sees unlinked temporary files too. Hooks cannot be removed, so it is switched."""
    if not _watching:
        return
    if name.startswith("tempfile.") or (
        name == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        _written.append(f"{name} {args}")


sys.addaudithook(_audit)


@contextmanager
def watched_disk() -> Iterator[list[str]]:
    global _watching
    _written.clear()
    _watching = True
    try:
        yield _written
    finally:
        _watching = False


def test_an_upload_is_diagnosed(user: httpx.Client) -> None:
    answer = upload(user, b"Account,Debit,Credit\n1000 Cash,,100.00\n4000 Sales,99.50,\n")
    assert answer.status_code == 200
    report = answer.json()
    assert (
        report.items()
        >= {
            "summary_id": 1,
            "row_count": 2,
            "total_debits": "99.50",
            "total_credits": "100.00",
            "difference": "-0.50",
            "balanced": False,
            "abnormal_balances": 2,
            "missing": ["liability", "equity", "expense"],
            "source": {"format": "csv", "encoding": "utf-8-sig", "separator": ",", "decimal_mark": "."},
        }.items()
    )
    assert report["abnormal"] == [
        {
            "account": "1000 Cash",
            "balance": "-100.00",
            "normal_side": "debit",
            "account_class": "asset",
            "row": 2,
        },
        {
            "account": "4000 Sales",
            "balance": "99.50",
            "normal_side": "credit",
            "account_class": "income",
            "row": 3,
        },
    ]


def test_an_xlsx_is_diagnosed(user: httpx.Client) -> None:
    answer = user.post("/audit/trial-balance", files={"file": ("tb.xlsx", xlsx())})
    assert (answer.json()["balanced"], answer.json()["source"]["format"]) == (True, "xlsx")


def test_a_retry_with_the_same_key_stores_one_summary(user: httpx.Client) -> None:
    user.headers["Idempotency-Key"] = "closing-2025"
    first, again = upload(user).json(), upload(user).json()
    assert first == again
    assert upload(user, BALANCED + b"1100 Bank,5,\n").status_code == 422


def test_lists_are_bounded_and_counts_are_not(user: httpx.Client) -> None:
    rows = "".join(f"{1000 + place} Cash {place},-1,\n" for place in range(500))
    report = upload(user, f"account,debit,credit\n{rows}".encode()).json()
    assert (report["abnormal_balances"], len(report["abnormal"])) == (500, 100)


def test_others_are_served_while_one_is_analysed(user: httpx.Client) -> None:
    rows = "".join(f"{place} Account,1.00,\n" for place in range(200_000))
    with ThreadPoolExecutor(1) as uploads:
        analysis = uploads.submit(upload, user, f"account,debit,credit\n{rows}".encode())
        served = 0
        while not analysis.done():
            assert user.get("/health").status_code == 200
            served += 1
    assert analysis.result().json()["row_count"] == 200_000
    assert served > 10


def test_only_totals_are_stored(user: httpx.Client, app: FastAPI, tmp_path: Path) -> None:
    assert (
        upload(user, b"Account,Debit,Credit\n1000 Xyzzy,12345.67,\n4000 Plugh,,12345.6\n").status_code == 200
    )
    with app.state.sessions() as session:
        summary = session.scalars(select(DiagnosticSummary)).one()
        actions = session.scalars(select(ActivityLog.action).order_by(ActivityLog.id)).all()
    assert (str(summary.total_debits), str(summary.difference)) == ("12345.67", "0.07")
    assert (summary.row_count, summary.balanced, summary.abnormal_balances) == (2, False, 0)
    assert actions == ["registered", "trial_balance_analysed"]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Xyzzy" not in stored
    assert b"Plugh" not in stored


def test_uploads_above_the_spool_size_touch_no_disk(user: httpx.Client) -> None:
    rows = b"1000 Cash,1.00,\n4000 Sales,,1.00\n" * 100_000
    upload(user)  # opens what SQLite needs
    with watched_disk() as written:
        answer = upload(user, b"account,debit,credit\n" + rows)
    assert answer.json()["row_count"] == 200_000
    assert written == []
    with watched_disk() as written, tempfile.TemporaryFile():
        pass
    assert written, "the watch sees temporary files"


def test_at_the_limit_and_above(user: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        upload(user, BALANCED + b" " * 49_900_000).status_code == 422
    )  # one field too large, but read in full
    answer = upload(user, b"x" * 50_000_000)
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 50,000,000 bytes")


def test_a_body_of_unannounced_length_is_bounded(user: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(60):
            yield b"x" * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = user.post("/audit/trial-balance", content=endless(), headers=headers)
    assert answer.status_code == 413


def test_a_client_must_be_ones_own(user: httpx.Client) -> None:
    mine = user.post("/clients", json={"name": "Mine"}).json()["id"]
    assert upload(user, client_id=str(mine)).status_code == 200
    assert upload(user, client_id="").status_code == 200
    for wrong in ("x", "0", "-1", "9" * 5000):
        assert upload(user, client_id=wrong).status_code == 422
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    assert upload(user, client_id=str(mine)).status_code == 404


def test_bad_forms(user: httpx.Client) -> None:
    def post(content: bytes, content_type: str) -> httpx.Response:
        return user.post("/audit/trial-balance", content=content, headers={"Content-Type": content_type})

    assert post(BALANCED, "text/csv").status_code == 415
    assert post(b"garbage", "multipart/form-data; boundary=b").status_code == 400
    assert post(b"garbage", "multipart/form-data").status_code == 400
    begun = b"--b\r\nContent-Disposition: form-data; name=file; filename=tb.csv\r\n\r\n" + BALANCED
    assert post(begun, "multipart/form-data; boundary=b").status_code == 400
    assert user.post("/audit/trial-balance", files={"other": ("x", BALANCED)}).status_code == 422
    two = [("file", ("a", BALANCED)), ("file", ("b", BALANCED))]
    assert user.post("/audit/trial-balance", files=two).status_code == 400


def test_bad_content_is_a_422_that_says_where(user: httpx.Client) -> None:
    answer = upload(user, b"account,debit,credit\nCash,12x,\n")
    said = 'row 2, column "debit": "12x" is not an amount like 1234.50'
    assert (answer.status_code, answer.json()["detail"]) == (422, said)


def test_an_upload_needs_a_token_before_it_is_read(client: httpx.Client) -> None:
    assert upload(client).status_code == 401


def test_ten_thousand_rows_are_far_below_the_documented_limit(user: httpx.Client) -> None:
    rows = b"1000 Cash,1234.50,\n4000 Sales,,1234.50\n" * 5_000
    answer = upload(user, b"account,debit,credit\n" + rows)
    assert answer.json()["balanced"] is True
    assert answer.elapsed.total_seconds() < 5
    page = samples(user.get("/metrics").text)
    labels = 'method="POST",route="/audit/trial-balance",status="200"'
    assert page[f"http_request_duration_seconds_count{{{labels}}}"] == 1
