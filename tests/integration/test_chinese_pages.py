"""The Chinese README and pages have what the English ones have: the same blocks, word for word, and links that lead on.

The tests of the English pages run these blocks, and so those of the Chinese ones.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "README.zh-CN.md",
    "docs/index.md": "docs/zh/index.md",
    "docs/author.md": "docs/zh/author.md",
}
BLOCK = re.compile(r"(?:<!-- [^\n]* -->\n)?^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_are_those_of_the_english_page(page: str) -> None:
    english, chinese = BLOCK.findall(text(page)), BLOCK.findall(text(PAGES[page]))
    assert len(english) >= 4
    for number, (one, other) in enumerate(zip(english, chinese, strict=False)):
        assert other == one, f"block {number} of {PAGES[page]} is another than in {page}"
    assert len(english) == len(chinese)


def test_the_readmes_have_the_same_sections() -> None:
    def levels(page: str) -> list[str]:
        return re.findall(r"^#+(?= )", BLOCK.sub("", text(page)), re.MULTILINE)

    assert levels("README.zh-CN.md") == levels("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_each_page_leads_to_the_other_at_its_top_and_all_links_lead_somewhere(page: str) -> None:
    for here, there in ((page, PAGES[page]), (PAGES[page], page)):
        links = LINK.findall(BLOCK.sub("", text(here)))
        places = [((ROOT / here).parent / link).resolve() for link in links]
        assert (ROOT / there).resolve() in places[:1]
        made = {"checks.md", "recipes.md", "components.md", "cli.md"}  # by docs/hooks.py
        assert [place for place in places if not place.exists() and place.name not in made] == []


@pytest.mark.parametrize("page", PAGES.values())
def test_the_prose_is_chinese(page: str) -> None:
    prose = re.sub(r"`[^`\n]*`|\([^)\n]*\)|!?\[[^\]\n]*\]", "", BLOCK.sub("", text(page)))
    assert len(re.findall("[\u4e00-\u9fff]", prose)) > len(re.findall("[A-Za-z]", prose))


def test_what_readme_and_pages_name_inline_exists() -> None:
    from headstock.recipe.read import resolve_recipe
    from headstock_registry import load_catalogue

    catalogue = load_catalogue()
    for option in ("task.sample=zh", "backbone.unit=jieba", "task.opencc=t2s", "task.half_width=true"):
        assert any(option in text(page) for page in PAGES.values())
        resolve_recipe(catalogue, "text-classification", ["backbone=textcnn", option])
