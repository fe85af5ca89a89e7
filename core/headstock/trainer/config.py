"""The recipe's ``trainer`` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstock.interfaces.component import Config
from headstock.trainer.progress.time_limit import Seconds

MANY = 2**40
"""More steps or examples than any run has; numbers stay exact on the way."""


class TrainerConfig(Config):
    """Options of the trainer."""

    epochs: int = Field(3, ge=1, le=10_000, description="passes over the training data")
    max_steps: int | None = Field(None, ge=1, le=MANY, description="optimizer steps at most; the schedule ends there")
    time: Seconds | None = Field(
        None,
        description="how long training may take, validations included: 90s, 10m, 1h30m; the schedule ends with it, and "
        "the run cannot be repeated to the bit",
    )
    batch_size: int = Field(32, ge=1, le=1_000_000, description="examples in a batch; with a cost budget, on average")
    batch_cost: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="budget of a batch in the backbone's cost unit, padding included; by default what batch_size "
        "examples need on average",
    )
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=1_000_000, description="batches per optimizer step; the gradient is that of one large batch"
    )
    learning_rate: float = Field(1e-3, gt=0, le=100, description="peak learning rate of AdamW")
    head_learning_rate: float | None = Field(
        None, gt=0, le=100, description="peak learning rate of the head; by default the same as learning_rate"
    )
    weight_decay: float = Field(0.01, ge=0, le=100, description="decoupled weight decay (L2); none on norms and biases")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="learning rate after warm-up")
    warmup_ratio: float = Field(0.1, ge=0, le=1, description="fraction of all steps in which the learning rate rises")
    max_grad_norm: float | None = Field(1.0, gt=0, description="clip the gradient's global norm; null: do not clip")
    on_nonfinite: Literal["stop", "skip"] = Field(
        "stop",
        description="what to do when a loss or gradient is NaN or infinite: 'stop' the run, or 'skip' the step and "
        "count it; weights are never changed by it",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="'bf16' runs forward and backward under autocast; 'auto': bf16 on a GPU that has it, and on a CPU "
        "that has it for transformers",
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    compile: bool = Field(False, description="run the model through torch.compile")
    pack_weights: bool = Field(
        True,
        description="on a CPU in bf16, predict and evaluate with weights laid out once in the order its products read",
    )
    cuda_graphs: bool = Field(
        True,
        description="on a GPU, capture a step as a CUDA graph for each shape of batch that comes again, and replay it",
    )
    keep_memory: bool = Field(
        True, description="on a CPU with glibc, keep the memory that a batch frees for the next one"
    )
    fsdp: bool = Field(
        False,
        description="with torchrun, shard parameters, gradients and optimizer state over the ranks (FSDP2), for a "
        "model that does not fit on one GPU; slower where it fits",
    )
    cache_features: bool = Field(
        True, description="run a frozen backbone once over the data and keep what it makes of it on disk"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="'auto': a GPU when there is one")
    evaluate_every: int | None = Field(
        None, ge=1, le=MANY, description="optimizer steps between validations; by default at the end of each epoch"
    )
    metric: str | None = Field(
        None, description="validation metric that chooses the best checkpoint, or 'loss'; default: the task's first"
    )
    patience: int | None = Field(
        5, ge=1, le=MANY, description="validations without improvement before training stops; null: never stop early"
    )
    checkpoint_every: int = Field(200, ge=1, le=MANY, description="optimizer steps between checkpoints during an epoch")
    log_every: int = Field(20, ge=1, le=MANY, description="optimizer steps between logged losses")
    tensorboard: bool = Field(False, description="also write TensorBoard event files (needs headstock[tensorboard])")
