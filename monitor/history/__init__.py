"""What outlives the process: probe results, alerts, their transitions, the outbox of what must be sent."""

from monitor.history.incidents import Event, Incident
from monitor.history.migrations import NewerStoreError
from monitor.history.pruning import KEEP_FAILURES, KEEP_RESULTS, KEEP_TRANSITIONS
from monitor.history.reading import Bar, Failure, Point, Reader, Uptime
from monitor.history.rows import Deploy, Entry, Message, Phases, ProbeRow
from monitor.history.store import History
from monitor.history.tables import ROW_ID, alerts, outbox, probe_results, schema, transitions

__all__ = [
    "KEEP_FAILURES",
    "KEEP_RESULTS",
    "KEEP_TRANSITIONS",
    "ROW_ID",
    "Bar",
    "Deploy",
    "Entry",
    "Event",
    "Failure",
    "History",
    "Incident",
    "Message",
    "NewerStoreError",
    "Phases",
    "Point",
    "ProbeRow",
    "Reader",
    "Uptime",
    "alerts",
    "outbox",
    "probe_results",
    "schema",
    "transitions",
]
