from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from headstock import HeadstockError
from headstock.interfaces import BadExampleError, Batch, DataError
from headstock.interfaces.notes import noting
from headstock_text.backbones.bilstm import BiLstm
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig
from headstock_text.iob2 import to_iob2
from headstock_text.tasks.token_classification import (
    ONE_WORD,
    SINGLE_CHARACTERS,
    TokenClassification,
    TokenClassificationConfig,
)


def row(text: str) -> dict[str, list[str]]:
    pairs = [pair.rsplit("/", 1) for pair in text.split()]
    return {"words": [word for word, _ in pairs], "tags": [tag for _, tag in pairs]}


ROWS = [
    row("Ana/B-PER Ruiz/I-PER lives/O in/O New/B-LOC York/I-LOC ./O"),
    row("Bo/B-PER Chen/I-PER left/O Rome/B-LOC"),
    row("rain/O fell/O"),
    row("Paris/B-LOC and/O New/B-LOC York/I-LOC"),
]
CHINESE = [row("王/B-PER 明/I-PER 在/O 北/B-LOC 京/I-LOC"), row("李/B-PER 华/I-PER 去/O 上/B-LOC 海/I-LOC 了/O")]


def make(**options: Any) -> TokenClassification:
    return TokenClassification(TokenClassificationConfig(**options))


def learnt(rows: list[dict[str, list[str]]] = ROWS, **options: Any) -> TokenClassification:
    task = make(**options)
    task.learn([task.reference(each) for each in rows])
    return task


def lstm(task: TokenClassification, rows: list[dict[str, list[str]]] = ROWS, **options: Any) -> BiLstm:
    torch.manual_seed(0)
    config = BiLstm.Config(**{"embedding_dim": 16, "hidden_size": 16, "min_count": 1, **options})
    return BiLstm.create(config, [task.inputs(each) for each in rows])


# Rows


def test_inputs_are_words() -> None:
    assert make().inputs({"words": ("a", "b")}) == {"words": ["a", "b"]}
    assert make().inputs({"words": "Don't go to 北京, Bo."}) == {
        "words": ["Don't", "go", "to", "北", "京", ",", "Bo", "."]
    }


def test_texts_are_split_as_the_training_data_is() -> None:
    task = learnt(CHINESE)
    text = {"words": "李华 用iPhone"}
    assert task.inputs(text)["words"] == ["李", "华", "用", "iPhone"]
    with noting() as noted:
        task.learn_inputs([task.inputs(each) for each in CHINESE])
    assert noted == {SINGLE_CHARACTERS: 11}
    again = make()
    again.restore(task.state())
    for each in (task, again):
        assert each.inputs(text)["words"] == [*"李华用iPhone"]
        prediction = {"tags": ["O"] * 3 + ["B-PER"] + ["I-PER"] * 5, "scores": [1.0] * 9}
        assert [found["word"] for found in each.to_pipeline(prediction, text)] == ["iPhone"]
        listed = {"words": [*"李华在北京"]}
        (found,) = each.to_pipeline({"tags": ["O", "O", "O", "B-LOC", "I-LOC"], "scores": [1.0] * 5}, listed)
        assert (found["word"], found["start"], found["end"]) == ("北京", 3, 5)
        # with tags, a text is split as it was in training
        assert each.inputs({"words": "李华 用iPhone", "tags": "B-PER I-PER O O"})["words"][-1] == "iPhone"
    task.learn_inputs([task.inputs(each) for each in ROWS])
    assert task.inputs(text)["words"][-1] == "iPhone"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, "no words in column 'words'"),
        ([], "the list of words is empty"),
        ("  ", "the text in column 'words' is empty"),
        (7, "column 'words' holds int, not a list of words or a text"),
        (["a", 7], "word 2 is int 7, not text"),
        (["a", None], "word 2 is NoneType None, not text"),
    ],
)
def test_bad_words(words: Any, message: str) -> None:
    with pytest.raises(BadExampleError) as caught:
        make().inputs({"words": words})

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (None, "no tags"),
        (7, "column 'tags' holds int, not a list of tags"),
        ("[0, 3]", "tag 0 is a number without a name; write names, such as B-PER or O"),
        ("O O B-X", "2 words but 3 tags; each word needs one tag"),
        ("[O, B-PER]", "tag '[O,' is neither O nor a type with a prefix, such as B-PER and I-PER"),
        ([0, 3], "tag 0 is a number without a name; write names, such as B-PER or O"),
        (["O", None], "column 'tags' holds NoneType None, where a tag should be"),
        (["O"], "2 words but 1 tags; each word needs one tag"),
        (["O", "O", "O"], "2 words but 3 tags; each word needs one tag"),
        (["O", "PER"], "tag 'PER' is neither O nor a type with a prefix, such as B-PER and I-PER"),
    ],
)
def test_bad_tags(tags: Any, message: str) -> None:
    with pytest.raises(BadExampleError) as caught:
        make().reference({"words": ["a", "b"], "tags": tags})

    assert str(caught.value) == message


@pytest.mark.parametrize("words", ['["Jo", "it\'s"]', "['Jo', \"it's\"]", "['Jo' \"it's\"]", "Jo it's", " Jo  it's "])
@pytest.mark.parametrize("tags", ['["B-PER", "O"]', "['B-PER', 'O']", "['B-PER' 'O']", "['B-PER'\n 'O']", "B-PER O"])
def test_lists_in_a_cell_of_text(words: str, tags: str) -> None:
    row = {"words": words, "tags": tags}
    assert make().inputs(row)["words"] == ["Jo", "it's"]
    assert make().reference(row) == ["B-PER", "O"]


@pytest.mark.parametrize("mark", [",", ", ", "|", " ; "])
def test_cells_with_marks_between_words_and_tags(mark: str) -> None:
    row = {"words": mark.join(["New York", "Times", "it's"]), "tags": mark.join(["B-ORG", "I-ORG", "O"])}
    assert make().inputs(row)["words"] == ["New York", "Times", "it's"]
    assert make().reference(row) == ["B-ORG", "I-ORG", "O"]


def test_cells_with_marks_may_have_any_scheme_of_tags() -> None:
    row = {"words": "the,New,York,Times", "tags": "O,B-ORG,M-ORG,E-ORG"}
    assert make().reference(row) == ["O", "B-ORG", "I-ORG", "I-ORG"]


def test_marks_between_tags_that_the_words_have_not_are_refused() -> None:
    with pytest.raises(BadExampleError, match="4 words but 2 tags"):
        make().reference({"words": "it is so good", "tags": "B-X,O"})


def test_one_word_a_row_is_counted() -> None:
    with noting() as notes:
        make().reference({"words": "Rome", "tags": "B-LOC"})
        make().reference({"words": ["Rome"], "tags": ["B-LOC"]})
    assert dict(notes) == {ONE_WORD: 1}


def test_a_text_is_cut_at_blanks_where_its_tags_say_so() -> None:
    row = {"words": "U.S. wins 3-1", "tags": "B-LOC O O"}
    assert make().inputs(row)["words"] == ["U.S.", "wins", "3-1"]
    assert make().inputs({"words": "[1] wins", "tags": "O O O O"})["words"] == ["[", "1", "]", "wins"]
    assert make().inputs({"words": "[12]"})["words"] == ["[", "12", "]"]


def test_other_schemes_become_iob2() -> None:
    assert make().reference({"words": ["a", "b", "c"], "tags": ["I-X", "I-X", "S-X"]}) == ["B-X", "I-X", "B-X"]
    assert make().reference({"words": "我 ok", "tags": ("B-X", "O")}) == ["B-X", "O"]


# Labels


def test_labels_are_o_and_two_for_each_type() -> None:
    task = learnt()

    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert task.state() == {"labels": labels, "weights": None, "characters": False}


def test_state_comes_back() -> None:
    task, other = learnt([row("Ana/B-PER sat/O"), row("rain/O")], class_weights="balanced"), make()
    other.restore(task.state())

    assert other.state() == task.state()
    # Two O, one B-PER; I-PER never occurs.
    assert other.weights == [3 / 4, 3 / 2, 1.0]


def test_weights_of_tags_and_of_types() -> None:
    task = learnt([row("Ana/B-PER sat/O")], class_weights={"O": 0.5, "PER": 2, "I-PER": 3})
    assert task.weights == [0.5, 2.0, 3.0]
    with pytest.raises(DataError, match=r"task\.class_weights has a weight for 'B-LOC'.*I-PER"):
        learnt([row("Ana/B-PER sat/O")], class_weights={"B-LOC": 2})


def test_training_without_an_entity_is_an_error() -> None:
    with pytest.raises(DataError, match="no entity: every tag is O"):
        learnt([row("rain/O fell/O")])


def test_a_type_that_training_had_not_is_named() -> None:
    task = learnt()
    example = lstm(task).preprocess({"words": ["IBM"]})

    with pytest.raises(DataError, match="'B-ORG' is not in the training data"):
        task.encode(["B-ORG"], example)


def test_a_backbone_without_words_is_refused() -> None:
    with pytest.raises(HeadstockError, match="gives no word_starts"):
        learnt().encode(["O"], {"ids": torch.tensor([1])})


# Model


@pytest.mark.parametrize("backbone_class", [BiLstm, TextCnn])
@pytest.mark.parametrize("rows", [ROWS, CHINESE], ids=["english", "chinese"])
def test_learns_a_handful_of_sentences(steps: Any, backbone_class: Any, rows: list[dict[str, list[str]]]) -> None:
    torch.manual_seed(0)
    task = learnt(rows)
    references = [task.reference(each) for each in rows]
    config = backbone_class.Config(embedding_dim=16, min_count=1)
    backbone = backbone_class.create(config, [task.inputs(each) for each in rows])
    head = task.build_head(backbone)
    losses = steps.train(task, backbone, head, steps.prepare(task, backbone, rows), 60, 1e-2)
    predictions = steps.predict(task, backbone, head, rows)

    assert losses[-1] < 0.1 * losses[0]
    assert set(task.score(predictions, references).values()) == {1.0}
    assert [prediction["tags"] for prediction in predictions] == references
    assert all(0 <= score <= 1 for prediction in predictions for score in prediction["scores"])


def test_learns_on_a_transformer(steps: Any, tiny_encoder: Callable[[str], str]) -> None:
    torch.manual_seed(0)
    rows = [row("the/O cat/B-X sat/O on/O the/O mat/B-X"), row("a/O dog/B-X ran/O"), row("ran/O \u200b/O dog/B-X")]
    task = learnt(rows)
    backbone = TransformerText.create(TransformerTextConfig(model=tiny_encoder("bert")), [])
    head = task.build_head(backbone)
    losses = steps.train(task, backbone, head, steps.prepare(task, backbone, rows), 60, 5e-3)

    assert losses[-1] < 0.2 * losses[0]
    assert [each["tags"] for each in steps.predict(task, backbone, head, rows)] == [each["tags"] for each in rows]


@pytest.mark.parametrize(
    "options", [{}, {"class_weights": "balanced"}, {"class_weights": "balanced", "label_smoothing": 0.1}]
)
def test_loss_of_a_batch_is_the_sum_over_its_examples(steps: Any, options: dict[str, Any]) -> None:
    task = learnt(**options)
    backbone = lstm(task).eval()
    head = task.build_head(backbone).eval()

    def loss(rows: list[dict[str, list[str]]]) -> tuple[float, float]:
        batch = steps.prepare(task, backbone, rows)
        found = task.loss(task.forward(head, backbone(batch.inputs), batch), batch)
        return found.total.item(), found.count.item()

    totals, counts = zip(*(loss([each]) for each in ROWS), strict=True)

    assert loss(ROWS) == (pytest.approx(sum(totals), rel=1e-5), pytest.approx(sum(counts), rel=1e-5))
    if not options:
        assert counts == (7, 4, 2, 4)


def test_logits_come_from_the_start_of_each_word() -> None:
    task = learnt(CHINESE)
    backbone = lstm(task, CHINESE, unit="char").eval()
    batch = Batch(backbone.collate([backbone.preprocess({"words": ["北京", "在"]})]), {}, 1)
    features = backbone(batch.inputs)
    logits = task.forward(torch.nn.Identity(), features, batch)["logits"]

    assert torch.equal(logits[0], features.sequence[0, [0, 2]])


# Predictions


def test_predictions_never_carry_on_what_did_not_start(steps: Any) -> None:
    task = learnt()
    backbone = lstm(task)
    torch.manual_seed(3)
    head = torch.nn.Linear(backbone.feature_dim, 5)
    torch.nn.init.normal_(head.weight, std=20)
    predictions = steps.predict(task, backbone, head, ROWS)

    for prediction, each in zip(predictions, ROWS, strict=True):
        assert len(prediction["tags"]) == len(prediction["scores"]) == len(each["words"])
        assert to_iob2(prediction["tags"]) == prediction["tags"]
    alone = [steps.predict(task, backbone, head, [each])[0] for each in ROWS]
    assert [each["tags"] for each in alone] == [each["tags"] for each in predictions]


def test_words_beyond_the_limit_count_as_o(steps: Any) -> None:
    task = learnt()
    backbone = lstm(task, max_length=8)
    long = row("Ana/B-PER " + "sat/O " * 9 + "Rome/B-LOC")
    batch = steps.prepare(task, backbone, [long])
    prediction = steps.predict(task, backbone, task.build_head(backbone), [long])[0]
    only_ana = {"tags": ["B-PER"] + ["O"] * 7, "scores": [1.0] * 8}

    assert batch.targets["tags"].shape == (1, 8)
    assert len(prediction["tags"]) == 8
    assert task.score([only_ana], [long["tags"]]) == pytest.approx(
        {
            "f1": 2 / 3,
            "precision": 1.0,
            "recall": 0.5,
            "macro_f1": 0.5,
            "macro_precision": 0.5,
            "macro_recall": 0.5,
            "accuracy": 10 / 11,
        }
    )
    assert [entity["word"] for entity in task.to_pipeline(only_ana, long)] == ["Ana"]


def test_scores_and_details_count_entities() -> None:
    task = learnt()
    references = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]]
    predictions = [
        {"tags": ["B-PER", "O", "O", "B-LOC"], "scores": [1.0] * 4},
        {"tags": ["B-LOC", "B-PER"], "scores": [1.0] * 2},
    ]

    assert task.score(predictions, references) == pytest.approx(
        {
            "f1": 4 / 7,
            "precision": 1 / 2,
            "recall": 2 / 3,
            "macro_f1": 1 / 2,
            "macro_precision": 1 / 2,
            "macro_recall": 1 / 2,
            "accuracy": 4 / 6,
        }
    )
    assert task.details(predictions, references).per_class == {
        "LOC": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2.0},
        "PER": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1.0},
    }
    assert [metric.name for metric in task.metrics] == list(task.score(predictions, references))


@pytest.mark.parametrize("references", [[["O", "O"]], [["B-LOC", "O"]]])
def test_figures_without_any_entity_are_zero_without_a_warning(references: list[list[str]]) -> None:
    predictions = [{"tags": ["O", "O"], "scores": [1.0, 1.0]}]
    found = learnt().score(predictions, references)

    assert {value for name, value in found.items() if name != "accuracy"} == {0.0}
    assert set(learnt().details(predictions, references).per_class) == {tag[2:] for tag in references[0]} - {""}


def test_to_pipeline_gives_positions_in_the_text() -> None:
    text = "Don't ask Ana Ruiz,  she left 北京."
    task = learnt()
    words = task.inputs({"words": text})["words"]
    tags = ["O"] * len(words)
    tags[2:4] = ["B-PER", "I-PER"]
    tags[-3:-1] = ["B-LOC", "I-LOC"]
    scores = [round(0.9 - i / 100, 2) for i in range(len(words))]
    found = task.to_pipeline({"tags": tags, "scores": scores}, {"words": text})

    assert found == [
        {"entity_group": "PER", "score": pytest.approx(0.875), "word": "Ana Ruiz", "start": 10, "end": 18},
        {"entity_group": "LOC", "score": pytest.approx(0.825), "word": "北京", "start": 30, "end": 32},
    ]
    assert all(text[each["start"] : each["end"]] == each["word"] for each in found)


def test_wire_takes_a_list_as_joined_by_spaces() -> None:
    words = ["in", "New", "York", "", "Rome"]
    tags = ["O", "B-LOC", "I-LOC", "O", "B-LOC"]
    found = learnt().to_pipeline({"tags": tags, "scores": [1.0] * 5}, {"words": words})

    assert [(each["word"], each["start"], each["end"]) for each in found] == [("New York", 3, 11), ("Rome", 13, 17)]
    assert learnt().to_pipeline({"tags": ["O"], "scores": [1.0]}, {"words": ["in"]}) == []
