"""A token-classification sample: is "Lincoln" a person, a place or a firm?

Sentences made from patterns, in which every name can be a person's, a place's or an organisation's, so that only the
words around it tell which. No name of the validation or test split occurs in training, and neither do some of the
patterns: a tagger that learns names by heart, or the sentences, fails. Dates are the fourth type.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from headstock_text.samples.draws import Draws

SIZES = {"train": 800, "validation": 150, "test": 150}

NAMES = (
    "Aberdeen Ashford Austin Barton Bolton Bradford Bristol Burton Camden Carlisle Chelsea Chester Clifton Clinton "
    "Crawford Dallas Darwin Dayton Denver Derby Devon Douglas Dudley Durham Eaton Elgin Essex Florence Ford Franklin "
    "Fulton Georgia Gordon Grant Halifax Hamilton Harlow Hastings Holland Houston Hudson Hull Irving Jackson "
    "Jefferson Jordan Kent Kingston Lancaster Lewis Lincoln Logan Madison Marshall Melbourne Milton Monroe Montgomery "
    "Nelson Newton Norman Orlando Paris Perry Preston Quincy Raleigh Ramsey Ross Salem Savannah Shelby Sheldon "
    "Sheridan Sherman Stafford Stanley Stratford Sutton Sydney Trenton Tyler Vernon Victoria Walton Warren Warwick "
    "Washington Wayne Webster Wellington Wells Weston Winchester Windsor Winston York"
)

FIRST_NAMES = (
    "Alice Amir Anna Boris Carla Chen David Elena Fatima George Hana Ivan James Julia Karim Laura Lena Maria Mei "
    "Nadia Omar Paul Priya Rosa Samuel Sofia Thomas Yuki Zara Peter"
)

MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"

FORMS = {
    "PER": ("{first} {name}", "{name}", "Dr {name}", "Mrs {name}", "{first} {name}"),
    "LOC": ("{name}", "{name}", "Port {name}", "{name} County", "North {name}"),
    "ORG": ("{name}", "{name} Bank", "{name} & Sons", "{name} Airlines", "{name} University"),
    "DATE": ("{number} {month} {year}", "{day}", "{month} {year}", "last {day}", "{number} {month}"),
}

LEADS = ("", "", "", "On {DATE} ,", "According to {ORG} ,", "As {PER} recalls ,", "Meanwhile in {LOC} ,", "However ,")
TAILS = ("", "", "", "on {DATE}", "near {LOC}", "with help from {ORG}", "after a call from {PER}", "once again")

PATTERNS = (
    "{PER} moved from {LOC} to {LOC}",
    "{PER} told reporters that the road to {LOC} was closed",
    "the train from {LOC} to {LOC} was late",
    "shares of {ORG} rose by {number} per cent",
    "{ORG} hired {PER} as its new director",
    "{ORG} will open an office in {LOC}",
    "heavy rain fell over {LOC}",
    "{PER} , who was born in {LOC} , thanked the doctors",
    "profits at {ORG} fell sharply",
    "{PER} and {PER} married in {LOC}",
    "the mayor of {LOC} met {PER}",
    "{ORG} bought a rival from {ORG} for {number} million",
    "nobody in {LOC} had heard of {PER}",
    "{PER} scored {number} points for the team",
    "the board of {ORG} voted against {PER}",
    "flights to {LOC} resume in {DATE}",
    "{ORG} reported its results on {DATE}",
    "{PER} smiled and left the room",
    "farmers around {LOC} hope for a dry summer",
    "customers of {ORG} waited until {DATE}",
    "their neighbour {PER} lives in {LOC}",
    "the river that runs through {LOC} froze",
    "analysts expect {ORG} to cut {number} jobs in {LOC}",
    "{PER} wrote a letter to {ORG}",
)
UNSEEN_PATTERNS = (
    "{PER} flew to {LOC} to visit {PER}",
    "{ORG} sold its factory near {LOC}",
    "the population of {LOC} grew by {number} per cent",
    "a spokesman for {ORG} declined to comment",
    "{PER} said that nobody would leave {LOC}",
    "workers at {ORG} in {LOC} went on strike on {DATE}",
)


@functools.cache
def splits() -> dict[str, list[dict[str, Any]]]:
    """Return rows ``{"words", "tags"}`` by split, always the same ones."""
    writer = _Writer(seed=20)
    names = writer.shuffled(NAMES.split())
    first_names = writer.shuffled(FIRST_NAMES.split())
    pools = {
        "train": (names[:60], first_names[:18], PATTERNS),
        "validation": (names[60:80], first_names[18:24], PATTERNS + UNSEEN_PATTERNS[:3]),
        "test": (names[80:], first_names[24:], PATTERNS + UNSEEN_PATTERNS[3:]),
    }
    return {split: [writer.sentence(*pools[split]) for _ in range(size)] for split, size in SIZES.items()}


class _Writer(Draws):
    """Writes sentences."""

    def sentence(self, names: Sequence[str], first_names: Sequence[str], patterns: Sequence[str]) -> dict[str, Any]:
        parts = f"{self.pick(LEADS)} {self.pick(patterns)} {self.pick(TAILS)} .".split()
        words: list[str] = []
        tags: list[str] = []
        for part in parts:
            kind = part.strip("{}")
            new = self.entity(kind, names, first_names) if kind in FORMS else [part.format(number=self.number(2, 90))]
            words.extend(new)
            tags.extend([f"B-{kind}"] + [f"I-{kind}"] * (len(new) - 1) if kind in FORMS else ["O"])
        words[0] = words[0][0].upper() + words[0][1:]
        return {"words": words, "tags": tags}

    def entity(self, kind: str, names: Sequence[str], first_names: Sequence[str]) -> list[str]:
        text = self.pick(FORMS[kind]).format(
            name=self.pick(names),
            first=self.pick(first_names),
            number=self.number(1, 29),
            month=self.pick(MONTHS.split()),
            day=self.pick(DAYS.split()),
            year=self.number(1950, 2030),
        )
        return text.split()
