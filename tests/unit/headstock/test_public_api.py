import subprocess
import sys

import headstock

PUBLIC = {
    "API_VERSION",
    "Adapter",
    "Backbone",
    "BadExampleError",
    "Batch",
    "Classification",
    "ClassificationConfig",
    "Column",
    "Component",
    "Config",
    "ConfusionMatrix",
    "DataError",
    "Details",
    "Entry",
    "Example",
    "Features",
    "HeadstockError",
    "LabelSet",
    "Loss",
    "Metric",
    "Recipe",
    "RunResult",
    "Splits",
    "Task",
    "TunedModel",
    "file_digest",
    "hookimpl",
    "json_digest",
    "load",
    "pad_stack",
    "read_bytes",
    "run",
    "trusts_remote_code",
}


def test_public_is_what_all_lists() -> None:
    assert set(headstock.__all__) == PUBLIC
    assert dir(headstock) == headstock.__all__


def test_every_public_name_is_there() -> None:
    for name in headstock.__all__:
        assert getattr(headstock, name) is not None


def test_what_a_plugin_module_imports_is_light() -> None:
    code = "import sys; from headstock import API_VERSION, Entry, hookimpl; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_torch_torchvision_and_torchaudio_work_together() -> None:
    import torch
    import torchaudio
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0]
    assert torchaudio.transforms.MelSpectrogram(16000, n_mels=8)(torch.zeros(400)).shape[0] == 8
