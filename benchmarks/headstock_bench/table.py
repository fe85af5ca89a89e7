"""The table of a suite, as rows and as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headstock_bench.records import Provenance, Record
from headstock_bench.suite import Suite
from headstock_bench.summary import CaseSummary, Spread

HEADER = ("case", "runs", "metric", "baseline", "before", "after", "examples/s", "peak MiB", "seconds")
ARROWS = {"higher": "↑", "lower": "↓"}
EXPLANATION = (
    "Metrics are those of the test split (baseline: predicted without a model), "
    "mean ± sample standard deviation over the seeds (↑ higher is better, ↓ lower "
    "is better); examples/s of training and seconds of a run are medians, peak MiB is the largest of all runs."
)


def table_rows(summaries: Iterable[CaseSummary]) -> list[tuple[str, ...]]:
    """Return one row a case, to go below :data:`HEADER`."""
    return [_row(summary) for summary in summaries]


def failure_lines(summaries: Iterable[CaseSummary]) -> list[str]:
    """Return one line for each failed run."""
    return [f"{each.case} seed {seed}: {error}" for each in summaries for seed, error in each.failed.items()]


def _row(summary: CaseSummary) -> tuple[str, ...]:
    wanted = len(summary.done) + len(summary.failed) + len(summary.waiting)
    runs = f"{len(summary.done)}/{wanted}" + (f", {len(summary.failed)} failed" if summary.failed else "")
    start = (summary.case, runs, f"{summary.metric} {ARROWS[summary.better]}")
    figures = summary.figures
    if figures is None:
        return (*start, "", "", "", "", "", "")
    return (
        *start,
        "" if figures.baseline is None else _spread(figures.baseline),
        _spread(figures.before),
        _spread(figures.after),
        "" if figures.examples_per_second is None else f"{figures.examples_per_second:.1f}",
        f"{figures.peak_memory_mb:.0f}",
        "" if figures.seconds is None else f"{figures.seconds:.0f}",
    )


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.4f}" + ("" if spread.std is None else f" ± {spread.std:.4f}")


def markdown_page(suite: Suite, summaries: Sequence[CaseSummary], records: Sequence[Record], command: str) -> str:
    """Return a page with the table and where its figures come from.

    Args:
        suite: The suite.
        summaries: Its cases.
        records: The records that the summaries are made of.
        command: The command line that made the page.
    """
    lines = [f"# Suite {suite.name}", "", suite.summary, ""]
    lines += _markdown_table([HEADER, *table_rows(summaries)])
    lines += ["", EXPLANATION]
    failures = failure_lines(summaries)
    if failures:
        lines += ["", "Failed:", "", *(f"- {line}" for line in failures)]
    lines += ["", "## Where and how", "", f"- command: `{command}`"]
    lines += [f"- {name}: {'; '.join(values)}" for name, values in _facts(records) if values]
    return "\n".join(lines) + "\n"


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *body = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return [header, "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", *body]


def _facts(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Return what the records say of their making; where they differ, all that they say."""
    origins = [record.provenance for record in records]
    on_device = [origin for origin in origins if origin.device]  # one that failed early does not know its device
    dates = sorted(origin.date for origin in origins)
    period = [] if not dates else [dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"]
    return [
        ("measured (UTC)", period),
        ("machine", _distinct(map(_machine, on_device or origins))),
        ("headstock", _distinct(map(_headstock, origins))),
        ("versions", _distinct(map(_versions, origins))),
    ]


def _machine(origin: Provenance) -> str:
    device = f"{origin.device}, " if origin.device else ""
    return f"{device}{origin.cpus} CPUs, {origin.threads} threads, {origin.platform}"


def _headstock(origin: Provenance) -> str:
    return f"{origin.headstock}, " + (f"commit {origin.commit}" if origin.commit else "not from a checkout")


def _versions(origin: Provenance) -> str:
    others = (f"{name} {version}" for name, version in origin.versions.items() if name != "headstock")
    return ", ".join([f"Python {origin.python}", *others])


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
