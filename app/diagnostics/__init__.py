"""Diagnostics of a trial balance, from CSV or XLSX in memory to findings. Pure: no web, no database, no disk.

diagnosis = analyse(content, "2026.xlsx")
"""

from app.diagnostics.amounts import to_decimal
from app.diagnostics.analysis import ClassTotal, Diagnosis, analyse
from app.diagnostics.mistakes import TrialBalanceError

__all__ = ["ClassTotal", "Diagnosis", "TrialBalanceError", "analyse", "to_decimal"]
