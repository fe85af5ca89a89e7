"""Entry module of the adapters plugin."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the adapters."""
    adapters = (
        ("full", "full:Full", "trains every parameter of the backbone"),
        ("linear-probe", "linear_probe:LinearProbe", "leaves the backbone as it is; only the task's head is trained"),
        ("bitfit", "bitfit:BitFit", "trains the bias terms of the backbone only (Ben Zaken et al. 2022)"),
        ("lora", "lora:Lora", "adds trained low-rank matrices to frozen layers (Hu et al. 2022), through peft"),
        (
            "bottleneck",
            "bottleneck.adapter:BottleneckAdapter",
            "puts trained layers of two small matrices into the blocks of a transformer (Houlsby et al. 2019)",
        ),
        ("peft", "peft.adapter:Peft", "tunes by a method of the peft library that adapter.method names"),
    )
    return [
        Entry(
            kind="adapter",
            name=name,
            target=f"headstock_adapters.{target}",
            summary=summary,
            api_version=API_VERSION,
        )
        for name, target, summary in adapters
    ]
