"""``headstock run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstock.cli.options.launch import Launch, launch_options
from headstock.cli.options.path import to_path
from headstock.cli.options.trust import trust_option
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock_registry import Catalogue


@click.command()
@click.argument("target", metavar="TASK|RECIPE.yaml|RUN_DIR")
@click.argument("overrides", nargs=-1, metavar="[key=value …]")
@click.option("--out", type=to_path, help="Run directory; default runs/TASK, numbered when taken.")
@click.option("--resume", is_flag=True, help="Resume the interrupted run in --out (or in RUN_DIR).")
@click.option("--force", is_flag=True, help="Replace the run in --out.")
@click.option("--dry-run", "only_check", is_flag=True, help="Check everything and count; train and write nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress, only the result.")
@click.option("--push-to-hub", metavar="REPO", help="Upload the finished run to this model repository on the Hub.")
@trust_option
@launch_options
@click.pass_context
def run(
    context: click.Context,
    /,
    target: str,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    force: bool,
    only_check: bool,
    quiet: bool,
    push_to_hub: str | None,
    trust_remote_code: bool,
    **launch: Any,
) -> None:
    """Tune a model and test it before and after.

    \b
    headstock run text-classification
    headstock run text-classification path=reviews.csv backbone=transformers model=distilbert/distilbert-base-uncased
    headstock run recipe.yaml trainer.epochs=5 adapter=lora
    headstock run runs/text-classification --resume
    headstock run recipe.yaml --launch torchrun --nproc-per-node 8
    headstock run recipe.yaml --launch slurm --nodes 2 --gpus-per-node 8 --time 12:00:00

    An override is section.key=value (sections: task, backbone, adapter, data, trainer; and seed). The section may be
    left out where only one has the key. `headstock show NAME` lists a component's options.
    """
    launched = Launch.of(**launch)
    if launched is not None and only_check:
        raise click.UsageError("--dry-run checks the run here and now; leave out --launch")
    from headstock.console import Console, on_interrupt

    with on_interrupt(lambda: "stopped; nothing was trained yet"):
        from headstock.distributed import leads
        from headstock.engine.dry_run import dry_run
        from headstock.interfaces.remote_code import trusting_remote_code
        from headstock.recipe.read import resolve_recipe

        context.with_resource(trusting_remote_code(trust_remote_code))
        console = Console(quiet)
        catalogue = context.obj.catalogue
        recipe, out = _run_directory(catalogue, target, out, resume)
        resolved = resolve_recipe(catalogue, recipe, overrides)
        if launched is not None:  # checked before, so that a mistake shows here and not after hours in a queue
            flags = {"--resume": resume, "--force": force, "--quiet": quiet, "--trust-remote-code": trust_remote_code}
            words = ["run", recipe, *overrides, *(flag for flag, given in flags.items() if given)]
            words += ["--push-to-hub", push_to_hub] if push_to_hub else []
            launched.start(words, out, resolved.task.entry.name)
            return
        if only_check:
            if leads():
                click.echo(dry_run(resolved, out, console))
            return
    from headstock.engine.run import run_resolved

    result = run_resolved(catalogue, resolved, out, resume=resume, force=force, console=console)
    if not leads():
        return
    from headstock.report.table import before_after

    click.echo(before_after(result))
    if push_to_hub:
        from headstock.engine.models.shareable_copy import shareable_copy
        from headstock.report.hub import upload_run

        with shareable_copy(result.path, catalogue) as folder:
            click.echo(f"uploaded to {upload_run(folder, push_to_hub, safe=result.path)}")


def _run_directory(catalogue: Catalogue, target: str, out: Path | None, resume: bool) -> tuple[str, Path | None]:
    """Return the recipe to run and the run directory; a run directory as target stands for its recipe.

    Raises:
        HeadstockError: the target is a folder or the path of one, and no run that can be begun or resumed so.
    """
    from headstock.engine.run_directory import RunDirectory
    from headstock.files import user_path

    directory = RunDirectory(user_path(target))
    if directory.marker.is_file() and directory.recipe.exists():
        if out is None and not resume:
            raise HeadstockError(
                f"{target} is a run already; --resume resumes it, --out runs its recipe again elsewhere"
            )
        return str(directory.recipe), out or directory.path
    if target.endswith((".yaml", ".yml")) or target in catalogue.names("task"):
        return target, out
    what = "there is no such folder"
    if directory.path.is_dir():
        what = "it was stopped before its recipe was kept" if directory.marker.is_file() else "the folder holds no run"
    elif directory.path.exists():
        what = "it is a file"
    elif os.sep not in target and (out is not None or not resume):
        return target, out  # a misspelt task
    if resume:
        raise HeadstockError(
            f"there is nothing to resume in {target}: {what}; begin with: headstock run TASK|RECIPE.yaml --out {target}"
        )
    raise HeadstockError(f"cannot run {target}: {what}; give a task's name, a recipe (.yaml), or a run with --resume")
