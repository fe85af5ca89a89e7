"""The ``data`` section of a recipe."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from headstock.interfaces import Config, DataError

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

OF_THE_SOURCE = frozenset(("path", *SPLITS, "hub", "name", "revision", "splits"))
"""Options that say where data is."""
OF_THE_CUT = frozenset(("validation_fraction", "test_fraction", "split_seed", "limit", "cut", "order", "gap", "group"))
"""Options that say which rows a run takes for what."""


class DataConfig(Config):
    """Where the data is and how it is cut. With neither ``path``, ``train`` … nor ``hub``: the task's own sample."""

    path: str | None = Field(
        None,
        min_length=1,
        description="one file or folder, cut into splits; or a folder that has train, validation (or valid, val, dev) "
        "and test inside, as files or as folders. A split that is not there is cut from train",
    )
    train: str | None = Field(None, min_length=1, description="file or folder of the training split")
    validation: str | None = Field(
        None, min_length=1, description="file or folder of the validation split; default: cut from train"
    )
    test: str | None = Field(
        None, min_length=1, description="file or folder of the test split; default: cut from train"
    )
    hub: str | None = Field(
        None, min_length=1, description="id of a data set on the Hugging Face Hub, e.g. stanfordnlp/imdb"
    )
    name: str | None = Field(
        None, min_length=1, description="configuration of the Hub data set, e.g. sst2 of nyu-mll/glue"
    )
    revision: str | None = Field(
        None, min_length=1, description="branch, tag or commit of the Hub data set; default: its main branch"
    )
    splits: dict[SplitName, str] = Field(
        {},
        description="Hub split to take for train, validation or test where the name does not say so; slices may be "
        "given: {test: validation, train: 'train[:10%]'}",
    )
    format: str = Field(
        "auto",
        description="format of files: auto (by their ending), csv, tsv, jsonl, parquet, folder (one for each class), "
        "or one of the task's own",
    )
    header: bool = Field(
        True,
        description="whether the first row of a CSV or TSV file names its columns; if not, they are called column_1, "
        "column_2 … and data.columns says which is which: {label: column_1, text: column_2}",
    )
    columns: dict[str, str] = Field(
        {}, description="column of the data to read for a column of the task, where names differ: {text: review}"
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="fraction of rows for a validation split that is cut"
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="fraction of rows for a test split that is cut")
    split_seed: int = Field(0, ge=0, lt=2**63, description="seed of cutting and of 'limit'; does not follow the run's")
    cut: Literal["random", "ordered"] | None = Field(
        None,
        description="how splits are cut: random, evenly over labels; or ordered, for data that goes on in time: the "
        "first rows to train on, then those of validation, the last for the test; default: what the task says, mostly "
        "random",
    )
    order: str | None = Field(
        None,
        min_length=1,
        description="column of the data by whose values (numbers, ISO dates) rows are put in order before an ordered "
        "cut; default: as they stand in the file",
    )
    gap: int = Field(
        0,
        ge=0,
        le=2**40,
        description="rows left out before validation and before test in an ordered cut, where neighbours overlap",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="column of the data whose equal values stay in one split when splits are cut, such as the patient, "
        "the speaker or the series of a row; it need not be a column of the task",
    )
    on_bad_example: Literal["error", "skip"] = Field(
        "error", description="what to do with a row that cannot be used; skipped rows are counted and reported"
    )
    limit: int | None = Field(
        None,
        ge=1,
        le=2**40,
        description="maximum number of rows of each split, picked evenly over classes; in an ordered cut the last ones "
        "of train and the first ones of the others",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        files = [split for split in SPLITS if getattr(self, split) is not None]
        given = [name for name in ("path", "hub") if getattr(self, name) is not None] + files[:1]
        if len(given) > 1:
            named = " and ".join(f"data.{name}" for name in given)
            raise ValueError(f"{named} exclude each other: set data.path, or data.train …, or data.hub")
        for option in ("name", "revision", "splits"):
            if getattr(self, option) and self.hub is None:
                raise ValueError(f"data.{option} is about a Hub data set; set data.hub too")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("data.validation_fraction and data.test_fraction must leave something to train on")
        if self.gap and self.group is not None:
            raise ValueError("data.gap is for rows that follow each other; with data.group leave it out")
        return self

    def ordered(self, default: str) -> bool:
        """Tell whether splits are cut in order.

        Args:
            default: The task's own way, where the user says nothing.

        Raises:
            DataError: options of an ordered cut are given, and splits are cut at random.
        """
        if (self.cut or default) == "ordered":
            return True
        for option in ("order", "gap"):
            if getattr(self, option):
                raise DataError(f"data.{option} is about an ordered cut; set data.cut=ordered too")
        return False

    def for_other_data(self, hub: str | None = None) -> dict[str, Any]:
        """Return the options that hold for other data of the same form: how it is read, not where it is, not its cut.

        Args:
            hub: The other data's id on the Hub; where it is the same, its configuration, revision and splits hold too.
        """
        left_out = set(OF_THE_SOURCE | OF_THE_CUT)
        if hub is not None and hub == self.hub:
            left_out -= {"name", "revision", "splits"}
        return self.model_dump(exclude=left_out)
