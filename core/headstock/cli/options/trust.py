"""The option by which the caller of a command lets code run that comes with pretrained weights."""

from __future__ import annotations

import click

trust_option = click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Run Python code that comes with the pretrained weights. No recipe and no run can say so.",
)
