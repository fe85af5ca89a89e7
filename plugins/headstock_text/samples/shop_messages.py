"""A Chinese text-classification sample: what does a customer of a shop want?

Messages made from patterns. Most also speak of things that are settled ("the parcel came quickly, but …"), in the words
that elsewhere stand for a wish, so that the label lies in what is asked and not in a word that is there. Some goods and
some ways to ask come in the validation and test splits alone.
"""

from __future__ import annotations

import functools

from headstock_text.samples.draws import Draws

SIZES = {"train": 900, "validation": 150, "test": 150}

GOODS = (
    "外套 衬衫 毛衣 裙子 牛仔裤 羽绒服 运动鞋 靴子 帽子 围巾 书包 钱包 行李箱 台灯 "
    "电饭锅 水壶 耳机 键盘 鼠标 充电器 手机壳 手表 雨伞 枕头 被子 床单 窗帘 地毯 "
    "茶杯 饭盒 菜刀 平底锅 牙刷 毛巾 洗发水 面霜 口红 墨镜 自行车 帐篷 篮球 跳绳 "
    "吉他 画笔 笔记本 台历 拼图 积木 奶粉 猫粮"
)
"""Goods; the last of them, after shuffling, are for validation and test."""

WISHES = {
    "物流": (
        "{g}怎么还没到",
        "请问{g}什么时候能送到",
        "{g}的快递停在中转站{n}天了，帮我催一下",
        "下单{n}天了还没发货",
        "能不能查一下{g}到哪儿了",
        "可以改一下收货地址吗",
        "麻烦让快递员{t}再送",
        "物流信息{n}天没有更新了",
    ),
    "退换": (
        "{g}我想退掉",
        "{g}能换一个颜色吗",
        "这个{g}可以退货吗",
        "帮我把{g}换成大一号的",
        "{g}不合适，怎么申请退款",
        "收到的{g}是坏的，要求换新的",
        "退款{n}天了还没到账",
        "{g}买多了，想退一件",
    ),
    "发票": (
        "{g}的发票还没收到",
        "请给我开一张发票",
        "发票抬头写错了，能重开吗",
        "{g}可以开公司的发票吗",
        "电子发票在哪里下载",
        "税号填错了怎么改",
        "能把{g}和上一单开在一张发票上吗",
        "麻烦把发票发到我的邮箱",
    ),
    "咨询": (
        "{g}有几种颜色",
        "请问{g}是什么材料的",
        "{g}下个月还会打折吗",
        "这款{g}适合老人用吗",
        "{g}保修多久",
        "{g}有大一号的吗",
        "买两件{g}能便宜一点吗",
        "{g}和去年那款有什么区别",
    ),
}
"""Ways to ask, by label; of each, the last two are for validation and test."""

SETTLED = (
    "快递昨天就到了",
    "物流挺快的",
    "{g}已经发货了",
    "地址已经改好了",
    "上次的退款收到了",
    "之前那件{g}已经换好了",
    "退货的事处理完了",
    "发票昨天收到了",
    "发票抬头没问题",
    "电子发票下载好了",
    "{g}的颜色很好看",
    "{g}的材料不错",
    "保修卡也在",
    "打折的时候买的{g}",
    "上次买的{g}很满意",
    "尺码是合适的",
)
LINKS = ("，不过", "，可是", "，就是想问", "，另外", "，", "。", "，但", "。还有，")
OPENINGS = ("", "", "", "你好，", "在吗？", "客服，", "亲，", "打扰一下，")
ENDINGS = ("", "", "。", "，谢谢", "？谢谢！", "，急", "～")
TIMES = ("明天", "周末", "下午", "晚上七点以后", "下周一")


@functools.cache
def splits() -> dict[str, list[dict[str, str]]]:
    """Return rows ``{"text", "label"}`` by split, always the same ones; no text is in two splits."""
    writer = _Writer(seed=21)
    goods = writer.shuffled(GOODS.split())
    pools = {"train": (goods[:34], 0, 6), "validation": (goods[34:42], 2, 8), "test": (goods[42:], 2, 8)}
    seen: set[str] = set()
    rows: dict[str, list[dict[str, str]]] = {}
    for split, (known, first, last) in pools.items():
        rows[split] = []
        while len(rows[split]) < SIZES[split]:
            label = writer.pick(list(WISHES))
            text = writer.message(WISHES[label][first:last], known)
            if text not in seen:
                seen.add(text)
                rows[split].append({"text": text, "label": label})
    return rows


class _Writer(Draws):
    """Writes messages."""

    def message(self, ways: tuple[str, ...], goods: list[str]) -> str:
        """Return a wish, in two of three messages after something that is settled."""
        parts = [self.pick(OPENINGS)]
        if self.number(0, 3):
            parts += [self.filled(self.pick(SETTLED), goods), self.pick(LINKS)]
        return "".join([*parts, self.filled(self.pick(ways), goods), self.pick(ENDINGS)])

    def filled(self, pattern: str, goods: list[str]) -> str:
        """Return a pattern with goods, a number and a time in it."""
        return pattern.format(g=self.pick(goods), n=self.number(2, 9), t=self.pick(TIMES))
