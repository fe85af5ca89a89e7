from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headstock_vision.backbones import efficientnet_lite0
from headstock_vision.backbones.efficientnet_lite0 import WEIGHTS, EfficientNetLite0
from headstock_vision.backbones.networks.network import NetworkConfig

pytestmark = pytest.mark.skipif(WEIGHTS.missing() is not None, reason=f"{WEIGHTS.requirement} is not installed")


@torch.no_grad()
def test_released_weights_and_what_is_made_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = EfficientNetLite0.create(NetworkConfig(), []).eval()
    ramp = torch.arange(224, dtype=torch.uint8).expand(3, 224, 224)
    features = backbone(backbone.collate([{"pixels": ramp}]))

    assert features.sequence.shape == (1, 49, 1280)
    torch.testing.assert_close(features.sequence.mean(dim=1), features.pooled)
    torch.testing.assert_close(
        features.pooled[0, :6], torch.tensor([0.00208, 0.0, 1.90274, 0.00296, 0.0, 0.0]), rtol=0, atol=1e-4
    )
    backbone.save(tmp_path)
    monkeypatch.setattr(efficientnet_lite0, "_read", None)
    loaded = EfficientNetLite0.load(NetworkConfig(), tmp_path).eval()
    assert loaded(loaded.collate([{"pixels": ramp}])).pooled.equal(features.pooled)
