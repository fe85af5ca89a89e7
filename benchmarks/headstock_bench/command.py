"""``headstock bench``. Nothing here imports torch before the command runs."""

from __future__ import annotations

import fnmatch
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstock import Shell, pass_shell, print_json, print_table, warn, write_text
from headstock_bench.ray_backend.options import RayOptions, ray_options
from headstock_registry import HeadstockError, nearest

if TYPE_CHECKING:
    from headstock_bench.summary import CaseSummary

RESULTS = Path("benchmarks-results")


def _seeds(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    del context, parameter
    if text is None:
        return None
    try:
        return tuple(dict.fromkeys(click.IntRange(0, 2**31 - 1)(part.strip()) for part in text.split(",")))
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message} Write numbers with commas between, such as 0,1,2.") from error


@click.command()
@click.argument("name", metavar="[SUITE]", required=False)
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder of the results; default {RESULTS}/SUITE.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only cases with such names, e.g. 'sst2*'; repeatable.")
@click.option("--seeds", callback=_seeds, metavar="0,1,2", help="Seeds to run with instead of the suite's.")
@click.option("--root", metavar="DIR", help="Folder of data that the suite calls {root}.")
@click.option("--list", "only_list", is_flag=True, help="Run nothing, show what there is. Without SUITE: the suites.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--retry-failed", is_flag=True, help="Run cases again that failed earlier.")
@click.option("--keep-weights", is_flag=True, help="Keep each run's tuned model; otherwise all but that is kept.")
@click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Run Python code that comes with the pretrained weights. No suite and no recipe can say so.",
)
@ray_options
@pass_shell
def bench(  # noqa: PLR0913, PLR0917 - a command's options are its arguments
    shell: Shell,
    /,
    name: str | None,
    out: Path | None,
    only: tuple[str, ...],
    seeds: tuple[int, ...] | None,
    root: str | None,
    only_list: bool,
    as_json: bool,
    retry_failed: bool,
    keep_weights: bool,
    trust_remote_code: bool,
    **ray: Any,
) -> None:
    """Run a suite of recipes over several seeds and tabulate test metrics before and after tuning.

    SUITE is a shipped suite or the path of a suite file. Each run is a `headstock run` in a process of its own; its
    record is appended to results.jsonl, and table.md is written at the end.

    What is recorded with the same recipe is not run again, an interrupted run is resumed, and a changed recipe is run
    anew. A run that failed is kept as failed until --retry-failed. To measure everything again, choose another --out.

    --ray runs them side by side, over the GPUs and machines of a Ray cluster.

    \b
    headstock bench quick
    headstock bench shared-data --only 'sst2*' --seeds 0
    headstock bench my-suite.yaml --list --json
    headstock bench my-suite.yaml --ray

    Exit code 1: at least one of the runs failed.
    """
    on_ray = RayOptions.of(name, **ray)
    if name is None:
        _list_suites(only_list, as_json)
        return
    from headstock_bench.suite import load_suite

    shell.warn()
    suite = load_suite(name)
    recipes = suite.recipes(root)
    if not any(_is_chosen(case, only) for case in recipes):
        raise HeadstockError(f"no case of '{suite.name}' is called like {' or '.join(only)}{nearest(only[0], recipes)}")

    # Only now what needs torch, so that mistakes in the command line show at once.
    from headstock_bench.cells import plan_cells
    from headstock_bench.harness import Harness, Settings
    from headstock_bench.records import Results
    from headstock_bench.summary import summarise
    from headstock_bench.table import markdown_page

    wanted = seeds or suite.seeds
    planned = plan_cells(shell.catalogue, suite.name, recipes, tuple(dict.fromkeys([*suite.seeds, *wanted])))
    selected = [cell for cell in planned if cell.seed in wanted and _is_chosen(cell.case, only)]
    settings = Settings(suite.name, out or RESULTS / suite.name, retry_failed, keep_weights, trust_remote_code)
    results = Results(settings.out / "results.jsonl")
    for problem in results.problems:
        warn(problem)
    if not only_list:
        executor = None if on_ray is None else on_ray.executor(_say)
        Harness(shell.catalogue, settings, results, _say, executor).run(selected)
        command = shlex.join(["headstock", *sys.argv[1:]])
        page = markdown_page(suite, summarise(planned, results), results.of_all(planned), command)
        write_text(settings.out / "table.md", page)
    summaries = summarise(selected, results)
    _show(summaries, as_json)
    if not only_list and any(summary.failed for summary in summaries):
        click.get_current_context().exit(1)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _is_chosen(case: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)


def _show(summaries: Sequence[CaseSummary], as_json: bool) -> None:
    from headstock_bench.table import HEADER, failure_lines, table_rows

    if as_json:
        print_json([summary.model_dump(mode="json") for summary in summaries])
        return
    print_table(HEADER, table_rows(summaries))
    failures = failure_lines(summaries)
    if failures:
        warn(f"{len(failures)} failed; --retry-failed runs them again: {'; '.join(failures)}")


def _list_suites(only_list: bool, as_json: bool) -> None:
    from headstock_bench.suite import read_suite, shipped_suites

    suites = [read_suite(path) for path in shipped_suites().values()]
    if not only_list:
        names = ", ".join(suite.name for suite in suites)
        raise click.UsageError(f"which suite? {names}, or the path of a suite file")
    if as_json:
        print_json(
            [
                suite.model_dump(mode="json", exclude={"defaults", "cases"}) | {"cases": list(suite.cases)}
                for suite in suites
            ]
        )
        return
    print_table(
        ("suite", "cases", "seeds", "summary"),
        [(suite.name, str(len(suite.cases)), ",".join(map(str, suite.seeds)), suite.summary) for suite in suites],
    )
