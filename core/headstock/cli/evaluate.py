"""``headstock evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from headstock.cli.options.data import data_options, data_source, on_bad_example_option
from headstock.cli.options.path import to_path
from headstock.cli.options.trust import trust_option
from headstock.cli.output import print_json
from headstock.error_text import printable


@click.command()
@click.argument("run_dir", metavar="RUN", type=to_path)
@click.option("--data", "path", required=True, metavar="PATH|HUB_ID", help="A file, a folder, or a Hub data set's id.")
@click.argument("overrides", nargs=-1, metavar="[data.key=value …]")
@on_bad_example_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@trust_option
@click.pass_context
def evaluate(
    context: click.Context,
    run_dir: Path,
    path: str,
    overrides: tuple[str, ...],
    on_bad_example: str | None,
    as_json: bool,
    device: str,
    quiet: bool,
    trust_remote_code: bool,
) -> None:
    """Score the tuned model of RUN on other labelled data.

    The data is read as the run read its own (format, columns …), unless options say otherwise. Of a folder with
    several splits, or of a Hub data set, the test split is used. With --on-bad-example skip, rows that cannot be used
    are left out and counted.

    \b
    headstock evaluate runs/text-classification --data new_reviews.csv columns.text=review
    """
    from headstock.atomic import finite
    from headstock.engine.tuned_model import load
    from headstock.report.table import metrics_table

    data = {**data_source(path), **data_options(overrides, "to score the model on it write --data ")}
    if on_bad_example is not None:
        data["on_bad_example"] = on_bad_example
    model = load(run_dir, device=device, catalogue=context.obj.catalogue, trust_remote_code=trust_remote_code)
    evaluation = model.evaluate(data, quiet=quiet)
    if as_json:
        record = {
            "metrics": finite(dict(evaluation.metrics)),
            "details": evaluation.details.model_dump(mode="json"),
            "examples": evaluation.examples,
            "skipped": evaluation.skipped,
            "notes": evaluation.notes,
        }
        print_json(record)
        return
    left_out = ""
    if evaluation.skipped:
        left_out = f", {len(evaluation.skipped)} bad rows left out, the first: {evaluation.skipped[0]}"
    click.echo(printable(f"{evaluation.examples} examples{left_out}"))
    for what, count in evaluation.notes.items():
        click.echo(printable(f"{what}: {count} of them"))
    click.echo()
    click.echo(metrics_table(evaluation.metrics, evaluation.details))
