"""The alarms of deploy/prometheus/rules.yaml: in simulated outages, and against the metrics that there are."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.support.kit import ROOT, free_port, payload, running, signed, wait_for
from tests.support.receiver import up
from workers.cli.commands.metrics import list_metrics
from workers.ledger.transitions import Ledger

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "zyra-receiver.json"
STEP_SECONDS, HEALTHY, FAULT, AFTER = 15, 24, 12, 48  # samples of each part of an outage
BEGIN_SECONDS, END_SECONDS = HEALTHY * STEP_SECONDS, (HEALTHY + FAULT) * STEP_SECONDS
Values = tuple[float | None, float | None]  # in health, and in the fault; None: the series is not there
UP: dict[str, Values] = {"zr_accepting": (1, 1), "zr_ledger_up": (1, 1), "zr_workers": (2, 2)}
ACCEPTED, START = 'zr_accepted_total{source="zyra"}', 'zr_start_seconds_bucket{handler="h",le="%s"}'
OUTAGES: dict[str, dict[str, Values]] = {  # gauges, and counters as what is added at each step
    "ZrReceiverAbsent": {"zr_accepting": (1, None)},
    "ZrNotAccepting": {"zr_accepting": (1, 0)},
    "ZrDeliveriesUnavailable": {'zr_unavailable_total{source="zyra",cause="redis"}': (0, 5)},
    "ZrDeliveriesLost": {
        'zr_unavailable_total{source="slack",cause="redis"}': (0, 5),
        'zr_source_info{source="slack",scheme="Slack",repeats="no"}': (1, 1),
    },
    "ZrWorkersDead": {"zr_workers": (2, 0)},
    "ZrLedgerUnreadable": {"zr_ledger_up": (1, 0), "zr_workers": (2, None)},
    "ZrBacklogOld": {"zr_oldest_seconds": (1, 120)},
    "ZrHandlerFails": {
        'zr_handler_attempts_total{handler="h",outcome="done"}': (50, 0),
        'zr_handler_attempts_total{handler="h",outcome="failed"}': (0, 20),
    },
    "ZrDeadLetters": {'zr_events{state="dead"}': (0, 3)},
    "ZrSignaturesWrong": {
        ACCEPTED: (50, 0),
        'zr_refused_total{source="zyra",status="401",cause="signature"}': (0, 50),
    },
    "ZrSourceSilent": {'zr_source_overdue_seconds{source="zyra"}': (0, 40)},
    "ZrClockWrong": {"zr_clock_difference_seconds": (0.01, -30)},
    "ZrConnectionsFull": {"zr_connections": (10, 99), "zr_connections_limit": (100, 100)},
    "ZrJunk": {"zr_junk": (0, 1)},
    "ZrAvailabilityBurns": {ACCEPTED: (50, 5), 'zr_unavailable_total{source="zyra",cause="redis"}': (0, 50)},
    "ZrStartsBurn": {START % "10": (50, 0), START % "+Inf": (50, 50)},
}
SLOW = ("ZrAvailabilityBurns", "ZrStartsBurn")  # whose windows are five minutes


def list_samples(name: str, values: Values) -> str:
    """A series as promtool reads it: a gauge's values, or a counter's growth."""
    parts = [values[0]] * HEALTHY + [values[1]] * FAULT + [values[0]] * AFTER
    if not re.search(r"_(total|bucket)\b", name):
        return " ".join("stale" if value is None else f"{value:g}" for value in parts)
    total, sums = 0.0, []
    for value in parts:
        total += value or 0
        sums.append(f"{total:g}")
    return " ".join(sums)


def expect(alarm: str, at: int, firing: bool) -> dict[str, object]:
    found = [{"labels": "{}", "value": 1}] if firing else []
    return {
        "expr": f'min(ALERTS{{alertname="{alarm}",alertstate="firing"}})',
        "eval_time": f"{at}s",
        "exp_samples": found,
    }


def make_test(alarm: str) -> dict[str, object]:
    """An outage: the alarm is silent before it, fires within 60 s of it, and is silent again after it."""
    series = UP | OUTAGES[alarm]
    quiet = END_SECONDS + (420 if alarm in SLOW else 105)
    return {
        "interval": f"{STEP_SECONDS}s",
        "input_series": [{"series": name, "values": list_samples(name, values)} for name, values in series.items()],
        "promql_expr_test": [
            expect(alarm, BEGIN_SECONDS - STEP_SECONDS, False),
            expect(alarm, BEGIN_SECONDS + 60, True),
            expect(alarm, END_SECONDS - STEP_SECONDS, True),
            expect(alarm, quiet, False),
        ],
    }


@pytest.mark.promtool
def test_each_alarm_fires_within_a_minute_and_resolves(tmp_path: Path) -> None:
    file = tmp_path / "test.yaml"  # JSON is YAML
    tests = [make_test(alarm) for alarm in OUTAGES]
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests}))

    for command in (["check", "rules", str(RULES)], ["test", "rules", str(file)]):
        found = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.promtool
def test_in_health_nothing_fires(tmp_path: Path) -> None:
    series = dict(UP)
    for outage in OUTAGES.values():
        series |= {name: (values[0], values[0]) for name, values in outage.items()}
    none = {"expr": "ALERTS", "eval_time": "10m", "exp_samples": []}
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": list_samples(name, values)} for name, values in series.items()],
        "promql_expr_test": [none],
    }
    (tmp_path / "test.yaml").write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]})
    )

    found = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def list_alarms() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def test_each_alarm_has_an_outage_and_a_section_of_the_runbook() -> None:
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)

    assert list_alarms() == sections
    assert set(list_alarms()) == set(OUTAGES)
    assert re.findall(r"runbook.md#(\w+)", RULES.read_text()) == [alarm.lower() for alarm in list_alarms()]


def list_names(text: str) -> set[str]:
    return set(re.findall(r"\bzr_[a-z_]+\b", text))


@pytest.mark.parametrize(
    "read",
    [RULES.read_text, DASHBOARD.read_text, lambda: (ROOT / "docs" / "operating.md").read_text()],
    ids=["rules", "dashboard", "docs"],
)
def test_only_metrics_that_there_are_are_named(read: Callable[[], str]) -> None:
    known = {one.metric.sample for one in list_metrics()} | {one.metric.name for one in list_metrics()}

    assert list_names(read()) - known - {"zr_ack_seconds_count"} == set()


def test_the_docs_name_every_metric() -> None:
    told = list_names((ROOT / "docs" / "operating.md").read_text())

    assert {one.metric.sample.removesuffix("_bucket") for one in list_metrics()} - told == set()


@pytest.mark.promtool
def test_each_query_of_the_dashboard_answers_in_a_live_run(env: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("receiver", "receiver metrics", "worker metrics", "prometheus")}
    (tmp_path / "sources.toml").write_text(
        '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\nexpect_every = "1h"\n'
    )
    settings = {**env, "RECEIVER_CONFIG": str(tmp_path / "sources.toml"), "PORT": str(ports["receiver"])}
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [
                    {
                        "job_name": "zyra",
                        "static_configs": [
                            {"targets": [f"127.0.0.1:{ports[name]}" for name in ports if "metrics" in name]}
                        ],
                    }
                ],
            }
        )
    )
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
    ]  # fmt: skip
    with (
        running("workers.cli", "serve", env={**settings, "METRICS_PORT": str(ports["receiver metrics"])}),
        running("workers.cli", "work", env={**settings, "METRICS_PORT": str(ports["worker metrics"])}),
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus,
    ):
        try:
            use(ports["receiver"], ledger)
            url = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query"
            queries = list_queries()
            wait_for(lambda: all(ask(url, query) for query in queries), 40)
        finally:
            prometheus.terminate()
    assert len(queries) > 15


def use(port: int, ledger: Ledger) -> None:
    """Deliveries of every fate, for seconds: a rate needs two samples."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        wait_for(lambda: up(http))
        for _ in range(8):
            body = payload()
            for headers in (signed(body, "basic.two"), signed(body, "hopeless"), {"x-zyra-signature": "0" * 64}):
                http.post("/webhooks/zyra", content=body, headers=headers)
                http.post("/webhooks/zyra", content=body, headers=headers)
            ledger.client.hincrby(ledger.keys.name("counters"), "recovered_lease", 1)
            time.sleep(1)


def list_queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"].replace("$__rate_interval", "30s") for panel in panels for target in panel["targets"]]
    return [query for query in queries if "zr_unavailable_total" not in query]  # there is none in health


def ask(url: str, query: str) -> bool:
    """Whether Prometheus answers it with a number."""
    try:
        found = httpx2.get(url, params={"query": query}, trust_env=False).json()
    except httpx2.HTTPError:
        return False
    return any(one["value"][1] != "NaN" for one in found["data"]["result"])
