"""The model card: a README.md with the Hub's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstock.error_text import printable
from headstock.interfaces import Backbone, Provenance
from headstock.report.markdown import block, code, plain, table
from headstock.report.result import RunResult, TestResult
from headstock.report.table import changes, class_rows, figure

TEMPLATE = """---
{metadata}
---

# {title}

Tuned with [Headstock](https://pypi.org/project/headstock/) {version}: task {task}, backbone {backbone},
adapter {adapter}{methods}, {trainable} of {parameters} parameters trained, seed {seed}.

## Test metrics, before and after tuning

{table}

Before tuning, a head of the task's own is untrained and the backbone has its {origin} weights.{provenance}{remarks}
{details}
## Training

{train} training, {validation} validation and {test} test examples{skipped}. {steps} optimizer steps; the weights are
those of step {best_step}, which had the best validation {best_metric} ({best_value}).{notes}{data_notes}
{plots}
## Use

```python
import headstock

model = headstock.load("path/to/this/folder")
model.predict([...])
```

or `headstock predict path/to/this/folder INPUT…`. {loading}{trust}

## Recipe

{recipe}
"""

PLOTS = {"curves.png": "loss and validation curve", "confusion.png": "confusion matrix"}
"""What plots show."""
TRUSTED = """

**Code.** The run was started with `--trust-remote-code`, so Python code that came with the pretrained weights could
run. Where the model needs that code, `headstock predict` needs the flag too, and `headstock.load` the argument
`trust_remote_code=True`."""


def model_card(
    result: RunResult,
    recipe: str,
    version: str,
    pipeline_tag: str | None,
    source: str | Provenance | None,
    data: str,
    loading: str = "",
    plots: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return the text of the card.

    Args:
        result: The finished run.
        recipe: The resolved recipe as YAML.
        version: Headstock's version.
        pipeline_tag: The Hub's name for the task.
        source: Where the backbone's pretrained weights came from.
        data: What the data is, in words.
        loading: How the weights are loaded with no Headstock installed.
        plots: Names of the plots in ``plots/``, each with the labels that it shows by number.
    """
    from huggingface_hub import EvalResult, ModelCardData

    card = ModelCardData(
        library_name="headstock",
        pipeline_tag=pipeline_tag,
        base_model=source if isinstance(source, str) and _is_hub_id(source) else None,
        tags=["headstock", result.adapter],
        model_name=f"{result.task} {result.backbone}",
        eval_results=[
            EvalResult(
                task_type=pipeline_tag or result.task,
                dataset_type="custom",
                dataset_name=printable(data),
                dataset_split="test",
                metric_type=name,
                metric_value=round(value, 6),
            )
            for name, value in result.after.metrics.items()
            if name != "loss" and value is not None
        ],
    )
    skipped = sum(len(lines) for lines in result.skipped.values())
    return TEMPLATE.format(
        metadata=card.to_yaml().strip(),
        title=plain(f"{result.task}, {result.backbone}"),
        version=version,
        task=code(result.task),
        backbone=code(source if isinstance(source, str) else result.backbone),
        adapter=code(result.adapter),
        methods="".join(f", method {code(name)}" for name in result.methods),
        trainable=f"{result.trainable_parameters:,}",
        parameters=f"{result.parameters:,}",
        seed=result.seed,
        table=table(changes(result)),
        origin="pretrained" if source else "random",
        provenance=_provenance(source),
        remarks="".join(f"\n\nNot the default: {plain(remark)}." for remark in result.recipe_remarks),
        details=_details(result.after),
        skipped=f" ({skipped} unusable rows left out)" if skipped else "",
        plots="".join(f"\n![{PLOTS[name]}](plots/{name})\n{_legend(legend)}" for name, legend in (plots or {}).items()),
        loading=loading,
        trust=TRUSTED if result.trust_remote_code else "",
        recipe=block(recipe, "yaml"),
        **result.examples,
        notes="".join(f"\n{note}" for note in result.training.notes),
        data_notes=_data_notes(result),
        best_value=figure(result.training.best_value),
        best_metric=plain(result.training.best_metric),
        **result.training.model_dump(include={"steps", "best_step"}),
    )


def _provenance(source: str | Provenance | None) -> str:
    if not isinstance(source, Provenance):
        return ""
    name, licence = plain(source.source), plain(source.license)
    return f"\nThese are from {name}; licence {licence}, SHA-256 {code(source.digest)}."


def _details(test: TestResult) -> str:
    if not test.details.per_class:
        return ""
    return f"\n## Test metrics per class\n\n{table(class_rows(test.details))}\n"


def _legend(numbered: Mapping[str, str]) -> str:
    if not numbered:
        return ""
    rows = [("number", "label"), *numbered.items()]
    return f"\nWhere the plot was drawn, no font had the characters of these labels:\n\n{table(rows)}\n"


def _data_notes(result: RunResult) -> str:
    """Return a list of what was cut, dropped or changed in the data; empty where nothing was."""
    lines = [f"- {plain(remark)}" for remark in result.data_remarks]
    lines += [
        f"- {plain(f'{name}: {what}: {noted}')}"
        for name, notes in result.data_notes.items()
        for what, noted in notes.items()
    ]
    return "\n\nIn the data:\n\n" + "\n".join(lines) if lines else ""


def _is_hub_id(source: str) -> bool:
    return not source.startswith((".", "/", "~")) and source.count("/") <= 1 and not Path(source).exists()


def plain_loading(backbone: Backbone, files: set[str]) -> str:
    """Return a sentence on how the weights are loaded with no Headstock installed; empty where they are not.

    Args:
        backbone: The tuned backbone.
        files: Paths within the run directory that exist.
    """
    kept = "model/backbone" if "model/backbone/model.safetensors" in files else backbone.source
    call = backbone.loading_expression(kept) if kept is not None else None
    if call is None:
        return ""
    if "model/adapter/adapter_config.json" in files:
        whole = f"PeftModel.from_pretrained({call}, 'model/adapter')"
        return f"With no Headstock installed: {code(whole)}."
    return f"With no Headstock installed: {code(call)} is the backbone."
