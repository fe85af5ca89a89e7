"""The options of ``headstock bench`` that are about Ray. Nothing here imports it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import click

if TYPE_CHECKING:
    from headstock_bench.ray_backend.runner import OnRay

MAX_RETRIES = 2

_Command = TypeVar("_Command", bound=Callable[..., Any])


class RayOptions(NamedTuple):
    """Where and how cells run on Ray."""

    address: str
    cpus: int | None
    gpus: float | None
    retries: int

    @classmethod
    def of(
        cls,
        suite: str | None,
        ray: str | None,
        cpus_per_cell: int | None,
        gpus_per_cell: float | None,
        max_retries: int | None,
    ) -> Self | None:
        """Return the options as they were given on the command line; None without ``--ray``.

        Raises:
            HeadstockError: Ray is not installed, or the address cannot be one.
            click.UsageError: the others were given without ``--ray``, or it took the suite for its address.
        """
        if ray is None:
            given = {
                "--cpus-per-cell": cpus_per_cell,
                "--gpus-per-cell": gpus_per_cell,
                "--max-retries": max_retries,
            }
            for option, value in given.items():
                if value is not None:
                    raise click.UsageError(f"{option} is for cells on Ray; give --ray too")
            return None
        from headstock_bench.ray_backend.cluster import AUTO, LOCAL, check_address, check_installed

        if suite is None:
            raise click.UsageError("which suite? It stands before --ray: headstock bench SUITE --ray [ADDRESS]")
        check_installed()
        address = ray or (AUTO if "RAY_ADDRESS" in os.environ else LOCAL)
        retries = MAX_RETRIES if max_retries is None else max_retries
        return cls(check_address(address), cpus_per_cell, gpus_per_cell, retries)

    def executor(self, say: Callable[[str], None]) -> OnRay:
        """Return what runs cells so; ``say`` shows a line of progress."""
        from headstock_bench.ray_backend.runner import OnRay

        return OnRay(self.address, self.cpus, self.gpus, self.retries, say)


def ray_options(command: _Command) -> _Command:
    """Give a command the options that :meth:`RayOptions.of` takes."""
    for option in (
        click.option(
            "--max-retries",
            type=click.IntRange(min=0),
            metavar="N",
            help=f"With --ray: how often a run that failed or was killed is tried again; default {MAX_RETRIES}.",
        ),
        click.option(
            "--gpus-per-cell",
            type=click.FloatRange(0, 1),
            metavar="X",
            help="With --ray: GPUs for each run, 0.5 for two runs on a GPU; default 1 where there are any.",
        ),
        click.option(
            "--cpus-per-cell",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --ray: CPUs for each run; default a GPU's share of the CPUs, or 1 without GPUs.",
        ),
        click.option(
            "--ray",
            is_flag=False,
            flag_value="",
            metavar="[ADDRESS]",
            help="Run side by side through Ray "
            "(pip install 'headstock[ray]') on the cluster at HOST:PORT, or 'auto' for the one that runs here, or "
            "'local' for all of this machine; default RAY_ADDRESS if that is set, else local.",
        ),
    ):
        command = option(command)
    return command
