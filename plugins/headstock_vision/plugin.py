"""What this plugin brings; read by the catalogue, so nothing heavy is imported here."""

from headstock import API_VERSION, Entry, hookimpl

_HOME = "headstock_vision"


def _entry(kind: str, name: str, target: str, summary: str) -> Entry:
    return Entry(
        kind=kind,
        name=name,
        target=f"{_HOME}.{target}",
        summary=summary,
        modality="image",
        api_version=API_VERSION,
    )


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return this plugin's entries."""
    return [
        _entry(
            "backbone",
            "transformers-vision",
            "backbones.transformer:TransformersVision",
            "any image encoder of the transformers library, by Hub id or folder",
        ),
        _entry(
            "backbone",
            "efficientnet-lite0",
            "backbones.efficientnet_lite0:EfficientNetLite0",
            "EfficientNet-Lite0, pretrained on ImageNet; comes with the installation",
        ),
        _entry(
            "backbone",
            "torchvision",
            "backbones.torchvision_net:Torchvision",
            "any classification network of torchvision, or efficientnet_lite0",
        ),
        _entry(
            "backbone",
            "torchvision-detection",
            "backbones.torchvision_detection:TorchvisionDetection",
            "a detection network of torchvision: Faster R-CNN, FCOS, RetinaNet",
        ),
        _entry(
            "backbone",
            "transformers-detection",
            "backbones.transformers_detection:TransformersDetection",
            "a detection transformer by Hub id or folder: DETR, YOLOS, Table Transformer",
        ),
        _entry(
            "backbone",
            "smallcnn",
            "backbones.smallcnn:SmallCNN",
            "a small residual CNN trained from scratch; no download",
        ),
        _entry("task", "image-classification", "tasks.image_classification:ImageClassification", "one label per image"),
        _entry(
            "task",
            "object-detection",
            "tasks.object_detection:ObjectDetection",
            "labels and boxes of the objects in an image",
        ),
    ]
