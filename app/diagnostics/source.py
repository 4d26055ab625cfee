"""What kind of file it is: by what is in it, and its name may not say otherwise."""

from __future__ import annotations

from typing import BinaryIO

from app.diagnostics.csv_source import CsvSource
from app.diagnostics.mistakes import Deadline, TrialBalanceError
from app.diagnostics.xlsx_source import XlsxSource

_TEXT_ENDINGS = {"csv", "tsv", "txt", "tab"}
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SIGNATURES = {
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed with gzip",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x7fELF": "a program",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"<!DOCTYPE": "HTML",
    b"<!doctype": "HTML",
    b"<html": "HTML",
    b"<HTML": "HTML",
    b"<?xml": "XML",
    b"{\\rtf": "RTF",
}


def open_source(content: BinaryIO, name: str, deadline: Deadline) -> CsvSource | XlsxSource:
    """`name` is the file's, as the client called it, or empty. Raises TrialBalanceError."""
    content.seek(0)
    head = content.read(16)
    if not head:
        raise TrialBalanceError("the file is empty")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise _old_or_encrypted(content)
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise TrialBalanceError(f"the file is {what}; save the trial balance as CSV or XLSX")
    is_zip = head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"))
    _check_ending(name.rpartition(".")[2].lower() if "." in name else "", is_zip)
    return XlsxSource(content, deadline) if is_zip else CsvSource(content)


def _check_ending(ending: str, is_zip: bool) -> None:
    if is_zip and ending in _TEXT_ENDINGS:
        raise TrialBalanceError(f"the file is called .{ending} but is a zip or an XLSX")
    if not is_zip and ending in ("xlsx", "xlsm"):
        raise TrialBalanceError(f"the file is called .{ending} but is none, or its beginning is damaged")
    if ending and ending not in _TEXT_ENDINGS | {"xlsx", "xlsm"}:
        raise TrialBalanceError(
            f"files called .{ending[:10]} are not read; save the trial balance as CSV or XLSX"
        )


def _old_or_encrypted(content: BinaryIO) -> TrialBalanceError:
    content.seek(0)
    rest = b""
    while chunk := content.read(1024 * 1024):
        if _ENCRYPTED in rest + chunk:
            return TrialBalanceError("the XLSX is encrypted; save it without a password")
        rest = chunk[-len(_ENCRYPTED) :]
    return TrialBalanceError("the file is an old XLS; save it as XLSX")
