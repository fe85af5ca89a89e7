"""Threads follow affinity and quotas, and what the user has set stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstock import cpu_threads
from headstock.cpu_threads import SPINS, CpuShare, cpu_share, prepare_threads, thread_limit


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def groups(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Make control groups and the file that names those of the process."""
    for name, content in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "own").write_text(own)
    return folder / "groups", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, CpuShare(2, "cgroup quota")),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, CpuShare(2, "cgroup quota")),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, CpuShare(1, "cgroup quota")),
        ("0::/\n", {"cpu.max": "max 100000\n"}, CpuShare(8, "all CPUs")),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, CpuShare(8, "all CPUs")),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, CpuShare(3, "cgroup quota")),
        (
            "4:cpu,cpuacct:/c\n3:memory:/c\n",
            {"cpu/c/cpu.cfs_quota_us": "400000\n", "cpu/c/cpu.cfs_period_us": "100000\n"},
            CpuShare(4, "cgroup quota"),
        ),
        (
            "4:cpu,cpuacct:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            CpuShare(8, "all CPUs"),
        ),
        ("", {}, CpuShare(8, "all CPUs")),
    ],
)
def test_a_quota_of_a_container(tmp_path: Path, own: str, files: dict[str, str], expected: CpuShare) -> None:
    assert cpu_share(*groups(tmp_path, own, files)) == expected


def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5}, raising=False)
    assert cpu_share(tmp_path, tmp_path / "none") == CpuShare(2, "affinity")
    assert cpu_share(*groups(tmp_path, "0::/", {"cpu.max": "400000 100000"})) == CpuShare(2, "affinity")


@pytest.mark.parametrize("share", [CpuShare(2, "cgroup quota"), CpuShare(8, "all CPUs")])
def test_what_the_user_has_set_stays(share: CpuShare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_threads, "cpu_share", lambda: share)
    bare: dict[str, str] = {}
    prepare_threads(bare)
    limited = {"OMP_NUM_THREADS": "2"} if share.limit == "cgroup quota" else {}
    assert bare == {"GOMP_SPINCOUNT": SPINS, **limited}
    assert thread_limit(bare) == share.limit
    for own in ({"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "7"}, {"GOMP_SPINCOUNT": "5", "MKL_NUM_THREADS": "3"}):
        told = dict(own)
        prepare_threads(told)
        assert told == own
        assert thread_limit(told) in own
