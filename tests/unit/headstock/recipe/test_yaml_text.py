from __future__ import annotations

import pytest
import yaml

from headstock.recipe.errors import RecipeError
from headstock.recipe.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "^here line 3: the key 'a' is there twice$"),
        ("a: {b: {c: 1, d: 2, c: 1}}\n", "^here line 1: the key 'c' is there twice$"),
        ("a: 1\n'a': 2\n", "^here line 2: the key 'a' is there twice$"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n", "^here line 4: the key '<<' is there twice$"),
        ("a: !!python/object/apply:os.system [ls]\n", "^here line 1: the tag !!python/object/apply:os.system is not"),
        ("a: !mine x\n", "the tag !mine is not accepted"),
        ("a: !!timestamp 2024-01-01\n", "the tag !!timestamp is not accepted"),
        ("a: !!int abc\n", "^here line 1: 'abc' is not of the type int$"),
        ("a: !!int 1:30\n", "'1:30' is not of the type int"),
        ("a: !!float x\n", "'x' is not of the type float"),
        ("a: !!bool maybe\n", "'maybe' is not of the type bool"),
        (f"a:\n  - {'1' * 5000}\n", "^here line 2: '1+… cannot be read: .*digits"),
        ("[" * 2000 + "]" * 2000, "^here line 1: nested deeper than 50 levels$"),
        ("a: " * 2000, "here line 1 is not YAML: mapping values are not allowed"),
        ("- " * 2000 + "1", "nested deeper than 50 levels"),
        ("a: &x [*x]\n", "^here line 1: an alias stands inside of what it stands for$"),
        ("a: &x {b: *x}\n", "an alias stands inside"),
        ("? [a, b]\n: 1\n", "^here line 1: a key must be a word"),
        ("a: 1\n---\nb: 2\n", "^here line 2 is not YAML: but found another document"),
        ("a: 'x\n", "^here line 2 is not YAML"),
        ("a: \x1b[31m\n", "^here is not YAML: .*#x001b"),
        ("x" * 300_000, "^here has more than 262,144 characters$"),
    ],
)
def test_what_is_refused_is_one_line_that_names_place_and_key(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse_yaml(text, "here")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_aliases_may_not_expand_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(RecipeError, match="line 5: more than 100,000 values"):
        parse_yaml("\n".join(lines), "here")
    chain = ["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    with pytest.raises(RecipeError, match="nested deeper than 50 levels"):
        parse_yaml("\n".join(chain), "here")


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "2024-02-30", "2024-02-28", "1:30:00", "1_000", "010", "0o17", "0b11", "=", "1e3"],
)
def test_what_only_yaml_1_1_takes_for_more_than_text_is_text(text: str) -> None:
    assert parse_yaml(f"a: {text}", "here") == {"a": text}
    assert parse_yaml(f"{text}: 1", "here") == {text: 1}


def test_plain_values_are_what_they_look_like() -> None:
    text = "a: [true, False, null, ~, 0, -12, 0x1F, 1.5, 1.0e-05, .inf, '1', !!str 1, 'no']\nb: {1: x, true: y}\nc:\n"
    content = parse_yaml(text, "here")
    assert content == {
        "a": [True, False, None, None, 0, -12, 31, 1.5, 1e-5, float("inf"), "1", "1", "no"],
        "b": {"1": "x", "true": "y"},
        "c": None,
    }
    assert parse_yaml("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", "here")["d"] == {"b": 3, "c": 2}
    assert parse_yaml("", "here") is None


def test_what_pyyaml_writes_reads_as_it_was() -> None:
    values = [
        "no",
        "on",
        "010",
        "1_000",
        "1:30:00",
        "2024-02-28",
        "1e-3",
        "1.5",
        "0x1f",
        "null",
        "~",
        "",
        "<<",
        "=",
        "a: b",
    ]
    content = {"text": values, "rest": [1, -1, 1e-5, 1e300, 0.1, float("-inf"), True, None], **dict.fromkeys(values, 1)}
    assert parse_yaml(yaml.safe_dump(content, allow_unicode=True), "here") == content
