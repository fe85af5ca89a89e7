"""How many threads a process may use on CPUs that it shares, and how they wait. Imports nothing heavy.

OpenMP, on which torch computes, knows of affinity but not of a container's quota, and its threads spin while they wait
for each other: beside other busy processes they take the CPU from the thread that they wait for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells of control groups."""

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user tells OpenMP how threads wait."""

SPINS = "50000"
"""Turns that a thread of GNU OpenMP, torch's on Linux, waits before it sleeps: long enough for the gaps between the
operations of a step, where waking up would cost speed, and far less than the default's 300,000."""

COUNTING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
"""Variables by which a user tells OpenMP how many threads there are."""


class CpuShare(NamedTuple):
    """How many CPUs a process may keep busy.

    Attributes:
        cpus: At least 1; a quota of one and a half CPUs is two.
        limit: What limits it: ``all CPUs``, ``affinity`` or ``cgroup quota``.
    """

    cpus: int
    limit: str


def cpu_share(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> CpuShare:
    """Return how many CPUs this process may keep busy, by affinity and by the quota of its control group."""
    there = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    share = CpuShare(affinity, "affinity" if affinity < there else "all CPUs")
    quotas = list(_quotas(cgroups, own))
    if quotas and math.ceil(min(quotas)) < share.cpus:
        return CpuShare(max(math.ceil(min(quotas)), 1), "cgroup quota")
    return share


def prepare_threads(environment: MutableMapping[str, str]) -> None:
    """Set what OpenMP reads when torch is imported; whatever the user has set stays."""
    if not any(name in environment for name in WAITING):
        environment["GOMP_SPINCOUNT"] = SPINS
    share = cpu_share()
    if share.limit == "cgroup quota" and not any(name in environment for name in COUNTING):
        environment["OMP_NUM_THREADS"] = str(share.cpus)


def thread_limit(environment: MutableMapping[str, str]) -> str:
    """Return what decided the number of threads: a variable of the user's, or what :func:`cpu_share` says."""
    share = cpu_share()
    told = next((name for name in COUNTING if environment.get(name)), None)
    ours = told == "OMP_NUM_THREADS" and share.limit == "cgroup quota" and environment[told] == str(share.cpus)
    return share.limit if told is None or ours else told


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield the CPUs that each of this process's control groups may use, where it has a quota."""
    for line in _text(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        version_2 = controllers == ""
        if not version_2 and "cpu" not in controllers.split(","):
            continue
        root = cgroups if version_2 else cgroups / "cpu"
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if version_2:
                quota, _, period = _text(folder / "cpu.max").partition(" ")
            else:
                quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
            if quota.strip().isdigit() and period.strip().isdigit() and int(period):
                yield int(quota) / int(period)
            if folder == root:
                break


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # another system, or a group that is not to be seen from here
        return ""
