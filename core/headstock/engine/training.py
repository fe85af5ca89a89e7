"""Training within a run: the trainer with what a run gives it."""

from __future__ import annotations

from contextlib import nullcontext

from torch import nn

from headstock.distributed import Ranks
from headstock.engine.context import PreparedRun
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.loop import split_cost_limit
from headstock.engine.passes.predictions import evaluate_split
from headstock.interfaces import Batch
from headstock.interfaces.values.padding import round_lengths, rounded
from headstock.trainer.assembly import build_trainer
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock.trainer.progress.training_log import NoLog, TrainingLog
from headstock.trainer.replay.replayed_steps import can_replay
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.optimizer import ParameterGroup
from headstock.trainer.step.out_of_memory import MemoryRelief
from headstock.trainer.step.transfer import Transfer
from headstock.trainer.trainer import Surroundings, TrainResult


def train(run: PreparedRun) -> TrainResult:
    """Train the model of a run, from the newest checkpoint if it is resumed."""
    context, module = run.context, run.module
    config, ranks, console, directory = context.resolved.trainer, context.ranks, context.console, context.directory
    training, validation = run.data.splits["train"], run.data.splits["validation"]
    device = next(module.parameters()).device
    costs = rounded(training.costs) if run.round_costs else training.costs
    transfer, shapes_recur = Transfer(device), can_replay(config, device, ranks)

    def collate(indices: Indices) -> Batch:
        with round_lengths() if shapes_recur else nullcontext():
            return transfer(training.batch(indices, module.backbone, module.task))

    relief = MemoryRelief()
    limit = split_cost_limit(validation, relief)

    def validate() -> dict[str, float]:
        module.exchange_weights()
        metrics = evaluate_split(module, validation, config, console, "validate", ranks, limit).metrics
        module.exchange_weights()
        return metrics

    trainer = build_trainer(
        module,
        _groups(module, config),
        BatchPlan(costs, config.batch_size, config.batch_cost, context.resolved.seed),
        collate,
        config,
        context.resolved.seed,
        _selection_metric(run),
        Surroundings(
            validate=validate,
            checkpoints=CheckpointFolder(directory.checkpoints, directory.require_held),
            log=lambda keep: TrainingLog(directory.path, config.tensorboard, keep) if ranks.first else NoLog(),
            console=console,
            resume_hint=f"headstock run {directory.path} --resume{_on_any_number(ranks)}",
            name_example=training.where,
            ranks=ranks,
            relief=relief,
            after_step=module.after_step,
            # Where the head has no weights of its own, the pretrained model may be good already.
            validates_first=module.backbone.pretrained and not any(True for _ in module.head.parameters()),
        ),
    )
    if context.resume:
        trainer.resume()
    result = trainer.fit()
    module.exchange_weights()
    return result


def _selection_metric(run: PreparedRun) -> tuple[str, str]:
    """Return the name of the validation metric that chooses the weights, and which way is better."""
    task = run.module.task
    name = run.context.resolved.trainer.metric or task.deciding_metric
    return name, next((metric.better for metric in task.metrics if metric.name == name), "lower")


def _on_any_number(ranks: Ranks) -> str:
    return " (with torchrun as before, on any number of devices)" if ranks.size > 1 else ""


def _groups(module: TuningModule, config: TrainerConfig) -> list[ParameterGroup]:
    """Return what is trained by its learning rate: that of the backbone or of the head, times what methods say."""
    factors = module.rate_factors()
    head = {id(parameter) for parameter in module.head.parameters()} - {
        id(parameter) for parameter in module.backbone.parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own = config.head_learning_rate if id(parameter) in head else None
            rate = (own or config.learning_rate) * factors.get(name, 1.0)
            groups.setdefault(rate, []).append(parameter)
    return [ParameterGroup(parameters, rate) for rate, parameters in groups.items()]
