"""Where a run took place: versions, device, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from headstock.cpu_threads import thread_limit
from headstock.interfaces import trusts_remote_code
from headstock_registry import Catalogue

LIBRARIES = ("headstock", "torch", "torchvision", "torchaudio", "transformers", "datasets", "peft", "numpy")


def describe_environment(catalogue: Catalogue, device: torch.device, seed: int, ranks: int = 1) -> dict[str, Any]:
    """Return versions, device, how many processes (each with such a device), commit and seed as JSON values."""
    plugins = {str(plugin.source.plugin): str(plugin.source) for plugin in catalogue.plugins if plugin.problem is None}
    return {
        "seed": seed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "plugins": plugins,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "device_type": device.type,
        "ranks": ranks,
        "cpus": os.cpu_count(),
        "cpu_instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "thread_limit": thread_limit(os.environ),
        "commit": source_commit(),
        "trust_remote_code": trusts_remote_code(),
    }


def source_commit() -> str | None:
    """Return the git commit that Headstock runs from, with ``+`` when files are changed; None outside its checkout."""
    here = Path(__file__).parent
    try:
        # Installed below a repository of the user's, git would name that one's commit.
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
