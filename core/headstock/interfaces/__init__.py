"""What a plugin author implements: backbone, adapter, task, and the values that pass between them and the engine."""

from headstock.interfaces.adapter import Adapter
from headstock.interfaces.backbone import Backbone
from headstock.interfaces.component import Component, Config, TrainingFacts
from headstock.interfaces.errors import BadExampleError, BadPartsError, DataError, NoTargetError, UntrainableError
from headstock.interfaces.files import FileValue, is_file_value, open_file, read_bytes
from headstock.interfaces.method import Method, TrainingModel
from headstock.interfaces.notes import note, noting
from headstock.interfaces.remote_code import trusts_remote_code
from headstock.interfaces.task import Row, Splits, Task
from headstock.interfaces.values.batch import Batch, Example, Features, Loss, StepOutput
from headstock.interfaces.values.details import ConfusionMatrix, Details
from headstock.interfaces.values.padding import pad_stack
from headstock.interfaces.values.provenance import Provenance
from headstock.interfaces.values.request import Request
from headstock.interfaces.values.schema import Column, Metric

__all__ = [
    "Adapter",
    "Backbone",
    "BadExampleError",
    "BadPartsError",
    "Batch",
    "Column",
    "Component",
    "Config",
    "ConfusionMatrix",
    "DataError",
    "Details",
    "Example",
    "Features",
    "FileValue",
    "Loss",
    "Method",
    "Metric",
    "NoTargetError",
    "Provenance",
    "Request",
    "Row",
    "Splits",
    "StepOutput",
    "Task",
    "TrainingFacts",
    "TrainingModel",
    "UntrainableError",
    "is_file_value",
    "note",
    "noting",
    "open_file",
    "pad_stack",
    "read_bytes",
    "trusts_remote_code",
]
