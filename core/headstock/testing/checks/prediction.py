"""Checks of predictions as a user gets them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import huggingface_hub

from headstock.engine.tuned_model import TunedModel
from headstock.error_text import shown
from headstock.interfaces import BadExampleError
from headstock.testing.check import CheckFailure, NotApplicable, check, expect
from headstock.testing.checks.compare import difference
from headstock.testing.subject import Subject

ODD: tuple[Any, ...] = (None, "", 7, [], {}, object(), float("nan"))
"""Inputs that make no sense to any task, or to most."""


@check("prediction-json", "task")
def prediction_json(subject: Subject) -> None:
    """Predictions and references are JSON values, without NaN.

    They are written to ``predictions.jsonl`` and printed by ``headstock predict``.
    """
    built = subject.build()
    test = built.splits["test"]
    for number, prediction in enumerate(subject.predictions(built, "test")):
        row = test.split.table[test.split.rows[number]]
        for value, what in ((prediction, "prediction"), (built.module.task.to_pipeline(prediction, row), "wire form")):
            _must_be_json(value, f"a {what} of JSON values")
    for reference in test.split.references:
        _must_be_json(reference, "a reference of JSON values")


def _must_be_json(value: Any, what: str) -> None:
    try:
        again = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailure(what, f"{shown(value)}: {error}") from error
    found = difference(again, value)
    expect(not found, f"{what} that reads back the same", str(found))


@check("prediction-wire-format", "task")
def prediction_wire_format(subject: Subject) -> None:
    """``to_pipeline`` gives the form in which Hugging Face's inference API answers for the task's pipeline tag.

    Programs written for those pipelines then work with the task. The forms are the output types of huggingface_hub.
    """
    tag = subject.cls.pipeline_tag
    name = "".join(part.capitalize() for part in (tag or "").split("-"))
    element = getattr(huggingface_hub, f"{name}OutputElement", None)
    form = element or getattr(huggingface_hub, f"{name}Output", None)
    if form is None:
        raise NotApplicable(f"huggingface_hub has no output type for '{tag}'")
    model = subject.tuned_model()
    main = subject.columns[0].name
    rows = [row if len(subject.columns) > 2 else row[main] for row in subject.sample["test"][:3]]
    for prediction in model.predict(rows):
        items = prediction if element is not None else [prediction]
        expect(isinstance(items, list), f"a list of {form.__name__}", shown(prediction))
        for item in items:
            _must_fit(item, form)


def _must_fit(item: Any, form: Any) -> None:
    expect(isinstance(item, dict), f"a {form.__name__}", shown(item))
    fields = {field.name: field for field in dataclasses.fields(form)}
    unknown = sorted(set(item) - set(fields))
    expect(not unknown, f"only the keys {sorted(fields)}", f"also {unknown}")
    required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    needed = {name for name in required if "None" not in str(fields[name].type)}
    expect(needed <= set(item), f"the keys {sorted(needed)}", str(sorted(item)))


@check("prediction-any-number", "task")
def prediction_any_number(subject: Subject) -> None:
    """One input, many and none give one prediction each, in order."""
    model = subject.tuned_model()
    rows = [dict(row) for row in subject.sample["test"][:5]]
    none = model.predict([])
    expect(none == [], "no prediction for no input", shown(none))
    many = model.predict(rows)
    expect(len(many) == len(rows), f"{len(rows)} predictions", str(len(many)))
    for number, row in enumerate(rows):
        found = difference(model.predict([row])[0], many[number])
        expect(not found, f"the prediction for input {number} alone as among many", str(found))


@check("prediction-odd-inputs", "task")
def prediction_odd_inputs(subject: Subject) -> None:
    """An input that makes no sense is a ``BadExampleError``, or gets a prediction; a very long one likewise.

    Tried are ``None``, an empty text, a number, an empty list and mapping, an object, NaN, and a sample input twenty
    times as long.
    """
    model = subject.tuned_model()
    main = subject.columns[0].name
    good = dict(subject.sample["test"][0])
    for value in (*ODD, *_long(good[main])):
        _must_answer(model, {**good, main: value}, value)


def _long(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [(value + " ") * 20]
    return [list(value) * 20] if isinstance(value, list | tuple) else []


def _must_answer(model: TunedModel, row: dict[str, Any], value: Any) -> None:
    try:
        answer = model.predict([row])
    except BadExampleError as error:
        expect("\n" not in str(error), f"an error of one line for {shown(value)}", shown(str(error)))
    except Exception as error:
        came = f"{type(error).__name__}: {shown(str(error))}"
        raise CheckFailure(f"a prediction or a BadExampleError for {shown(value)}", came) from error
    else:
        expect(len(answer) == 1, f"one prediction for {shown(value)}", shown(answer))


CHECKS = (prediction_json, prediction_wire_format, prediction_any_number, prediction_odd_inputs)
