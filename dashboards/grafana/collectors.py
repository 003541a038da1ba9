"""What records and delivers: sidecars and servers, what they lose, how far they are behind."""

from __future__ import annotations

from dashboards.grafana.panels import Board, lines, listing, number
from dashboards.grafana.sources import MODELS, REMORA, now, rows

__all__ = ["BOARD"]

_OF = 'model=~"$model|"'  # with the servers, which are of no model


def _rate(name: str, by: str = "instance") -> str:
    """Per second, by instance: the twenty highest, since pods may be many."""
    return f"topk(20, sum by ({by}) (rate({name}[$__rate_interval])))"


def _p95(name: str, by: str) -> str:
    return f"histogram_quantile(0.95, sum by (le, {by}) (rate({name}_bucket[$__rate_interval])))"


_NOW = (
    number(
        "Collectors", "short",
        "Sidecars and servers that run, or fell silent without saying goodbye. Fewer than you started: a pod without its sidecar "
        "is a pod that nobody watches.",
        now(f"sum(remora_collectors{{{_OF}}})"), to="/collectors",
    ),
    number(
        "Silent for", "s",
        "Since the most silent of them was heard of; they report every 15 s. Minutes: its pod is gone, cannot reach the server, "
        "or its token was revoked. The list below says which one.",
        now(f"max(time() - remora_collectors_heard_timestamp_seconds{{{_OF}}})"),
        to="/collectors", steps=(("green", None), ("orange", 120), ("red", 300)),
    ),
    number(
        "Lost", "short",
        "Records that were seen and will never arrive, ever since. Not 0: Losses below says where; give the ring or the spool "
        "more room, or find out why delivery was away for so long.",
        now(f"sum(remora_collectors_lost{{{_OF}}})"), to="/collectors", steps=(("green", None), ("red", 1)),
    ),
    number(
        "Waiting", "short",
        "Records on disk that are not delivered yet, of all collectors. It rises while the receiver is away and falls when it "
        "is back; one that only rises wants a faster receiver or another one.",
        now("sum(remora_pending)"), steps=(("green", None), ("orange", 100_000)),
    ),
    number(
        "Refused for good", "short",
        "Records that the database refused and that were set aside. `remora aside` shows why, tries again or discards.",
        now("sum(remora_set_aside_total)"), steps=(("green", None), ("orange", 1)),
    ),
    number(
        "Unexpected errors", "short",
        "Of the collectors' loops, over the chosen time. Every one is a bug: the log has it, please report it.",
        now("sum(increase(remora_collector_faults_total[$__range])) or vector(0)"), steps=(("green", None), ("red", 1)),
    ),
)  # fmt: skip

_RATES = (
    lines(
        "Accepted", "cps",
        "Records a second that are safe on disk, by collector and kind. Uneven between pods of one model: look at the load "
        "balancer.",
        now(_rate("remora_accepted_total", "instance, kind"), "{{instance}} {{kind}}"),
    ),
    lines(
        "Delivered", "cps",
        "Records a second that left a spool. Below what is accepted for long: the spool fills.",
        now(_rate("remora_delivered_total"), "{{instance}}"),
    ),
    lines(
        "Through the proxy", "reqps",
        "Requests received, passed on to the model, and put into the ring. Received but not passed on: the model does not "
        "answer. Passed on but not captured: no predictions (paths in remora.yaml), or losses.",
        now("sum(rate(remora_proxy_received_total[$__rate_interval]))", "received"),
        now("sum(rate(remora_proxy_forwarded_total[$__rate_interval]))", "forwarded"),
        now("sum(rate(remora_proxy_captured_total[$__rate_interval]))", "captured"),
    ),
    lines(
        "Time of answers, p95", "s",
        "Of the model, by the minute and as the sidecar sees it. The judged windows' latency is in the dashboard Model.",
        now(_p95("remora_answer_seconds", "model"), "{{model}}"),
    ),
)  # fmt: skip

_LOSSES = (
    lines(
        "Losses", "short",
        "Within the last minutes. Ring full: the recorder is too slow or starved of CPU. Too large: raise the ring's size. Spool "
        "refused: the disk is full. Expired: delivery was away for longer than delivery.max_age.",
        now("sum(increase(remora_proxy_dropped_full_total[$__rate_interval]))", "ring full"),
        now("sum(increase(remora_proxy_dropped_oversize_total[$__rate_interval]))", "too large for the ring"),
        now("sum(increase(remora_capture_dropped_total[$__rate_interval]))", "too large for the spool"),
        now("sum(increase(remora_spool_refused_total[$__rate_interval]))", "spool refused"),
        now("sum(increase(remora_expired_total[$__rate_interval]))", "expired"),
        now("sum(increase(remora_set_aside_total[$__rate_interval]))", "set aside"),
    ),
    lines(
        "The model's failures", "reqps",
        "As the sidecar sees them: answers by status, connections that broke, requests without an answer in time, callers who "
        "left. 5xx: the model's log. Timeouts: too slow, or too many callers.",
        now("sum by (status) (rate(remora_answer_seconds_count[$__rate_interval]))", "{{status}}"),
        now("sum(rate(remora_proxy_upstream_errors_total[$__rate_interval]))", "connection broke"),
        now("sum(rate(remora_proxy_timeouts_total[$__rate_interval]))", "timed out"),
        now("sum(rate(remora_proxy_client_gone_total[$__rate_interval]))", "caller left"),
    ),
    lines(
        "Rejected", "cps",
        "Records a second that the API refused as invalid. A new client or a new version of one sends what it should not; its "
        "answer said what.",
        now(_rate("remora_rejected_total", "instance, kind"), "{{instance}} {{kind}}"),
    ),
    lines(
        "Answers from the spool's other end", "s",
        "Time to deliver a batch, p95: into the database, or to another collector. Slow: look at the database first.",
        now(_p95("remora_delivery_seconds", "instance"), "{{instance}}"),
    ),
)  # fmt: skip

_SPOOL = (
    lines(
        "Spool", "bytes",
        "Bytes that wait on disk, the twenty fullest. At its limit (--spool-bytes) the API answers 503 and the proxy stops "
        "recording; the model goes on answering.",
        now("topk(20, remora_spool_bytes)", "{{instance}}"),
    ),
    lines(
        "Oldest record waiting", "s",
        "How long the oldest record of each spool has waited. Minutes: the receiver is away or too slow. Windows are judged without "
        "what comes after their lateness.",
        now("topk(20, remora_spool_age_seconds)", "{{instance}}"),
    ),
    lines(
        "Lag", "s",
        "From the spool to the receiver, of the batch delivered last: how late Remora sees what the model does. It grows with "
        "whatever slows the receiver down.",
        now("topk(20, remora_delivery_lag_seconds)", "{{instance}}"),
    ),
    lines(
        "Failed deliveries", "ops",
        "Attempts a second that will be repeated. Not 0 for long: address, token, certificate or the receiver itself.",
        now(_rate("remora_delivery_failures_total"), "{{instance}}"),
    ),
    listing(
        "Every collector, as it was heard of last",
        "The most silent first. running is 0 for those that ended in order: they are not missed.",
        rows("""
            SELECT host, model, version, seen_at, running, records_per_second AS "records a second", lost,
                lag_seconds AS lag, spool_bytes AS spool, spool_limit_bytes AS "spool limit", pending, set_aside AS "set aside"
            FROM collector_status WHERE model IN (${model:sqlstring}) OR model = '' ORDER BY seen_at LIMIT 200
        """),
        to="/collectors", units={"lag": "s", "spool": "bytes", "spool limit": "bytes"},
        links={"host": "/collectors"},
    ),
)  # fmt: skip

BOARD = Board(
    "remora-collectors", "Remora: collectors", "What records and delivers: how much, what is lost, how far it is behind.",
    (MODELS, REMORA),
    (("Now", _NOW), ("Rates", _RATES), ("Losses and failures", _LOSSES), ("Spool and delivery", _SPOOL)),
    recent="now-6h", pages=(("Remora: collectors", "/collectors"),),
)  # fmt: skip
