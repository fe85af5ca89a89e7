"""Which methods of peft go with which backbone: runs the contract kit's checks of adapters, and writes the table.

    python benchmarks/adapters/table.py --work runs/peft-table --out benchmarks/results/peft-methods.json
    python benchmarks/adapters/table.py --work runs/peft-table --out benchmarks/results/peft-methods.json --page

Backbones are small ones with new weights, from transformers where they are of that library. On each, the kit looks
whether what is marked trainable changes in training and nothing else, whether the backbone's weights stay, whether the
adapter comes back from disk the same, and whether it merges, if it says that it does; on the first also whether a run
that was cut off and resumed ends the same, to the bit. What is in the file is not run again; ``--page`` prints it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from headstock.testing.checks.adapter import (
    adapter_keeps_base,
    adapter_merges,
    adapter_saves_all_it_added,
    adapter_trains_what_it_says,
)
from headstock.testing.checks.state import state_resume
from headstock.testing.runner import run_check
from headstock.testing.subject import Subject
from headstock_adapters.peft.adapter import METHODS
from headstock_adapters.peft.methods import REFUSED
from headstock_registry import HeadstockError, load_catalogue

ROOT = Path(__file__).parents[2]
CHECKS = (adapter_trains_what_it_says, adapter_keeps_base, adapter_saves_all_it_added, adapter_merges)
BODIES = {
    "BERT": ("transformers-text", "text-classification", "text"),
    "ViT": ("transformers-vision", "image-classification", "image"),
    "Whisper": ("transformers-speech", "audio-classification", "speech-seq2seq"),
    "CRNN": ("crnn", "audio-classification", None),
    "SmallCNN": ("smallcnn", "image-classification", None),
    "TextCNN": ("textcnn", "text-classification", None),
}
RESUMED = "BERT"
KINDS = {"text": ("BERT",), "image": ("ViT",), "speech": ("Whisper",), "from scratch": ("CRNN",)}


def tiny_models(folder: Path) -> dict[str, Path]:
    """Return tiny models with random weights as the contract tests make them."""

    class Folders:
        def mktemp(self, name: str) -> Path:
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            return place

    def made(path: str, name: str, *arguments: Any) -> Any:
        spec = importlib.util.spec_from_file_location(f"tests_{name}", ROOT / path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)._get_wrapped_function()(Folders(), *arguments)

    whisper = made("tests/conftest.py", "tiny_whisper")
    models: dict[str, Path] = made("tests/contract/conftest.py", "tiny_models", whisper)
    return models


def outcome(method: str, body: str, models: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Return whether a method passes on a body, is refused, or fails, and the line that says so."""
    backbone, task, model = BODIES[body]
    catalogue = load_catalogue()
    beside = [f"task={task}", f"backbone={backbone}", f"adapter.method={method}"]
    if model is not None:
        beside.append(f"backbone.model={models[model]}")
    if method == "trainable_tokens":
        beside.append(f"adapter.options={{token_indices: {list(range(1, 99))}}}")
    if method in ("cartridge", "p_tuning", "prefix_tuning", "prompt_tuning"):
        beside += ["adapter.options={num_virtual_tokens: 4}", "backbone.max_length=64"][: 2 if body == "BERT" else 1]
    subject = Subject(catalogue, catalogue.get("adapter", "peft"), beside, folder)
    try:
        built = subject.build()
    except HeadstockError as error:
        return {"outcome": "refused", "line": str(error)}
    trained = sum(each.numel() for each in built.module.backbone.parameters() if each.requires_grad)
    for check in (*CHECKS, state_resume) if body == RESUMED else CHECKS:
        result = run_check(check, subject)
        if result.status == "failed":
            return {"outcome": "failed", "line": " ".join(str(result).split())[:300], "trained": trained}
    return {"outcome": "passed", "trained": trained}


def page(found: dict[str, Any]) -> str:
    """Return the table in Markdown, with the counts."""
    table = found["table"]
    signs = {"passed": "yes", "refused": "–", "failed": "**fails**"}
    lines = [f"| method | {' | '.join(BODIES)} |", f"| --- |{' --- |' * len(BODIES)}"]
    lines += [
        f"| `{method}` | {' | '.join(signs[table[method][body]['outcome']] for body in BODIES)} |" for method in table
    ]
    passed = {body: sum(each[body]["outcome"] == "passed" for each in table.values()) for body in BODIES}
    lines.append(f"| **pass** | {' | '.join(f'**{count}**' for count in passed.values())} |")
    anywhere = sum(any(each[body]["outcome"] == "passed" for body in BODIES) for each in table.values())
    everywhere = sum(
        all(any(each[body]["outcome"] == "passed" for body in bodies) for bodies in KINDS.values())
        for each in table.values()
    )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        "\n".join(lines) + f"\n\n{anywhere} of {len(table) + len(REFUSED)} methods pass on at least one of these, "
        f"{everywhere} on BERT, ViT, Whisper and CRNN ({versions}; {found['date']})."
    )


def main() -> None:
    """Run what the file lacks, or print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", type=Path, default=Path("runs/peft-table"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--page", action="store_true", help="print the table of what the file holds")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"table": {}}
    if arguments.out.exists():
        found = json.loads(arguments.out.read_text("utf-8"))
    if arguments.page:
        sys.stdout.write(page(found) + "\n")
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HEADSTOCK_CACHE", str(arguments.work / "cache"))
    models = tiny_models(arguments.work / "models")
    found["date"] = datetime.date.today().isoformat()
    found["versions"] = {name: importlib.metadata.version(name) for name in ("peft", "transformers", "torch")}
    found["refused everywhere"] = dict(REFUSED)
    for method in arguments.methods:
        row = found["table"].setdefault(method, {})
        for body in BODIES:
            if body not in row:
                folder = arguments.work / f"{method}-{body}"
                folder.mkdir(exist_ok=True)
                row[body] = outcome(method, body, models, folder)
                sys.stderr.write(f"{method} {body} {row[body]}\n")
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
