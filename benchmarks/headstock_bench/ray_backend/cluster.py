"""Connects to a Ray cluster, or starts one on this machine that nothing outside it can reach."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from headstock import HeadstockError

LOCAL, AUTO = "local", "auto"
ANSWERS_WITHIN = 10.0
"""Seconds in which a cluster's machine takes a connection."""

OBJECT_STORE = 80 * 2**20
"""Bytes of shared memory for Ray's objects, near its least; what goes through it here are short texts."""

OWN_CLUSTER = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: this machine only, all servers on the loopback address
    "RAY_AUTH_MODE": "token",  # and of this machine's users only the one who has the token
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Ray's settings, read when it is imported and by the processes that it starts."""


class Machine(NamedTuple):
    """What a machine of the cluster offers."""

    cpus: float
    gpus: float


class Cluster(NamedTuple):
    """A cluster that this process is connected to: the ``ray`` module, where the cluster is, its machines."""

    ray: Any
    name: str
    machines: list[Machine]


def check_installed() -> None:
    """Say what to install if Ray is not there.

    Raises:
        HeadstockError: it is not.
    """
    found = find_spec("ray")
    if found is None or found.origin is None:  # a folder called ray has no origin
        raise HeadstockError("--ray needs Ray, which is not installed: pip install 'headstock[ray]'")


def check_address(address: str) -> str:
    """Return an address that can be one.

    Raises:
        HeadstockError: it cannot.
    """
    if address in (LOCAL, AUTO) or re.fullmatch(r"[^\s:/]+:\d{1,5}", address):
        return address
    if address.startswith("ray://"):
        raise HeadstockError(
            f"'{address}' is for clients outside a cluster; start the benchmark on one of its machines: --ray auto"
        )
    raise HeadstockError(f"'{address}' is not the address of a Ray cluster: local, auto or HOST:PORT")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to a cluster, and let go of it at the end.

    Args:
        address: ``HOST:PORT`` of a cluster, from one of its machines; ``auto``: RAY_ADDRESS, or the one that runs on
            this machine; ``local``: one is started for as long as this lasts. It listens on the loopback address only
            and has no dashboard.

    Raises:
        HeadstockError: there is no cluster, or it does not fit.
    """
    folder = None
    _check_answers(address)
    if address == LOCAL:
        os.environ.update(OWN_CLUSTER, RAY_AUTH_TOKEN=secrets.token_hex(32))
        # /tmp, for the paths of sockets may have 107 characters and Ray adds 70
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ray: Any = importlib.import_module("ray")
    try:
        try:
            _connect(ray, address, folder)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
            raise HeadstockError(f"cannot use the Ray cluster '{address}': {reason}") from error
        machines = [
            Machine(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))
            for node in ray.nodes()
            if node["Alive"]
        ]
        where = "on this machine" if address == LOCAL else f"at {ray.get_runtime_context().gcs_address}"
        yield Cluster(ray, where, machines)
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_answers(address: str) -> None:
    """Raise an error if nothing listens at ``HOST:PORT``; Ray itself would try for minutes."""
    if address == AUTO:
        # where `ray start` leaves the address of a cluster, also after the cluster is gone
        left = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (left.read_text("utf-8").strip() if left.is_file() else "")
    host, colon, port = address.partition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HeadstockError(f"cannot reach the Ray cluster at {address}: {reason}") from error


def _connect(ray: Any, address: str, folder: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if folder is None:
        ray.init(address=address, **quiet)
    else:
        ray.init(address=LOCAL, include_dashboard=False, object_store_memory=OBJECT_STORE, _temp_dir=folder, **quiet)
