"""Components with one fault each, and the check that must catch it."""

from __future__ import annotations

import random
import time
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from kit_sound import Factor, Letters, LettersConfig, Scale, Scaled, Vowels, VowelsConfig
from pydantic import BaseModel, Field
from torch import nn

from headstock import Features, Loss, Metric


class Fault(NamedTuple):
    """What is broken, in whom, and which check says so."""

    what: str
    cls: type
    caught_by: str


class OptionWithoutMeaningConfig(VowelsConfig):
    depth: int = 3


class OptionWithoutMeaning(Vowels):
    Config = OptionWithoutMeaningConfig

    def inputs(self, row):
        return super().inputs(row) if self.config.depth else {}


class OpenConfig(BaseModel):
    dropout: float = Field(0.1, description="dropout")


class OpenOptions(Letters):
    Config = OpenConfig

    def __init__(self, config):
        super().__init__(LettersConfig(dropout=config.dropout))
        self.config = LettersConfig(dropout=config.dropout)


class BadDefaultConfig(VowelsConfig):
    most: int = Field(0, ge=1, description="labels at most")


class BadDefault(Vowels):
    Config = BadDefaultConfig

    def inputs(self, row):
        return super().inputs(row) if self.config.most >= 0 else {}


class IgnoredConfig(LettersConfig):
    sharpness: float = Field(1.0, gt=0, description="how sharp the vectors are")


class IgnoredOption(Letters):
    Config = IgnoredConfig


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


class OtherInBatches(Letters):
    def preprocess_many(self, inputs):
        return [self.preprocess(inputs[0]) for _ in inputs]


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


class ForgetsItsSequence(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.projection = nn.Linear(config.width, config.width)

    @classmethod
    def load(cls, config, directory):
        backbone = super().load(config, directory)
        nn.init.zeros_(backbone.projection.weight)
        return backbone

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(sequence=self.projection(features.sequence))


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


class NoiseOfPython(Letters):
    def encode(self, embedded, inputs):
        if self.training:
            embedded = embedded * random.uniform(0.5, 1.5)
        return super().encode(embedded, inputs)


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


class MaskIgnored(Letters):
    def encode(self, embedded, inputs):
        sequence = self.body(embedded.transpose(1, 2)).transpose(1, 2)
        return Features(sequence, inputs["mask"], sequence.mean(dim=1))


class BatchStatistics(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(pooled=features.pooled - features.pooled.mean(dim=0))


class MovingStatistics(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(config.width))

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        self.mean += 0.1 * features.pooled.mean(dim=0).detach()
        return features


class WrongWidth(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.feature_dim = config.width

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(pooled=features.pooled.repeat(1, 2))


class FloatMask(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(mask=features.mask.float())


class FlatCost(Letters):
    def cost(self, example):
        return 1


class ShrinkingCost(Letters):
    def cost(self, example):
        return 1000 - len(example["ids"])


class RandomPreprocessing(Letters):
    def preprocess(self, inputs):
        ids = super().preprocess(inputs)["ids"]
        return {"ids": ids[torch.randperm(len(ids))]}


class StaleFingerprint(Letters):
    def fingerprint(self):
        return {"fold": self.config.fold}


class BreaksInBf16(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        if torch.is_autocast_enabled("cpu"):
            return features._replace(pooled=features.pooled + torch.where(features.pooled > 2, 1.0, float("nan")))
        return features


class OtherGradientsWithCheckpointing(Letters):
    def enable_gradient_checkpointing(self):
        self.embedding.requires_grad_(False)


class CannotBeCompiled(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        factor = 1.5 if torch.compiler.is_compiling() else 1.0
        return features._replace(pooled=features.pooled * factor)


class LoadsNothing(Letters):
    @classmethod
    def load(cls, config, directory):
        return cls(config)


class TrainsFrozen(Scale):
    def set_mode(self, backbone, training):
        super().set_mode(backbone, training)
        if training:
            with torch.no_grad():
                backbone.embedding.weight += 0.1


class MarksWhatIsUnused(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        backbone.body.unused = nn.Parameter(torch.zeros(3))

    def merge(self, backbone):
        del backbone.body.unused
        super().merge(backbone)


class SaysItKeepsTheBase(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        with torch.no_grad():
            backbone.embedding.weight.requires_grad_(True)
            backbone.body.base[1].weight.mul_(1.0)
            backbone.body.base[1].weight.requires_grad_(True)


class StartsElsewhere(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        with torch.no_grad():
            backbone.body.scale.mul_(0.5)


class SavesNothing(Scale):
    def save(self, backbone, directory):
        super().save(backbone, directory)

    def load(self, backbone, directory):
        self.attach(backbone)
        backbone.requires_grad_(False)


class MergesHalf(Scale):
    def merge(self, backbone):
        scaled: Scaled = backbone.body
        backbone.body = scaled.base
        backbone.body.append(Factor(scaled.scale.detach() ** 0.5))


class DoesNotMerge(Scale):
    def merge(self, backbone):
        del backbone


class PicklesItsState(Scale):
    def save(self, backbone, directory):
        super().save(backbone, directory)
        torch.save({"rate": self.config.rate}, directory / "state.bin")


class ForgetsWhereItWas(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.steps = 0

    def encode(self, embedded, inputs):
        if self.training:
            self.steps += 1
            embedded = embedded * (1 + 0.1 * self.steps)
        return super().encode(embedded, inputs)


class LosesItsThreshold(Vowels):
    def learn(self, references):
        super().learn(references)
        self._bias = float(len(references))

    def forward(self, head, features, batch):
        outputs = super().forward(head, features, batch)
        return {"logits": outputs["logits"] + torch.tensor([getattr(self, "_bias", 0.0), 0.0])}


class CountsPadding(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(sequence=features.sequence * features.sequence.shape[1])


FAULTS = (
    Fault("an option without a meaning", OptionWithoutMeaning, "options-are-documented"),
    Fault("options that take unknown keys", OpenOptions, "options-are-documented"),
    Fault("a default that its own rule forbids", BadDefault, "options-have-valid-defaults"),
    Fault("an option that nothing reads", IgnoredOption, "options-are-read"),
    Fault("a modality other than the entry's", LostModality, "entry-tells-the-truth"),
    Fault("an input that is in two splits", SharedInputs, "data-sample"),
    Fault("another sample on every call", OtherSampleEachTime, "data-sample"),
    Fault("rows with a column that is not declared", UndeclaredColumn, "data-columns"),
    Fault("data of every form is read", ReadsAll, "data-own-forms"),
    Fault("labels learnt from the test split", PeeksAtTest, "data-labels-from-training"),
    Fault("something learnt that restore forgets", StateNotSaved, "data-state"),
    Fault("a state that is no JSON", StateIsNoJson, "data-state"),
    Fault("a guess for a missing input", TakesAnything, "data-bad-examples"),
    Fault("an error of another kind for a bad row", WrongError, "data-bad-examples"),
    Fault("a guess for a missing label", GuessesLabels, "data-bad-examples"),
    Fault("a metric that is declared and not returned", MissingFigure, "data-metrics"),
    Fault("a mean with a count of one", MeanLoss, "numbers-loss-is-a-sum"),
    Fault("a mean with the count of a sum", MeanTotalSummedCount, "numbers-loss-is-a-sum"),
    Fault("a sum with a count of one", CountIsOne, "numbers-loss-is-a-sum"),
    Fault("examples whose gradient is cut off", DetachesSomeExamples, "numbers-gradients-add"),
    Fault("a head that reads padding", ReadsPadding, "numbers-padding-is-not-read"),
    Fault("other examples when there are several", OtherInBatches, "backbone-preprocessing"),
    Fault("a head that reads what it does not declare", ReadsMoreThanItSays, "features-are-declared"),
    Fault("a head that centres on the batch", CentredOnTheBatch, "numbers-neighbours"),
    Fault("scores that depend on the batch", ScoresOfTheBatch, "numbers-neighbours"),
    Fault("batch normalisation in the head", BatchNormInHead, "numbers-gradients-add"),
    Fault("a guess for a row without input", GuessesInputs, "data-bad-rows-are-named"),
    Fault("a KeyError for an unknown label", UnknownLabelIsAnError, "data-labels-from-training"),
    Fault("a head that reads padding, behind zeros", ReadsPaddingBehindZeros, "numbers-padding-is-not-read"),
    Fault("a projection that load forgets", ForgetsItsSequence, "backbone-loads-what-it-saved"),
    Fault("dropout left on in evaluation", DropoutInEvaluation, "numbers-evaluation-repeats"),
    Fault("a buffer that evaluation changes", CountsItsCalls, "numbers-evaluation-repeats"),
    Fault("randomness from the clock", NoiseOfTheClock, "numbers-seed-decides"),
    Fault("a loss of the wrong sign", WrongSign, "learning-beats-a-constant"),
    Fault("a metric whose direction is wrong", WrongDirection, "learning-beats-a-constant"),
    Fault("predictions that are no JSON", NumpyPredictions, "prediction-json"),
    Fault("a wire form of its own", OwnWireFormat, "prediction-wire-format"),
    Fault("one prediction repeated for all inputs", CannotPredictNothing, "prediction-any-number"),
    Fault("a crash on a long input", BreaksOnLongTexts, "prediction-odd-inputs"),
    Fault("something learnt that is not in the state", LosesItsThreshold, "state-saved-model"),
    Fault("a backbone that ignores its mask", MaskIgnored, "numbers-padding-has-no-gradient"),
    Fault("features relative to the batch", BatchStatistics, "numbers-neighbours"),
    Fault("features relative to the padded length", CountsPadding, "numbers-padded-further"),
    Fault("statistics that move in evaluation", MovingStatistics, "numbers-evaluation-repeats"),
    Fault("randomness from Python's random", NoiseOfPython, "numbers-seed-decides"),
    Fault("pooled features of another size", WrongWidth, "backbone-features"),
    Fault("a mask that is not bool", FloatMask, "backbone-features"),
    Fault("a cost that is the same for all", FlatCost, "backbone-cost"),
    Fault("a cost that falls with the length", ShrinkingCost, "backbone-cost"),
    Fault("preprocessing by chance", RandomPreprocessing, "backbone-preprocessing"),
    Fault("a fingerprint that lacks an option", StaleFingerprint, "backbone-fingerprint"),
    Fault("NaN under bf16", BreaksInBf16, "backbone-bf16"),
    Fault("other gradients with checkpointing", OtherGradientsWithCheckpointing, "backbone-gradient-checkpointing"),
    Fault("other numbers when compiled", CannotBeCompiled, "backbone-compile"),
    Fault("weights that load does not read", LoadsNothing, "backbone-loads-what-it-saved"),
    Fault("a counter that checkpoints do not hold", ForgetsWhereItWas, "state-resume"),
    Fault("a change of frozen weights", TrainsFrozen, "adapter-trains-what-it-says"),
    Fault("a trainable parameter that nothing uses", MarksWhatIsUnused, "adapter-trains-what-it-says"),
    Fault("base weights that are trained and not kept", SaysItKeepsTheBase, "adapter-keeps-base"),
    Fault("a start away from the pretrained model", StartsElsewhere, "adapter-starts-where-the-backbone-is"),
    Fault("matrices that load does not read", SavesNothing, "adapter-saves-all-it-added"),
    Fault("a merge that loses something", MergesHalf, "adapter-merges"),
    Fault("no merge", DoesNotMerge, "adapter-merges"),
    Fault("a pickled file", PicklesItsState, "state-nothing-pickled"),
)
