"""A Chinese token-classification sample, a character a word: is 中山 a person, a place or a firm?

As :mod:`headstock_text.samples.towns_and_people`: every name can be a person's given name, a place's or an
organisation's, and only what stands around it tells which. No name of the validation or test split occurs in training,
and neither do some of the patterns.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from headstock_text.samples.draws import Draws

SIZES = {"train": 800, "validation": 150, "test": 150}

NAMES = (
    "中山 尚志 靖宇 志丹 左权 子长 子洲 黄骅 永安 安康 建德 怀远 广德 兴国 宁远 文昌 文登 武功 德清 仁和 "
    "华亭 明光 长春 长乐 长宁 永春 永康 永嘉 永年 永清 永寿 泰安 泰和 泰来 泰兴 昌平 昌乐 昌吉 景德 景泰 "
    "嘉兴 嘉善 嘉祥 福安 福清 福州 安福 安国 安平 安庆 安远 平安 平和 平山 平远 和平 和顺 新民 新华 新兴 "
    "新安 新建 建国 建平 建华 建安 建宁 宁安 宁国 宁海 宁波 海宁 海安 海兴 海林 林海 凤山 凤翔 凤阳 凤庆 "
    "玉林 玉山 玉溪 玉环 青山 青云 青田 江华 江山 江宁 东明 东平 东海 东升 南平 南安 南华 西华 西宁"
)
"""Names of places that could be given names; a few of the places are named after somebody."""

SURNAMES = "王 李 张 刘 陈 杨 赵 周 吴 徐 孙 马 朱 胡 郭 何 高 罗 郑 梁 谢 宋 唐 许 邓 冯 韩 曹 曾 彭"

FORMS = {
    "PER": ("{surname}{name}", "{surname}{name}", "{surname}{name}", "{name}"),
    "LOC": ("{name}", "{name}", "{name}县", "{name}市", "{name}路"),
    "ORG": ("{name}", "{name}银行", "{name}集团", "{name}大学", "{name}医院"),
    "DATE": ("{month}月{day}日", "{year}年{month}月", "上周{weekday}", "星期{weekday}", "{year}年"),
}

LEADS = ("", "", "", "{DATE}，", "据{ORG}消息，", "记者从{LOC}了解到，", "{PER}回忆说，", "不过，")
TAILS = ("", "", "", "，时间是{DATE}", "，地点在{LOC}附近", "，{ORG}提供了帮助", "，{PER}也在场", "，大家都很高兴")

PATTERNS = (
    "{PER}从{LOC}搬到了{LOC}",
    "{PER}告诉大家，去{LOC}的路封了",
    "从{LOC}开往{LOC}的火车晚点了",
    "{ORG}的股价上涨了{number}%",
    "{ORG}聘请{PER}担任经理",
    "{ORG}将在{LOC}开设分店",
    "{LOC}昨晚下了大雨",
    "出生在{LOC}的{PER}向医生道谢",
    "{ORG}去年的利润大幅下降",
    "{PER}和{PER}在{LOC}结婚",
    "{LOC}的市长会见了{PER}",
    "{ORG}以{number}亿元收购了{ORG}",
    "{LOC}没有人听说过{PER}",
    "{PER}为球队拿下{number}分",
    "{ORG}的董事会投票反对{PER}",
    "飞往{LOC}的航班{DATE}恢复",
    "{ORG}{DATE}公布了业绩",
    "{PER}笑了笑，走出了房间",
    "{LOC}的农民盼着晴天",
    "{ORG}的顾客一直等到{DATE}",
    "邻居{PER}住在{LOC}",
    "流经{LOC}的河结冰了",
    "分析师预计{ORG}将在{LOC}裁员{number}人",
    "{PER}给{ORG}写了一封信",
)
UNSEEN_PATTERNS = (
    "{PER}飞到{LOC}去看{PER}",
    "{ORG}卖掉了{LOC}的工厂",
    "{LOC}的人口增长了{number}%",
    "{ORG}的发言人拒绝评论",
    "{PER}说谁也不会离开{LOC}",
    "{ORG}在{LOC}的工人{DATE}罢工",
)
_SLOT = re.compile(r"\{([A-Z]+)\}")


@functools.cache
def splits() -> dict[str, list[dict[str, Any]]]:
    """Return rows ``{"words", "tags"}`` by split, each word a character, always the same ones."""
    writer = _Writer(seed=22)
    names, surnames = writer.shuffled(NAMES.split()), writer.shuffled(SURNAMES.split())
    pools = {
        "train": (names[:60], surnames[:18], PATTERNS),
        "validation": (names[60:80], surnames[18:24], PATTERNS + UNSEEN_PATTERNS[:3]),
        "test": (names[80:], surnames[24:], PATTERNS + UNSEEN_PATTERNS[3:]),
    }
    return {split: [writer.sentence(*pools[split]) for _ in range(size)] for split, size in SIZES.items()}


class _Writer(Draws):
    """Writes sentences."""

    def sentence(self, names: Sequence[str], surnames: Sequence[str], patterns: Sequence[str]) -> dict[str, Any]:
        """Return a sentence from a pattern, with its tags."""
        pattern = f"{self.pick(LEADS)}{self.pick(patterns)}{self.pick(TAILS)}。"
        words: list[str] = []
        tags: list[str] = []
        # re.split gives what stands between slots and, at every other place, the name of a slot.
        for place, part in enumerate(_SLOT.split(pattern.replace("{number}", str(self.number(2, 90))))):
            text = self.entity(part, names, surnames) if place % 2 else part
            words.extend(text)
            tags.extend([f"B-{part}"] + [f"I-{part}"] * (len(text) - 1) if place % 2 else ["O"] * len(text))
        return {"words": words, "tags": tags}

    def entity(self, kind: str, names: Sequence[str], surnames: Sequence[str]) -> str:
        """Return a person, place, organisation or date."""
        return self.pick(FORMS[kind]).format(
            name=self.pick(names),
            surname=self.pick(surnames),
            year=self.number(1950, 2030),
            month=self.number(1, 13),
            day=self.number(1, 29),
            weekday=self.pick("一二三四五六"),
        )
