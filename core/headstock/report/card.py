"""The model card: a README.md with the Hub's metadata."""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from headstock.report.result import RunResult, TestResult

TEMPLATE = """---
{metadata}
---

# {title}

Tuned with [Headstock](https://pypi.org/project/headstock/) {version}: task `{task}`, backbone `{backbone}`,
adapter `{adapter}`, {trainable} of {parameters} parameters trained, seed {seed}.

## Test metrics, before and after tuning

{table}

Before tuning, the head is untrained and the backbone has its {origin} weights.
{details}
## Training

{train} training, {validation} validation and {test} test examples{skipped}. {steps} optimizer steps; the weights are
those of step {best_step}, which had the best validation {best_metric} ({best_value:.4f}).

![loss and validation curve](plots/curves.png)
{confusion}
## Use

```python
import headstock

model = headstock.load("path/to/this/folder")
model.predict([...])
```

or `headstock predict path/to/this/folder INPUT…`. {plain}

## Recipe

```yaml
{recipe}```
"""


def model_card(
    result: RunResult,
    recipe: str,
    version: str,
    pipeline_tag: str | None,
    source: str | None,
    data: str,
    files: set[str],
) -> str:
    """Return the text of the card.

    Args:
        result: The finished run.
        recipe: The resolved recipe as YAML.
        version: Headstock's version.
        pipeline_tag: The Hub's name for the task.
        source: Where the backbone's pretrained weights came from.
        data: What the data is, in words.
        files: Paths within the run directory that exist, to say how they are loaded.
    """
    is_hub_id = source is not None and not source.startswith((".", "/")) and source.count("/") <= 1
    card = ModelCardData(
        library_name="headstock",
        pipeline_tag=pipeline_tag,
        base_model=source if is_hub_id else None,
        tags=["headstock", result.adapter],
        model_name=f"{result.task} {result.backbone}",
        eval_results=[
            EvalResult(
                task_type=pipeline_tag or result.task,
                dataset_type="custom",
                dataset_name=data,
                dataset_split="test",
                metric_type=name,
                metric_value=round(value, 6),
            )
            for name, value in result.after.metrics.items()
            if name != "loss"
        ],
    )
    skipped = sum(len(lines) for lines in result.skipped.values())
    return TEMPLATE.format(
        metadata=card.to_yaml().strip(),
        title=f"{result.task}, {result.backbone}",
        version=version,
        task=result.task,
        backbone=source or result.backbone,
        adapter=result.adapter,
        trainable=f"{result.trainable_parameters:,}",
        parameters=f"{result.parameters:,}",
        seed=result.seed,
        table=markdown_table(result.before.metrics, result.after.metrics),
        origin="pretrained" if source else "random",
        details=_details(result.after),
        skipped=f" ({skipped} unusable rows left out)" if skipped else "",
        confusion="\n![confusion matrix](plots/confusion.png)\n" if "plots/confusion.png" in files else "",
        plain=_plain_loading(files),
        recipe=recipe,
        **result.examples,
        **result.training.model_dump(exclude={"stopped_early"}),
    )


def markdown_table(before: dict[str, float], after: dict[str, float]) -> str:
    """Return metrics before and after as a Markdown table."""
    rows = ["| metric | before | after | change |", "| --- | ---: | ---: | ---: |"]
    rows += [
        f"| {name} | {before[name]:.4f} | {value:.4f} | {value - before[name]:+.4f} |" for name, value in after.items()
    ]
    return "\n".join(rows)


def _details(test: TestResult) -> str:
    per_class = test.details.per_class
    if not per_class:
        return ""
    columns = list(next(iter(per_class.values())))
    rows = [f"| class | {' | '.join(columns)} |", f"| --- | {' | '.join('---:' for _ in columns)} |"]
    rows += [f"| {name} | {' | '.join(_figure(values[c]) for c in columns)} |" for name, values in per_class.items()]
    return "\n## Test metrics per class\n\n" + "\n".join(rows) + "\n"


def _figure(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() and value > 1 else f"{value:.4f}"


def _plain_loading(files: set[str]) -> str:
    if "model/adapter/adapter_config.json" in files:
        return "`PeftModel.from_pretrained(base, 'model/adapter')` loads the adapter with no Headstock installed."
    if "model/backbone/config.json" in files and "model/backbone/model.safetensors" in files:
        return "`model/backbone` holds the tuned backbone."
    return ""
