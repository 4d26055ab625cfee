"""The agent's own /metrics: what it probed, what it makes of it, and how it is doing itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from exporters.http import Reason
from monitor.alerting import Alert, Key, State
from monitor.confirming import RECENT
from monitor.droppable import Counter, Gauge, Histogram
from monitor.judge import Reading, Verdict
from monitor.probes import OK, STALLED, THROTTLED, Outcome

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)

FREED_AT_ONCE = 500


class AgentMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.last_cycle_at = 0.0
        self._shown: dict[str, set[Key]] = {}
        self._dropped: list[object] = []
        """Series that nobody sees any more; to free them all at once takes longer than to take them out."""
        self._declare_probes(registry)
        self._declare_judgement(registry)
        self._declare_own_health(registry)
        self._declare_store(registry)
        self._declare_configuration(registry)
        self._declare_gate(registry)

    def _declare_probes(self, to: CollectorRegistry) -> None:
        by = ("target", "check")
        self._success = Gauge(
            "probe_success", "1 if the last regular probe succeeded, else 0.", by, registry=to
        )
        self._in_a_row = Gauge(
            "probe_consecutive_failures", "Failures since a success, 1.5 s apart.", by, registry=to
        )
        self._interruptions = Gauge(
            "probe_recent_interruptions",
            f"How often it began to fail among the last {RECENT} regular probes.",
            by,
            registry=to,
        )
        self._last_duration = Gauge(
            "probe_last_duration_seconds", "Duration of the last successful probe.", by, registry=to
        )
        self._certificate = Gauge(
            "probe_certificate_expiry_timestamp_seconds",
            "When the first of the certificates ends that the server sent.",
            by,
            registry=to,
        )
        self._phase = Gauge("probe_phase_seconds", "Phases of the last probe.", (*by, "phase"), registry=to)
        self._results = Counter(
            "probe_results",
            "Probes: ok, throttled, stalled or why they failed.",
            (*by, "reason"),
            registry=to,
        )
        self._duration = Histogram("probe_duration_seconds", "All probes.", by, buckets=BUCKETS, registry=to)

    def _declare_judgement(self, to: CollectorRegistry) -> None:
        by = ("target", "objective")
        self._value = Gauge("objective_value", "SLI in base units; NaN if unknown.", by, registry=to)
        self._threshold = Gauge("objective_threshold", "Documented threshold.", by, registry=to)
        self._verdict = Gauge("objective_verdict", "1 for the verdict.", (*by, "verdict"), registry=to)
        self._alert = Gauge(
            "alert_state", "1 for the alert's state.", ("target", "check", "alert", "state"), registry=to
        )

    def _declare_own_health(self, to: CollectorRegistry) -> None:
        self.cycle_duration = Histogram(
            "monitor_cycle_duration_seconds", "One target's cycle.", buckets=BUCKETS, registry=to
        )
        self.lateness = Histogram(
            "monitor_lateness_seconds", "How late a cycle began.", buckets=BUCKETS, registry=to
        )
        self.missed_runs = Counter(
            "monitor_missed_runs",
            "Cycles left out, the last still ran or we were late.",
            ("target",),
            registry=to,
        )
        self.cycle_errors = Counter("monitor_cycle_errors", "Cycles that failed by our fault.", registry=to)
        self._last_cycle = Gauge(
            "monitor_last_success_timestamp_seconds", "When a cycle last ended well.", registry=to
        )
        self._standstill = Counter(
            "monitor_standstill_seconds",
            "Time of which nobody knows: suspended, blocked or not running, by target's looks.",
            registry=to,
        )
        self.heartbeats = Counter(
            "monitor_heartbeats",
            "Beats of the dead man's switch: sent, failed, or withheld for the agent's own fault.",
            ("outcome",),
            registry=to,
        )
        for outcome in ("sent", "failed", "withheld"):
            self.heartbeats.labels(outcome)
        self.last_heartbeat = Gauge(
            "monitor_heartbeat_last_success_timestamp_seconds",
            "When the dead man's switch last took a beat.",
            registry=to,
        )
        self.series = Gauge("monitor_series", "Series held in memory.", registry=to)

    def _declare_store(self, to: CollectorRegistry) -> None:
        self.store_backlog = Gauge("monitor_store_backlog", "Cycles not yet stored.", registry=to)
        self.store_errors = Counter("monitor_store_errors", "Writes to the store that failed.", registry=to)
        self.store_dropped = Counter(
            "monitor_store_dropped", "Cycles never stored: it was away too long.", registry=to
        )
        self.outbox_waiting = Gauge("monitor_outbox_depth", "Messages waiting to be sent.", registry=to)
        self.notifications = Counter(
            "monitor_notifications", "Messages by outcome.", ("notifier", "outcome"), registry=to
        )
        self.resends = Counter(
            "monitor_resends",
            "Rounds in which an Alertmanager was told again what fires.",
            ("notifier", "outcome"),
            registry=to,
        )

    def _declare_configuration(self, to: CollectorRegistry) -> None:
        self._reloaded = Gauge(
            "monitor_config_last_reload_successful",
            "1 if the files hold the configuration in force, 0 if they were refused.",
            registry=to,
        )
        self._reloaded_at = Gauge(
            "monitor_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read.",
            registry=to,
        )

    def reloaded(self, at: float) -> None:
        self._reloaded.set(1)
        self._reloaded_at.set(at)

    def not_reloaded(self) -> None:
        self._reloaded.set(0)

    def forget(self, gone: Iterable[Mapping[str, str]]) -> None:
        """Whatever has all the labels of one of these: what it is about is no longer there."""
        kinds: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
        for labels in gone:
            kinds[tuple(labels)].add(tuple(labels.values()))
        if not kinds:
            return
        of_checks = (self._success, self._in_a_row, self._interruptions, self._last_duration)
        of_probes = (self._certificate, self._phase, self._results, self._duration, self.missed_runs)
        judged = (self._value, self._threshold, self._verdict, self._alert)
        gates = (self._gate_verdict, self._gate_last_run)
        for metric in (*of_checks, *of_probes, *judged, *gates, self.notifications, self.resends):
            self._dropped += metric.drop(kinds)

        def lost(labels: Mapping[str, str]) -> bool:
            return any(tuple(map(labels.get, names)) in values for names, values in kinds.items())

        for target, shown in self._shown.items():
            shown -= {key for key in shown if lost({"target": target, "check": key.check, "alert": key.name})}
        self._shown = {target: shown for target, shown in self._shown.items() if shown}

    async def let_go(self) -> None:
        """Frees what was forgotten, a little at a time."""
        while self._dropped:
            del self._dropped[-FREED_AT_ONCE:]
            await asyncio.sleep(0)

    def _declare_gate(self, to: CollectorRegistry) -> None:
        by = ("target", "profile")
        self._gate_verdict = Gauge(
            "gate_verdict", "The release gate's last run: 1 passed, 0 failed, NaN unknown.", by, registry=to
        )
        self._gate_last_run = Gauge(
            "gate_last_run_timestamp_seconds", "When the release gate's last run ended.", by, registry=to
        )

    def gated(self, last: Mapping[tuple[str, str], tuple[float, bool | None]]) -> None:
        """The last run of each target and profile: when it ended, whether it passed. Forgets all others."""
        known = {(each.labels["target"], each.labels["profile"]) for each in _samples(self._gate_last_run)}
        self.forget({"target": target, "profile": profile} for target, profile in known - last.keys())
        for labels, (ended, passed) in last.items():
            self._gate_verdict.labels(*labels).set(float("nan") if passed is None else passed)
            self._gate_last_run.labels(*labels).set(ended)

    def born(self, target: str, checks: Iterable[str], notifiers: Iterable[str]) -> None:
        """Counters start at 0, so that the first event is an increase."""
        self.missed_runs.labels(target)
        for check in checks:
            for reason in (OK, THROTTLED, STALLED, *Reason):
                self._results.labels(target, check, reason)
        self.can_tell(notifiers)

    def can_tell(self, notifiers: Iterable[str]) -> None:
        for notifier in notifiers:
            for outcome in ("delivered", "retried", "given_up"):
                self.notifications.labels(notifier, outcome)

    def cycle_ended(self, at: float) -> None:
        self.last_cycle_at = at
        self._last_cycle.set(at)

    def stood_still(self, seconds: float) -> None:
        self._standstill.inc(seconds)

    def probed(
        self, target: str, outcome: Outcome, failures: int, interruptions: int = 0, *, again: bool = False
    ) -> None:
        """A repeat (`again`) tells how things are, and is left out of what shares are computed from."""
        place = (target, outcome.check)
        self._results.labels(*place, outcome.reason).inc()
        self._duration.labels(*place).observe(outcome.result.duration)
        phases = outcome.result.phases
        for phase in ("dns", "connect", "tls", "first_byte", "transfer"):
            self._phase.labels(*place, phase).set(getattr(phases, phase))
        if outcome.result.certificate_expires is not None:
            self._certificate.labels(*place).set(outcome.result.certificate_expires)
        if not outcome.telling:
            return
        self._in_a_row.labels(*place).set(failures)
        self._interruptions.labels(*place).set(interruptions)
        if again:
            return
        self._success.labels(*place).set(outcome.success)
        if outcome.success:
            self._last_duration.labels(*place).set(outcome.result.duration)

    def judged(self, reading: Reading) -> None:
        place = (reading.target, reading.objective.name)
        self._value.labels(*place).set(float("nan") if reading.value is None else reading.value)
        self._threshold.labels(*place).set(reading.objective.breach.value)
        for verdict in Verdict:
            self._verdict.labels(*place, verdict).set(verdict is reading.verdict)

    def alerted(self, target: str, alerts: Iterable[Alert]) -> None:
        """Shows exactly these alerts of the target; one that ended goes to 0 and not away."""
        current = {alert.key: alert.state for alert in alerts}
        shown = self._shown.setdefault(target, set())
        shown.update(current)
        for key in shown:
            for state in (State.PENDING, State.FIRING):
                self._alert.labels(target, key.check, key.name, state).set(current.get(key) is state)


def _samples(collector: MetricWrapperBase) -> Iterator[Sample]:
    return (each for metric in collector.collect() for each in metric.samples)
