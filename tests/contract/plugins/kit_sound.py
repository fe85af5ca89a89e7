"""A backbone, a task, an adapter and a method that keep all promises; the faults derive from them."""

from __future__ import annotations

import random

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import nn

from headstock import (
    Adapter,
    Backbone,
    BadExampleError,
    Classification,
    ClassificationConfig,
    Column,
    Config,
    Features,
    Loss,
    Method,
    pad_stack,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz "


class LettersConfig(Config):
    """Options of :class:`Letters`."""

    width: int = Field(16, ge=1, description="size of a letter's vector")
    max_length: int = Field(60, ge=8, description="letters kept of a text")
    fold: bool = Field(True, description="take upper and lower case as one")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the letters' vectors")


class Letters(Backbone):
    """A vector for each letter, mixed with its neighbours."""

    Config = LettersConfig
    modality = "letters"
    cost_unit = "letters"

    def __init__(self, config):
        super().__init__(config)
        self.feature_dim = config.width
        self.embedding = nn.Embedding(len(LETTERS) + 2, config.width)
        self.body = nn.Sequential(
            nn.Dropout(config.dropout), nn.Conv1d(config.width, config.width, 3, padding=1), nn.Tanh()
        )

    @classmethod
    def create(cls, config, inputs):
        del inputs
        return cls(config)

    @classmethod
    def load(cls, config, directory):
        backbone = cls(config)
        backbone.load_state_dict(load_file(directory / "model.safetensors"))
        return backbone

    def save(self, directory):
        save_file(
            {name: value.contiguous() for name, value in self.state_dict().items()}, directory / "model.safetensors"
        )

    @classmethod
    def trainer_defaults(cls, config, facts):
        del config
        return {"learning_rate": 0.02, "epochs": 8, "batch_size": 16}

    def preprocess(self, inputs):
        text = inputs["text"][: self.config.max_length]
        text = text.lower() if self.config.fold else text
        return {"ids": torch.tensor([LETTERS.find(letter) + 2 for letter in text], dtype=torch.uint8)}

    def collate(self, examples):
        ids = [example["ids"] for example in examples]
        return {
            "ids": pad_stack(ids, 0, sequence=True).long(),
            "mask": pad_stack([torch.ones_like(each, dtype=torch.bool) for each in ids], 0, sequence=True),
        }

    def cost(self, example):
        return len(example["ids"])

    def embed(self, inputs):
        return self.embedding(inputs["ids"])

    def encode(self, embedded, inputs):
        mask = inputs["mask"].unsqueeze(-1)
        sequence = self.body((embedded * mask).transpose(1, 2)).transpose(1, 2)
        pooled = (sequence * mask).sum(dim=1) / mask.sum(dim=1)
        return Features(sequence, inputs["mask"], pooled)


class VowelsConfig(ClassificationConfig):
    """Options of :class:`Vowels`."""

    strict: bool = Field(False, description="count only texts of letters and blanks")


class Vowels(Classification):
    """Whether a text is mostly vowels or mostly consonants."""

    Config = VowelsConfig
    modality = "letters"
    pipeline_tag = "text-classification"
    default_backbone = "letters"
    reads = ("sequence",)
    columns = (
        Column(name="text", role="input", summary="letters"),
        Column(name="label", role="target", summary="vowels or consonants", stratify=True),
    )

    def sample(self):
        draw = random.Random(0)
        rows = []
        for number in range(240):
            label = ("vowels", "consonants")[number % 2]
            letters = "aeiou" * 4 + "bcd" if label == "vowels" else "bcdfghklmnprst" + "ae"
            text = "".join(draw.choice(letters) for _ in range(draw.randint(4, 24)))
            rows.append(
                {"text": f"{text}{number:03d}".translate(str.maketrans("0123456789", "qwxyzjvpkf")), "label": label}
            )
        return {"train": rows[:160], "validation": rows[160:200], "test": rows[200:]}

    def inputs(self, row):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise BadExampleError("no text")
        if self.config.strict and not text.replace(" ", "").isalpha():
            raise BadExampleError(f"'{text}' has more than letters")
        return {"text": text}

    def reference(self, row):
        if not isinstance(row.get("label"), str):
            raise BadExampleError("no label")
        return super().reference(row)

    def forward(self, head, features, batch):
        del batch
        mask = features.mask.unsqueeze(-1)
        return {"logits": head((features.sequence * mask).sum(dim=1) / mask.sum(dim=1))}


class Cells(Vowels):
    """The same of the letters in all columns beside the label; a cell may be missing, but in the first of them."""

    columns = (Column(name="label", role="target", summary="vowels or consonants", stratify=True),)

    def columns_for(self, available):
        names = [name for name in available if name != "label"]
        cells = (Column(name=name, role="input", summary="letters", required=name == names[0]) for name in names)
        return (*cells, *self.columns)

    def group(self, row):
        return str(row.get("begin"))

    def sample(self):
        return {split: [_halves(**row) for row in rows] for split, rows in super().sample().items()}

    def inputs(self, row):
        cells = [row.get(column.name) for column in self.data_columns if column.role == "input"]
        if not isinstance(cells[0], str) or not cells[0].strip():
            raise BadExampleError("the first cell is empty")
        if not all(isinstance(cell, str) for cell in cells if cell is not None):
            raise BadExampleError("a cell is no text")
        return {"text": " ".join(filter(None, cells))}


def _halves(text, label):
    cells = {"begin": text[:9], "label": label}
    return {**cells, "end": text[9:]} if text[9:] else cells


class Scaled(nn.Module):
    """A network whose outputs are scaled, channel by channel."""

    def __init__(self, base, width):
        super().__init__()
        self.base = base
        self.scale = nn.Parameter(torch.ones(width, 1))

    def forward(self, inputs):
        return self.base(inputs) * self.scale


class ScaleConfig(Config):
    """Options of :class:`Scale`."""

    rate: float = Field(0.01, gt=0, description="learning rate")


class Scale(Adapter):
    """Trains one factor for each channel of the frozen body."""

    Config = ScaleConfig
    keeps_base = True

    @classmethod
    def trainer_defaults(cls, config, facts):
        return {"learning_rate": config.rate}

    def attach(self, backbone):
        backbone.requires_grad_(False)
        backbone.body = Scaled(backbone.body, backbone.feature_dim)

    def save(self, backbone, directory):
        save_file({"scale": backbone.body.scale.detach().contiguous()}, directory / "scale.safetensors")

    def load(self, backbone, directory):
        self.attach(backbone)
        with torch.no_grad():
            backbone.body.scale.copy_(load_file(directory / "scale.safetensors")["scale"])
        backbone.requires_grad_(False)

    def merge(self, backbone):
        scaled = backbone.body
        backbone.body = scaled.base
        backbone.body.append(Factor(scaled.scale.detach()))


class Factor(nn.Module):
    """A fixed factor for each channel."""

    def __init__(self, factor):
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, inputs):
        return inputs * self.factor


class NudgeConfig(Config):
    """Options of :class:`Nudge`."""

    radius: float = Field(0.1, gt=0, description="length of the move")


class Nudge(Method):
    """Adds the loss where each example has moved up its gradient, and validates the mean of old and new weights."""

    Config = NudgeConfig
    runs_encoder = True

    def begin(self, model, inputs):
        for index, weights in enumerate(model.parameters().values()):
            self.memory.register_buffer(f"mean_{index}", weights.detach().clone())
        self.memory.register_buffer("steps", torch.zeros(()))

    def loss(self, model, batch):
        embedded = model.embed(batch)
        clean = model.loss(batch, embedded)
        (gradient,) = torch.autograd.grad(clean.total, embedded, retain_graph=True)
        moved = model.loss(batch, embedded + self.config.radius * self.direction(gradient))
        return Loss((clean.total + moved.total) / 2, clean.count)

    def direction(self, gradient):
        return torch.nn.functional.normalize(gradient.flatten(1)).view_as(gradient)

    def after_step(self, model, step, steps):
        self.memory.steps += 1
        for mean, weights in self.pairs(model):
            mean.lerp_(weights, 0.5)

    def exchange(self, model):
        for mean, weights in self.pairs(model):
            kept = mean.clone()
            mean.copy_(weights)
            weights.copy_(kept)

    def pairs(self, model):
        return [(getattr(self.memory, f"mean_{n}"), each) for n, each in enumerate(model.parameters().values())]
