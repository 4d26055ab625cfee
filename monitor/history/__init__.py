"""What outlives the process: probe results, alerts, their transitions, the outbox of what must be sent."""

from monitor.history.rows import Deploy, Entry, Message, ProbeRow, Queued
from monitor.history.store import KEEP_RESULTS, KEEP_TRANSITIONS, History
from monitor.history.tables import ROW_ID, alerts, outbox, probe_results, schema, transitions

__all__ = [
    "KEEP_RESULTS",
    "KEEP_TRANSITIONS",
    "ROW_ID",
    "Deploy",
    "Entry",
    "History",
    "Message",
    "ProbeRow",
    "Queued",
    "alerts",
    "outbox",
    "probe_results",
    "schema",
    "transitions",
]
