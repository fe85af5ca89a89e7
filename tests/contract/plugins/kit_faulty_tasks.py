"""Tasks with one fault each."""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from kit_sound import Cells, Vowels, VowelsConfig
from pydantic import Field
from torch import nn

from headstock import Column, Loss, Metric


class OptionWithoutMeaningConfig(VowelsConfig):
    depth: int = 3


class OptionWithoutMeaning(Vowels):
    Config = OptionWithoutMeaningConfig

    def inputs(self, row):
        return super().inputs(row) if self.config.depth else {}


class BadDefaultConfig(VowelsConfig):
    most: int = Field(0, ge=1, description="labels at most")


class BadDefault(Vowels):
    Config = BadDefaultConfig

    def inputs(self, row):
        return super().inputs(row) if self.config.most >= 0 else {}


class LostModality(Vowels):
    modality = "runes"


class SharedInputs(Vowels):
    def sample(self):
        sample = super().sample()
        return {**sample, "test": [*sample["test"], sample["train"][0]]}


class OtherSampleEachTime(Vowels):
    calls: ClassVar[list[int]] = []

    def sample(self):
        self.calls.append(1)
        sample = super().sample()
        return {**sample, "train": sample["train"][len(self.calls) % 2 :]}


class UndeclaredColumn(Vowels):
    def sample(self):
        return {name: [{**row, "length": len(row["text"])} for row in rows] for name, rows in super().sample().items()}


class ReadsAll(Vowels):
    def read(self, request):
        return {"train": []}


class InventsColumns(Cells):
    def columns_for(self, available):
        first, *others = super().columns_for(available)
        return (first, Column(name="middle", role="input", summary="letters"), *others)


class DropsItsTarget(Cells):
    def columns_for(self, available):
        return tuple(column for column in super().columns_for(available) if column.role == "input")


class KeepsColumnsToItself(Cells):
    def columns_for(self, available):
        columns = super().columns_for(available)
        self._cells = [column.name for column in columns if column.role == "input"]
        return columns

    def inputs(self, row):
        return {"text": " ".join(row[name] for name in self._cells if row.get(name))}


class GroupOfTheCall(Vowels):
    calls: ClassVar[list[int]] = []

    def group(self, row):
        self.calls.append(1)
        return len(self.calls)


class GroupsAreLists(Vowels):
    def group(self, row):
        return [row.get("text")]


class SharedGroups(Vowels):
    def group(self, row):
        return str(row.get("text"))[:1]


class PeeksAtTest(Vowels):
    def __init__(self, config):
        super().__init__(config)
        self.seen = set()

    def reference(self, row):
        label = super().reference(row)
        self.seen.add(label)
        return label

    def learn(self, references):
        super().learn([*references, *self.seen])


class StateNotSaved(Vowels):
    def learn(self, references):
        super().learn(references)
        self.favourite = references[0]

    def restore(self, state):
        super().restore(state)
        self.favourite = None


class StateIsNoJson(Vowels):
    def state(self):
        return {**super().state(), "names": set(self.labels.names)}


class TakesAnything(Vowels):
    def inputs(self, row):
        return {"text": str(row.get("text") or "nothing")}


class WrongError(Vowels):
    def inputs(self, row):
        return {"text": row["text"].strip()}


class GuessesLabels(Vowels):
    def reference(self, row):
        return str(row.get("label") or "vowels")


class MissingFigure(Vowels):
    metrics = (*Vowels.metrics, Metric(name="auc", better="higher", summary="area under the curve"))


class OneBaselineForAll(Vowels):
    def baseline(self, references, inputs):
        return super().baseline(references, inputs)[:1]


class MeanLoss(Vowels):
    def loss(self, outputs, batch):
        target = batch.targets["label"]
        return Loss(F.cross_entropy(outputs["logits"].float(), target), torch.tensor(1.0))


class MeanTotalSummedCount(Vowels):
    def loss(self, outputs, batch):
        sound = super().loss(outputs, batch)
        return Loss(sound.total / len(batch.targets["label"]), sound.count)


class CountIsOne(Vowels):
    def loss(self, outputs, batch):
        return Loss(super().loss(outputs, batch).total, torch.tensor(1.0))


class DetachesSomeExamples(Vowels):
    def loss(self, outputs, batch):
        logits = torch.cat([outputs["logits"][:1], outputs["logits"][1:].detach()])
        return super().loss({"logits": logits}, batch)


class ReadsPadding(Vowels):
    def forward(self, head, features, batch):
        del batch
        return {"logits": head(features.sequence.mean(dim=1))}


class ReadsMoreThanItSays(Vowels):
    """Its last layer starts at zero, so that what it reads shows only once it is trained."""

    reads = ("pooled",)

    def build_head(self, backbone):
        head = super().build_head(backbone)
        torch.nn.init.zeros_(head[-1].weight)
        return head


class CentredOnTheBatch(Vowels):
    def forward(self, head, features, batch):
        centred = features.sequence - features.sequence.mean(dim=(0, 1))
        return super().forward(head, features._replace(sequence=centred), batch)


class BatchNormInHead(Vowels):
    def build_head(self, backbone):
        return nn.Sequential(nn.BatchNorm1d(backbone.feature_dim), super().build_head(backbone))


class GuessesInputs(Vowels):
    def inputs(self, row):
        return {"text": row["text"] or "nothing"}


class UnknownLabelIsAnError(Vowels):
    def encode(self, reference, example):
        return {"label": torch.tensor({name: number for number, name in enumerate(self.labels.names)}[reference])}

    def sample(self):
        return {
            name: [{**row, "label": f"{row['label']} {len(row['text']) % 2}"} for row in rows]
            for name, rows in super().sample().items()
        }


class ReadsPaddingBehindZeros(ReadsPadding):
    def build_head(self, backbone):
        head = super().build_head(backbone)
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
        return head


class DropoutInEvaluation(Vowels):
    def forward(self, head, features, batch):
        return super().forward(head, features._replace(sequence=F.dropout(features.sequence, 0.5)), batch)


class CountsItsCalls(Vowels):
    def build_head(self, backbone):
        head = super().build_head(backbone)
        head.register_buffer("calls", torch.zeros(()))
        return head

    def forward(self, head, features, batch):
        head.calls += 1
        return super().forward(head, features, batch)


class NoiseOfTheClock(Vowels):
    def augment(self, batch):
        torch.manual_seed(time.time_ns() % 2**31)
        return batch


class WrongSign(Vowels):
    def loss(self, outputs, batch):
        sound = super().loss(outputs, batch)
        return Loss(-sound.total, sound.count)


class WrongDirection(Vowels):
    metrics = (Metric(name="accuracy", better="lower", summary="share that is right"), *Vowels.metrics[1:])


class NumpyPredictions(Vowels):
    def decode(self, outputs, batch):
        return [
            [{**each, "score": np.float32(each["score"])} for each in one] for one in super().decode(outputs, batch)
        ]


class OwnWireFormat(Vowels):
    def to_pipeline(self, prediction, row):
        return {"class": prediction[0]["label"]}


class CannotPredictNothing(Vowels):
    def decode(self, outputs, batch):
        return super().decode(outputs, batch)[:1] * batch.size


class BreaksOnLongTexts(Vowels):
    def inputs(self, row):
        found = super().inputs(row)
        if len(found["text"]) > 100:
            raise RuntimeError("too long")
        return found


class ScoresOfTheBatch(Vowels):
    def decode(self, outputs, batch):
        return super().decode({"logits": outputs["logits"] / outputs["logits"].abs().max()}, batch)


class LosesItsThreshold(Vowels):
    def learn(self, references):
        super().learn(references)
        self._bias = float(len(references))

    def forward(self, head, features, batch):
        outputs = super().forward(head, features, batch)
        return {"logits": outputs["logits"] + torch.tensor([getattr(self, "_bias", 0.0), 0.0])}
