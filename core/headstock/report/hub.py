"""Uploads a finished run to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, errors
from huggingface_hub.errors import HFValidationError

from headstock.error_text import reason
from headstock_registry import HeadstockError

LEFT_OUT = ["checkpoints/*", "tensorboard/*", "predictions.jsonl", "*.tmp", ".*", "*/.*"]
"""Not uploaded. Predictions are left out because they repeat the test data, hidden and ``.tmp`` files because a killed
run may leave them half written."""


HTTP_ERROR: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
"""Base of all errors of the HTTP library that huggingface_hub uses (httpx or httpx2), failed connections among them."""


def upload_run(path: Path, repository: str, safe: Path | None = None) -> str:
    """Create the model repository if need be, upload the run, and return its address.

    Args:
        path: The folder to upload.
        repository: The repository's id.
        safe: The run directory that an error names, if it is not ``path``.

    Raises:
        HeadstockError: the Hub cannot be reached, the token is missing, or the name is not valid.
    """
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True, private=True)
        commit = api.upload_folder(folder_path=path, repo_id=repository, ignore_patterns=LEFT_OUT)
    except (HTTP_ERROR, HFValidationError, OSError) as error:
        raise HeadstockError(
            f"cannot upload to '{repository}': {reason(error)}; the run is safe in {safe or path}"
        ) from error
    return str(commit)
