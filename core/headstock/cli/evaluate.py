"""``headstock evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from headstock.cli.trust import trust_option


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", "path", required=True, metavar="PATH|HUB_ID", help="A file, a folder, or a Hub data set's id.")
@click.argument("overrides", nargs=-1, metavar="[data.key=value …]")
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
    as_json: bool,
    device: str,
    quiet: bool,
    trust_remote_code: bool,
) -> None:
    """Score the tuned model of RUN on other labelled data.

    Of a folder with several splits, or of a Hub data set, the test split is taken. With on_bad_example=skip, rows that
    cannot be used are left out and counted.

    \b
    headstock evaluate runs/text-classification --data new_reviews.csv columns.text=review
    """
    from headstock.data import DataConfig
    from headstock.engine.tuned_model import load
    from headstock.recipe.errors import RecipeError
    from headstock.recipe.source import parse_assignments
    from headstock.report.result import finite
    from headstock.report.table import metrics_table

    data: dict[str, object] = {"path": path} if Path(path).exists() or _is_path(path) else {"hub": path}
    for keys, value in parse_assignments(overrides, "to score the model on it write --data "):
        inside = keys[1:] if keys[0] == "data" else keys
        if inside[0] not in DataConfig.model_fields:
            raise RecipeError(f"unknown option 'data.{'.'.join(inside)}'; only data options can be given here")
        if len(inside) == 1:
            data[inside[0]] = value
        else:
            nested = data.setdefault(inside[0], {})
            if isinstance(nested, dict):
                nested[".".join(inside[1:])] = value
    model = load(run_dir, device=device, catalogue=context.obj.catalogue, trust_remote_code=trust_remote_code)
    evaluation = model.evaluate(data, quiet=quiet)
    if as_json:
        record = {
            "metrics": {name: finite(value) for name, value in evaluation.metrics.items()},
            "details": evaluation.details.model_dump(mode="json"),
            "examples": evaluation.examples,
            "skipped": evaluation.skipped,
        }
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    left_out = ""
    if evaluation.skipped:
        left_out = f", {len(evaluation.skipped)} bad rows left out, the first: {evaluation.skipped[0]}"
    click.echo(f"{evaluation.examples} examples{left_out}\n")
    click.echo(metrics_table(evaluation.metrics, evaluation.details))


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or Path(text).suffix != ""
