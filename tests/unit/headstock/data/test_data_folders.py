from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import DataConfig, load_splits, load_table
from headstock.data.folders.layout import pick_alias
from headstock.data.folders.split_names import split_in, split_of
from headstock.interfaces import Column, DataError

Columns = tuple[Column, ...]


def touch(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_for_each_class(pictures: Columns) -> None:
    touch("pets/dogs/b.png", "pets/dogs/a.JPG", "pets/cats/c.png")
    table = load_table(Path("pets"), DataConfig(), pictures)
    assert list(table) == [
        {"picture": "pets/cats/c.png", "label": "cats"},
        {"picture": "pets/dogs/a.JPG", "label": "dogs"},
        {"picture": "pets/dogs/b.png", "label": "dogs"},
    ]
    assert table.where(1) == "pets/dogs/a.JPG"
    assert list(load_table(Path("pets"), DataConfig(format="folder"), pictures)) == list(table)


def test_hidden_and_other_files_do_not_count(pictures: Columns) -> None:
    touch("pets/cats/c.png", "pets/cats/.c.png", "pets/cats/.git/d.png", "pets/cats/notes.txt", "pets/.x/e.png")
    touch("pets/dogs/d.png", "pets/readme.md")
    assert list(load_table(Path("pets"), DataConfig(), pictures).values("label")) == ["cats", "dogs"]


def test_all_files_count_without_declared_endings(pictures: Columns) -> None:
    columns = (pictures[0].model_copy(update={"suffixes": ()}), pictures[1])
    touch("pets/cats/c.gif", "pets/dogs/d", "pets/readme.md")
    assert len(load_table(Path("pets"), DataConfig(), columns)) == 2


def test_links_are_followed_and_loops_end(pictures: Columns) -> None:
    touch("pets/cats/c.png", "pets/dogs/d.png", "elsewhere/more/e.png")
    Path("pets/dogs/more").symlink_to(Path("elsewhere").resolve(), target_is_directory=True)
    Path("pets/dogs/again").symlink_to(Path("pets").resolve(), target_is_directory=True)
    Path("elsewhere/back").symlink_to(Path("elsewhere").resolve(), target_is_directory=True)
    Path("pets/birds").symlink_to(Path("elsewhere").resolve(), target_is_directory=True)
    table = load_table(Path("pets"), DataConfig(), pictures[:1], need_targets=False)
    assert sorted(Path(row["picture"]).name for row in table) == ["c.png", "d.png", "e.png"]
    with pytest.raises(DataError, match=r"^pets/birds has folders inside \(more\), and .* name pets/birds itself"):
        load_table(Path("pets"), DataConfig(), pictures)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["pets/a.png"], r"^pets has no folder for each class inside"),
        (["pets/all/cats/a.png", "pets/all/dogs/b.png"], r"^pets/all has folders inside \(cats, dogs\).*name pets/all"),
        (
            ["p/Dataset/0/a.png", "p/Dataset/1/b.png", "p/Examples/c.png"],
            r"^p/Dataset has folders inside \(0, 1\), and",
        ),
        (["pets/cats/a.png", "pets/b.png"], r"^pets/b\.png lies in no class folder"),
        (["pets/cats/a.png", "pets/dogs/b.txt"], r"^pets/dogs holds no file that ends in \.png, \.jpg"),
        (["pets/train/a.png", "pets/test/a.png"], r"^pets/test has no folder for each class inside"),
        (["pets/train/cats/a.png", "pets/val/cats/b.png"], r"splits inside; give one of them: pets/train, pets/val"),
    ],
)
def test_folders_that_are_not_as_they_should_be(files: list[str], message: str, pictures: Columns) -> None:
    touch(*files)
    with pytest.raises(DataError, match=message):
        load_table(Path(files[0].partition("/")[0]), DataConfig(), pictures)


def test_tasks_without_one_file_and_one_class_do_not_read_them(texts: Columns, sounds: Columns) -> None:
    touch("pets/cats/a.png")
    for columns in (texts, sounds):
        with pytest.raises(
            DataError, match=r"^pets has no train, validation or test file \(\.csv.*for each class is not"
        ):
            load_table(Path("pets"), DataConfig(), columns)
    with pytest.raises(
        DataError, match=r"^pets has no train, validation or test file \(\.csv, \.txt\) inside; it holds: cats$"
    ):
        load_table(Path("pets"), DataConfig(format="csv"), texts)


def test_files_of_no_class_will_do_for_prediction(pictures: Columns, sounds: Columns) -> None:
    touch("new/b.png", "new/more/a.png", "new/notes.txt")
    assert list(load_table(Path("new"), DataConfig(), pictures, need_targets=False)) == [
        {"picture": "new/b.png"},
        {"picture": "new/more/a.png"},
    ]
    touch("pets/cats/c.png", "pets/dogs/d.png")
    assert load_table(Path("pets"), DataConfig(), pictures, need_targets=False)[0]["label"] == "cats"
    touch("none/notes.txt")
    with pytest.raises(DataError, match=r"none holds no file that ends in"):
        load_table(Path("none"), DataConfig(), pictures, need_targets=False)


def test_a_metadata_file_describes_its_folder(sounds: Columns) -> None:
    for split in ("train", "test"):
        touch(f"speech/{split}/1.wav")
        Path(f"speech/{split}/metadata.csv").write_text("file_name,text\n1.wav,one\n2.wav,two\n")
    tables = load_splits(DataConfig(path="speech"), sounds, dict)
    assert tables["test"][1] == {"sound": "speech/test/2.wav", "text": "two"}
    assert tables["test"].where(1) == "speech/test/metadata.csv row 2"
    assert {name: len(table) for name, table in tables.items()} == {"train": 1, "validation": 1, "test": 2}


def test_two_metadata_files_are_refused(sounds: Columns) -> None:
    touch("speech/metadata.csv", "speech/metadata.jsonl")
    with pytest.raises(DataError, match=r"^speech has metadata\.csv and metadata\.jsonl; keep one of them$"):
        load_table(Path("speech"), DataConfig(), sounds)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "Valid"])
def test_splits_as_folders(name: str, pictures: Columns) -> None:
    for split in ("train", name, "test"):
        touch(*(f"pets/{split}/{label}/{split}.png" for label in ("cats", "dogs")))
    tables = load_splits(DataConfig(path="pets"), pictures, dict)
    assert tables["validation"].where(1) == f"pets/{name}/dogs/{name}.png"
    assert {split: len(table) for split, table in tables.items()} == {"train": 2, "validation": 2, "test": 2}


def test_a_class_may_be_called_like_a_split(pictures: Columns) -> None:
    touch(*(f"things/{label}/{number}.png" for label in ("train", "bus", "test") for number in range(4)))
    tables = load_splits(DataConfig(path="things"), pictures, dict)
    assert set(tables["train"].values("label")) == {"train", "bus", "test"}


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_splits_as_files(name: str, ending: str, texts: Columns) -> None:
    for split in ("train", name, "test"):
        touch(f"reviews/{split}.{ending}")
        delimiter = "," if ending == "csv" else "\t"
        Path(f"reviews/{split}.{ending}").write_text(f"text{delimiter}label\n{split}{delimiter}x\n")
    tables = load_splits(DataConfig(path="reviews"), texts, dict)
    assert [table[0]["text"] for table in tables.values()] == ["train", name, "test"]
    assert tables["validation"].where(0) == f"reviews/{name}.{ending} row 1"


def test_a_file_goes_before_a_folder_of_its_name(sounds: Columns) -> None:
    touch("speech/train/audio/1.wav")
    for split in ("train", "validation", "test"):
        Path(f"speech/{split}.csv").write_text("file_name,text\ntrain/audio/1.wav,one\n")
    assert load_splits(DataConfig(path="speech"), sounds, dict)["train"][0]["sound"] == "speech/train/audio/1.wav"


def test_a_split_that_is_there_twice_is_refused(texts: Columns) -> None:
    touch("reviews/train.csv", "reviews/dev.csv", "reviews/valid.jsonl")
    with pytest.raises(DataError, match=r"reviews has dev\.csv and valid\.jsonl; say which with data\.train"):
        load_splits(DataConfig(path="reviews"), texts, dict)


def test_a_format_limits_which_files_are_splits(texts: Columns) -> None:
    for split in ("train", "dev", "test"):
        touch(f"ner/{split}.jsonl")
        Path(f"ner/{split}.txt").write_text("text,label\na,b\n")
    tables = load_splits(DataConfig(path="ner", format="csv"), texts, dict)
    assert tables["validation"].where(0) == "ner/dev.txt row 1"


def test_a_format_that_there_is_not(texts: Columns) -> None:
    Path("a.txt").write_text("a")
    with pytest.raises(DataError, match=r"^data\.format=cvs: this task reads no such format; did you mean csv\?"):
        load_splits(DataConfig(path="a.txt", format="cvs"), texts, dict)


def test_a_folder_without_training_data_says_what_it_has(texts: Columns) -> None:
    touch("reviews/test.csv", "reviews/valid.csv")
    with pytest.raises(DataError, match=r"^reviews has no train data inside; it has: valid\.csv, test\.csv$"):
        load_splits(DataConfig(path="reviews"), texts, dict)


def test_one_folder_inside_is_one_class_and_said(pictures: Columns) -> None:
    touch("pets/images/a.png", "pets/images/b.png")
    table = load_table(Path("pets"), DataConfig(), pictures)
    assert table.notes == ("pets: there is one folder inside, images, so all files are of one class",)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Training-Images", "testing"),
        ("train_images", "test1"),
        ("TrainData", "Test Set"),
        ("train2017", "test2017"),
    ],
)
def test_usual_names_of_split_folders(train: str, test: str, pictures: Columns) -> None:
    touch(*(f"pets/{split}/{label}/{number}.png" for split in (train, test) for label in "ab" for number in range(9)))
    tables = load_splits(DataConfig(path="pets"), pictures, dict)
    assert set(tables["train"].values("label")) == {"a", "b"}
    assert all(f"/{train}/" in row["picture"] for row in tables["train"])
    assert len(tables["test"]) == 18


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("data_train.csv", "data_val.csv", "data_test.csv"),
        ("reviews-training.csv", "reviews-eval.csv", "reviews-testing.csv"),
        ("train_v2.csv", "dev_v2.csv", "test_v2.csv"),
        ("TRAIN.CSV", "Evaluation.csv", "test_set.csv"),
        ("imdb.train.csv", "imdb.valid.csv", "imdb.test.csv"),
    ],
)
def test_usual_names_of_split_files(train: str, validation: str, test: str, texts: Columns) -> None:
    for name in (train, validation, test):
        touch(f"reviews/{name}")
        Path(f"reviews/{name}").write_text(f"text,label\n{name},x\n")
    tables = load_splits(DataConfig(path="reviews"), texts, dict)
    assert [table[0]["text"] for table in tables.values()] == [train, validation, test]


def test_names_that_only_hold_a_splits_word_are_no_splits() -> None:
    for name in ("testimony", "devices", "trainers", "evaluator", "invalid", "contest", "train_test"):
        assert split_of(name) is None
    assert split_in("train_test") is split_in("my_testimony") is None


def test_shards_of_a_split_are_read_together(texts: Columns) -> None:
    touch("set/test.csv")
    for name in ("validation", "test"):
        Path(f"set/{name}.csv").write_text("text,label\nt,x\n")
    for number in (0, 1, 2):
        Path(f"set/train-0000{number}-of-00003.csv").write_text(f"text,label\na{number},x\nb{number},y\n")
    train = load_splits(DataConfig(path="set"), texts, dict)["train"]
    assert list(train.values("text")) == [row["text"] for row in train] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert train.where(3) == "set/train-00001-of-00003.csv row 2"
    picked = train.select([5, 0, 1, 2])
    assert list(picked.values("text")) == [row["text"] for row in picked] == ["b2", "a0", "b0", "a1"]
    Path("set/train-00001-of-00003.csv").unlink()
    with pytest.raises(DataError, match=r"^set: of train\.csv, 3 shards, number 1 is missing$"):
        load_splits(DataConfig(path="set"), texts, dict)


def test_a_folders_only_table_is_taken_and_said(texts: Columns) -> None:
    touch("reviews/readme.md", "reviews/.hidden.csv")
    Path("reviews/amazon.csv").write_text("text,label\na,x\n")
    table = load_table(Path("reviews"), DataConfig(), texts)
    assert table[0] == {"text": "a", "label": "x"}
    assert table.notes == ("reviews: took amazon.csv, its only table",)
    Path("reviews/yelp.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"^reviews has the tables amazon\.csv, yelp\.jsonl; name one of them, or"):
        load_table(Path("reviews"), DataConfig(), texts)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reviews.csv.gz", r"^reviews\.csv\.gz is compressed; unpack it first$"),
        ("reviews.xlsx", r"^reviews\.xlsx is a spreadsheet; save its sheet as CSV$"),
        ("more/*.csv", r"^more/\*\.csv does not exist; patterns are not expanded: name one file or folder$"),
    ],
)
def test_files_that_are_not_read_say_what_to_do(name: str, message: str, texts: Columns) -> None:
    if "*" not in name:
        touch(name)
    with pytest.raises(DataError, match=message):
        load_table(Path(name), DataConfig(), texts)


def test_a_name_that_is_just_the_splits_word_goes_before_others(texts: Columns, pictures: Columns) -> None:
    for name in ("train", "train_labels", "test", "test1"):
        touch(f"reviews/{name}.csv")
        Path(f"reviews/{name}.csv").write_text(f"text,label\n{name},x\nb,y\n")
        touch(*(f"pets/{name}/{label}/{name}.png" for label in "ab"))
    tables = load_splits(DataConfig(path="reviews"), texts, dict)
    assert tables["test"][0]["text"] == "test"
    assert load_splits(DataConfig(path="pets"), pictures, dict)["test"][0]["picture"] == "pets/test/a/test.png"
    assert pick_alias("test", ["test", "test2"], "set", "") == "test"
    Path("reviews/train.csv").rename("reviews/training_set.csv")
    with pytest.raises(DataError, match=r"reviews has train_labels\.csv and training_set\.csv; say which"):
        load_splits(DataConfig(path="reviews"), texts, dict)
