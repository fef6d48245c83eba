"""The table of docs/performance.md, made of the raw figures: a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

HEAD = ("what", "this provider", "beside it")


def summary(results: Mapping[str, Any]) -> list[str]:
    """
    Write what matters of all benchmarks as a table in Markdown, and on what it was measured.

    :param results: the raw figures of each benchmark, by its name.
    """
    rows = [row for name, rows_of in ROWS.items() if name in results for row in rows_of(results[name])]
    machines = [results[name]["machine"] for name in ROWS if name in results]
    return [_row(HEAD), _row(["---"] * len(HEAD)), *map(_row, rows), "", *_measured_on(machines)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _measured_on(machines: Sequence[Mapping[str, Any]]) -> list[str]:
    last = machines[-1]
    days = sorted(machine["date"][:10] for machine in machines)
    measured = dict.fromkeys([days[0], days[-1]])
    loads = sorted(machine["load_before"] for machine in machines)
    packages = ", ".join(f"{name} {last[name]}" for name in ("apache-airflow", "requests", "urllib3"))
    processors = " or ".join(dict.fromkeys(f"an {machine['processor']}" for machine in machines))
    return [
        f"Measured {' to '.join(measured)} on {last['cores']} cores of {processors} (load before:",
        f"{loads[0]:.1f} to {loads[-1]:.1f}), Python {last['python']}, {packages}.",
    ]


def _calls(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    runs = [run for run in figures["runs"] if run["scheme"] == "http"]

    def ratio(way: str) -> str:
        return f"{median(run[call][way]['ratio'] for run in runs for call in ('get', 'archive')):.2f}"

    answers = median(1e6 / run["get"]["socket"]["microseconds"] for run in runs)
    connections = {way: max(run["connections"][way] for run in runs) for way in ("client", "http_hook")}
    return [
        (
            "time of a get or an archive through the hook, server without latency",
            f"{ratio('requests')} times that of bare `requests.Session`",
            f"{ratio('http_hook')} times that of `HttpHook.run`; a raw socket gets {round(answers, -3):,.0f} a second",
        ),
        (
            f"connections for {2 * figures['calls']:,} calls, one after the other",
            f"{connections['client']}",
            f"`HttpHook` {connections['http_hook']}",
        ),
    ]


def _waiting(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    by_name = {(run["way"], run["count"]): run for run in figures["by_name"]}
    by_id = {run["count"]: run for run in figures["by_id"]}
    idle = by_name["names", 0]
    most = max(count for way, count in by_name if way == "names")
    ours, https = by_name["names", 1_000], by_name["http", 1_000]
    shared = by_id[1_000]

    def cpu(run: Mapping[str, Any], polls: int) -> str:
        return f"{max(0.0, run['cpu_seconds'] - idle['cpu_seconds']) / polls * 1_000:.2f} ms"

    def memory(run: Mapping[str, Any]) -> str:
        return f"{run['kib_waiting'] / run['count']:.1f} KiB"

    return [
        (
            f"requests of {most:,} sensors that wait for names, in {figures['polls']} intervals",
            f"{by_name['names', most]['requests']:,}",
            f"`HttpSensorTrigger`, 1,000 of them: {https['requests']:,}, as many as it managed",
        ),
        (
            "processor time of one of 1,000 such sensors, a poll",
            cpu(ours, ours["count"] * figures["polls"]),
            f"`HttpSensorTrigger` {cpu(https, https['requests'])}",
        ),
        ("memory of one of 1,000 such sensors", memory(ours), f"`HttpSensorTrigger` {memory(https)}"),
        (
            "1,000 sensors that wait for ids, for a sandbox's day: the most requests in a minute, an hour, the day",
            " / ".join(f"{shared[f'most_in_a_{period}']:,}" for period in ("minute", "hour", "day"))
            + f", {shared['refused']} refused",
            "MoEngage's limits: 100 / 1,000 / 4,000",
        ),
        (
            "the longest time between two polls for one id, of 10, 100 and 1,000",
            " / ".join(_hours(by_id[count]["longest_gap_hours"]) for count in (10, 100, 1_000)),
            "",
        ),
    ]


def _parsing(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    imports, parsed = figures["imports"], figures["dag_processor"]

    def of(provider: str, key: str, unit: str = "") -> str:
        return f"{median(run[key] for run in imports if run['provider'] == provider):.0f}{unit}"

    def others(key: str, unit: str = "") -> str:
        names = {"airbyte": "apache-airflow-providers-airbyte", "fivetran": "airflow-provider-fivetran-async"}
        names["http"] = "apache-airflow-providers-http"
        return ", ".join(f"{short} {of(name, key, unit)}" for short, name in names.items())

    def a_file(operator: str, *, pre_import: bool) -> str:
        same = (run for run in parsed if (run["operator"], run["pre_import"]) == (operator, pre_import))
        return f"{median(run['milliseconds_a_file'] for run in same):.0f} ms"

    ours, ours_in_a_file = "airflow-provider-moengage", "ArchiveSegmentOperator"
    http_imported_before = a_file("HttpOperator", pre_import=True)
    return [
        ("modules that operators and sensors add to `airflow.sdk`", of(ours, "modules"), others("modules")),
        (
            "processor time of that import",
            of(ours, "cpu_milliseconds", " ms"),
            others("cpu_milliseconds", " ms"),
        ),
        (
            f"Airflow's DAG processor, for each of {figures['files']} files",
            a_file(ours_in_a_file, pre_import=True),
            f"`HttpOperator` {http_imported_before}; what either imports is imported once, at the processor's start",
        ),
        (
            "that, with `[dag_processor] parsing_pre_import_modules` off",
            a_file(ours_in_a_file, pre_import=False),
            f"`HttpOperator` {a_file('HttpOperator', pre_import=False)}",
        ),
    ]


def _bulk(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    runs = [run for run in figures["in_a_process"] if run["segments"] == 1_000]
    concurrencies = sorted({run["concurrency"] for run in runs})
    ratios = (
        f"{median(run['seconds'] / run['limit_seconds'] for run in runs if run['concurrency'] == at_once):.2f}"
        for at_once in concurrencies
    )
    requests = max(run["requests"] / run["segments"] for run in runs)
    connections = (
        f"{max(run['connections'] for run in runs if run['concurrency'] == at_once)}" for at_once in concurrencies
    )
    memory = {
        count: median(
            run["mib_peak"] - run["mib_after_first_call"]
            for run in figures["in_a_process"]
            if run["segments"] == count and run["concurrency"] == max(concurrencies)
        )
        for count in (1_000, 10_000)
    }
    milliseconds = figures["latency_seconds"] * 1_000
    at_once = _listed(concurrencies)
    return [
        (
            f"archive 1,000 segments, {milliseconds:.0f} ms each, no limits, {at_once} at once: time / least",
            " / ".join(ratios),
            "",
        ),
        ("requests a segment, and connections", f"{requests:.0f}; {' / '.join(connections)}", ""),
        (
            "memory that 1,000 and 10,000 segments take",
            " / ".join(f"{mib:.1f} MiB" for mib in memory.values()),
            "",
        ),
        _in_airflow(figures["in_airflow"], figures["tasks_at_once"]),
    ]


def _quota(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    runs = {run["segments"]: run for run in figures["runs"]}
    counts = ", ".join(f"{count:,}" for count in runs)

    def each(text: str) -> str:
        return " / ".join(text.format(**run) for run in runs.values())

    return [
        (
            f"archive {counts} segments under MoEngage's limits, on the sandbox's clock",
            each("{seconds:,.0f} s"),
            f"the least that the limits allow: {each('{least_seconds:,.0f} s')}",
        ),
        (
            "requests, of which refused; seconds of worker slot; deferrals",
            f"{each('{requests:,}')}, {each('{refused}')}; {each('{slot_seconds:.0f}')}; {each('{deferrals}')}",
            "",
        ),
    ]


def _in_airflow(runs: Iterable[Mapping[str, Any]], at_once: int) -> tuple[str, str, str]:
    runs = list(runs)

    def for_a_thousand(way: str) -> str:
        return f"{median(run['seconds'] * 1_000 / run['segments'] for run in runs if run['way'] == way):,.0f} s"

    where = f"in a real Airflow, on a server without rate limits, {at_once} at once"
    return (
        f"the same {where}, from the first task's start to the last one's end",
        f"{for_a_thousand('one_task')} in one task; {for_a_thousand('mapped')} with a task each (extrapolated from 50)",
        f"{for_a_thousand('mapped_http')} with a mapped `HttpOperator` (extrapolated from 50)",
    )


def _filters(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    ours = median(run["made"] + run["checked"] for run in figures["runs"])
    share = median((run["made"] + run["checked"]) / run["jsonschema"] for run in figures["runs"])
    theirs = median(run["jsonschema"] for run in figures["runs"])
    return [
        (
            f"processor time to make and to check a definition of {figures['filters']:,} filters",
            f"{ours * 1_000:.0f} ms",
            f"`jsonschema` {theirs * 1_000:.0f} ms to check it: {share:.2f} of that",
        )
    ]


def _audiences(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    runs = {(run["way"], run["rows"]): run for run in figures["runs"]}
    compared = [rows for way, rows in runs if way == "by_hand"]
    sizes = [rows for way, rows in runs if way == "operator"]

    def each(way: str, rows: Iterable[int], text: str) -> str:
        return " / ".join(text.format(**runs[way, count]) for count in rows)

    ratios = " / ".join(
        f"{runs['operator', count]['cpu_seconds'] / runs['by_hand', count]['cpu_seconds']:.2f}" for count in compared
    )
    return [
        (
            f"{_listed([f'{count:,}' for count in compared])} ids from PostgreSQL to a signed address of S3",
            each("operator", compared, "{seconds:.0f} s"),
            f"`get_df` and `to_csv`: {each('by_hand', compared, '{seconds:.0f} s')}; of its processor's time {ratios}",
        ),
        (
            f"peak memory over an empty task, {_listed([f'{count:,}' for count in sizes])} ids",
            each("operator", sizes, "{mib:.0f} MiB"),
            f"by hand {each('by_hand', compared, '{mib:,.0f} MiB')}",
        ),
    ]


def comparison(figures: Mapping[str, Any]) -> list[str]:
    """
    Write what people wait for, beside an earlier build, as a table in Markdown.

    :param figures: the raw figures of :mod:`tests.benchmarks.today`.
    """
    against = figures["against"]
    measured = {run["row"] for run in figures["runs"]}

    def middle(row: str, key: str, build: str = "now") -> float:
        return median(run[key] for run in figures["runs"] if (run["row"], run["build"]) == (row, build))

    besides = {
        "first_archive": ("bare_patch", "cpu_ms", "`import requests` and one bare PATCH"),
        "events": ("bare_events", "cpu_ms", "triggers that only take the item"),
        "dag_processor": ("dag_processor_http", "ms_a_file", "`HttpOperator`"),
    }

    def beside(row: str, key: str) -> str:
        other, its_key, what = besides.get(row, ("", "", ""))
        return f"{what}: {middle(other, its_key):,.0f} ms" if other in measured and its_key == key else ""

    def cells(row: str, key: str, what: str, unit: str) -> tuple[str, ...]:
        now, before = middle(row, key), middle(row, key, against)
        digits = 0 if before >= 20 else 1
        both = (f"{figure:,.{digits}f} {unit}" for figure in (before, now))
        return what, *both, f"{now / before:.2f}", beside(row, key)

    rows = [cells(*row) for row in _COMPARED if row[0] in measured]
    head = ("what", against, "now", "ratio", "beside it")
    return [*map(_row, (head, ["---"] * len(head), *rows)), "", *_measured_on([figures["machine"]])]


# The rows of what people wait for, beside an earlier build: as they are measured, which figure, what it is, its unit.
_COMPARED = (
    ("same tests", "seconds", "`make test`, everything installed: the cases that both builds have", "s"),
    ("ci", "seconds", "`.ci/run`, what has to pass before a change lands, packages cached", "s"),
    ("demo", "seconds", "`make demo`, the second time", "s"),
    ("fresh demo", "seconds", "`make demo` in a fresh clone, packages cached", "s"),
    ("imports", "cpu_ms", "processor time of importing an operator and the sensor over `airflow.sdk`", "ms"),
    ("imports_of_all", "cpu_ms", "processor time of importing all operators that both builds have", "ms"),
    ("dag_processor", "ms_a_file", "the DAG processor's time for a file with an operator", "ms"),
    ("first_archive", "cpu_ms", "processor time of the first archive in a process, over an empty operator", "ms"),
    ("events", "cpu_ms", "processor time of the events of 10,000 sensors whose names appear at once", "ms"),
    ("events", "longest_block_ms", "and the longest block of the loop", "ms"),
)


def _hours(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 2 else f"{hours * 60:.0f} min"


def _listed(numbers: Sequence[int | str]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}"


ROWS = {
    "calls": _calls,
    "waiting": _waiting,
    "parsing": _parsing,
    "bulk": _bulk,
    "quota": _quota,
    "filters": _filters,
    "audiences": _audiences,
}
