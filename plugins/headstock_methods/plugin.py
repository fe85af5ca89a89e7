"""Entry module of the methods plugin."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the training methods."""
    methods = (
        ("fgm", "perturbed.inputs:Fgm", "one adversarial step on the continuous input (Miyato et al. 2017)"),
        ("pgd", "perturbed.inputs:Pgd", "several adversarial steps within a radius (Madry et al. 2018)"),
        ("freelb", "perturbed.inputs:FreeLb", "the loss on the way of an adversarial ascent too (Zhu et al. 2020)"),
        ("vat", "perturbed.virtual:Vat", "outputs that stay where the input moves the worst way (Miyato et al. 2018)"),
        ("neftune", "perturbed.noise:Neftune", "uniform noise on the continuous input (Jain et al. 2024)"),
        ("awp", "perturbed.weights:Awp", "the loss at adversarially moved weights too (Wu et al. 2020)"),
        (
            "sam",
            "perturbed.weights:Sam",
            "sharpness-aware: gradients where the loss is worst (Foret et al. 2021)",
        ),
        ("r-drop", "r_drop:RDrop", "outputs that agree under two dropout masks (Wu et al. 2021)"),
        ("mixup", "mixup:Mixup", "pairs of examples mixed, their losses too (Zhang et al. 2018)"),
        ("distillation", "distillation:Distillation", "outputs like those of a finished run (Hinton et al. 2015)"),
        ("ema", "averaged.ema:Ema", "an exponential average of the weights is validated and kept"),
        ("swa", "averaged.swa:Swa", "the mean of the last weights is validated and kept (Izmailov et al. 2018)"),
        ("layer-decay", "layer_decay:LayerDecay", "smaller learning rates for lower layers (Howard & Ruder 2018)"),
    )
    return [
        Entry(
            kind="method",
            name=name,
            target=f"headstock_methods.{target}",
            summary=summary,
            api_version=API_VERSION,
        )
        for name, target, summary in methods
    ]
