"""Tells what operating systems, network drives and tools leave in folders from what people put there."""

from __future__ import annotations

NAMES = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__macosx",
        "__pycache__",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "network trash folder",
        "temporary items",
    }
)
"""Names in lower case; a whole folder of such a name is left out."""

BEGINNINGS = (".", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot")
"""How hidden names begin (``.DS_Store``, ``._photo.jpg``, ``.ipynb_checkpoints``) and the folders of network drives."""


def is_system_file(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden, or made by a system and no part of anybody's data."""
    folded = name.casefold()
    return folded in NAMES or folded.startswith(BEGINNINGS)
