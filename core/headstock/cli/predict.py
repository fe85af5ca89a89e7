"""``headstock predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstock.cli.options.data import data_options, data_source, on_bad_example_option
from headstock.cli.options.path import to_path
from headstock.cli.options.trust import trust_option
from headstock.cli.output import note
from headstock.error_text import json_text
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.cli.inputs import Source

SHOWN = 20
"""Inputs without a prediction that are named one by one."""


@click.command()
@click.argument("run_dir", metavar="RUN", type=to_path)
@click.argument("inputs", nargs=-1, metavar="[INPUT…] [data.key=value…]")
@click.option("--data", "path", metavar="PATH|HUB_ID", help="A file, folder or data set of the Hub, in place of INPUT.")
@click.option(
    "--top-k", type=click.IntRange(min=1), metavar="N", help="Give the N best labels, where a task ranks them."
)
@on_bad_example_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@trust_option
@click.pass_context
def predict(
    context: click.Context,
    run_dir: Path,
    inputs: tuple[str, ...],
    path: str | None,
    top_k: int | None,
    on_bad_example: Any,
    device: str,
    trust_remote_code: bool,
) -> None:
    """Predict with the tuned model of RUN; one line of JSON an input, in order.

    An INPUT is a text, or a file for tasks that take files. Where the task takes text, a file that exists is read as
    one text. Tables (CSV, TSV, JSON, Parquet, …) and folders are read as the run read its data, and columns may be
    mapped: columns.text=review. What is right need not be known. Without INPUT, or with -, standard input is read: one
    input a line, or a JSON object with several columns. A text that looks like the name of a file or like an option
    has to come from there; a folder of texts is written with a slash.

    The prediction for a text or a line of standard input has Hugging Face's wire format. For what comes from a file it
    stands in {"example": PLACE, "prediction": …}, with file and row.

    An input that cannot be used is an error. With --on-bad-example skip its prediction is null, and the reason goes to
    standard error.

    \b
    headstock predict runs/text-classification "what a film" "what a bore"
    headstock predict runs/image-classification photos/
    headstock predict runs/text-classification reviews.csv columns.text=review > predictions.jsonl
    """
    from headstock.cli.inputs import Inputs, Source, is_option
    from headstock.engine.tuned_model import load

    model = load(run_dir, device=device, catalogue=context.obj.catalogue, trust_remote_code=trust_remote_code)
    options = [value for value in inputs if is_option(value)]
    values = [value for value in inputs if not is_option(value)]
    given = data_options(options)
    if path is None:
        sources = Inputs(model, run_dir, options, given).sources(values or ["-"])
    elif values:
        raise HeadstockError(f"'{values[0]}' is no option of data, and with --data there are no other inputs")
    else:
        sources = [Source(model.table({**data_source(path), **given}))]
    policy = on_bad_example or given.get("on_bad_example")
    lines: list[str] = []
    skipped: list[str] = []
    for source in sources:
        for remark in source.table.notes:
            note(remark)
        predictions, bad = model.predict_table(source.table, on_bad_example=policy, top_k=top_k)
        lines += [json_text(_record(source, row, value)) for row, value in enumerate(predictions)]
        skipped += bad
    for line in lines:
        click.echo(line)
    _tell(skipped, len(lines))


def _record(source: Source, row: int, prediction: Any) -> Any:
    if source.from_file is not None and not source.from_file[row]:
        return prediction
    return {"example": source.table.where(row), "prediction": prediction}


def _tell(skipped: list[str], inputs: int) -> None:
    """Say on standard error which inputs have no prediction."""
    for line in skipped[:SHOWN]:
        note(f"null: {line}")
    if skipped:
        more = f", {len(skipped) - SHOWN} of them not shown" if len(skipped) > SHOWN else ""
        click.echo(f"{len(skipped)} of {inputs} inputs cannot be used and have null{more}", err=True)
