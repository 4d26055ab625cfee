"""`paciolus-monitor report --month 2026-10`: what a month was like, from the store alone."""

from monitor.report.build import Report, build
from monitor.report.month import Month, parse_month

__all__ = ["Month", "Report", "build", "parse_month"]
