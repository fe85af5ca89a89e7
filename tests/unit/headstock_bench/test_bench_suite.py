from pathlib import Path

import pytest
import yaml

from headstock_bench.suite import Case, Suite, SuiteError, load_suite, read_suite, shipped_suites


def write(folder: Path, **content: object) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "summary": "for a test", **content}), "utf-8")
    return path


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_reads_and_is_called_like_its_file(name: str) -> None:
    assert load_suite(name).name == name


def test_a_case_stands_above_the_defaults(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        defaults={"task": "text-classification", "trainer": {"epochs": 2, "batch_size": 8}, "data": {"limit": 5}},
        cases={"long": {"trainer": {"epochs": 9}}, "plain": {}},
    )
    recipes = read_suite(path).recipes()
    assert recipes["long"] == {
        "task": {"name": "text-classification"},
        "data": {"limit": 5},
        "trainer": {"epochs": 9, "batch_size": 8},
    }
    assert recipes["plain"]["trainer"] == {"epochs": 2, "batch_size": 8}


def test_default_options_count_for_the_same_component_only() -> None:
    defaults = Case(task="t", backbone={"name": "one", "size": 1, "depth": 2})
    assert Case(backbone={"depth": 3}).over(defaults)["backbone"] == {"name": "one", "size": 1, "depth": 3}
    assert Case(backbone={"name": "one", "depth": 3}).over(defaults)["backbone"] == {
        "name": "one",
        "size": 1,
        "depth": 3,
    }
    assert Case(backbone="two").over(defaults)["backbone"] == {"name": "two"}


@pytest.fixture
def rooted() -> Suite:
    return Suite(
        name="rooted",
        summary="for a test",
        root="$BENCH_TEST_ROOT/data",
        cases={
            "a": Case(task="t", data={"path": "{root}/a.csv", "columns": {"text": "{root}"}, "list": ["{root}/x", 3]})
        },
    )


def test_root_is_filled_in_wherever_it_stands(rooted: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("BENCH_TEST_ROOT", str(tmp_path))
    root = f"{tmp_path}/data"
    expected = {"path": f"{root}/a.csv", "columns": {"text": root}, "list": [f"{root}/x", 3]}
    assert rooted.recipes()["a"]["data"] == expected


def test_given_root_takes_the_place_of_the_suites(rooted: Suite, tmp_path: Path) -> None:
    assert rooted.recipes(f"{tmp_path}/")["a"]["data"]["path"] == f"{tmp_path}/a.csv"


def test_missing_root_says_what_to_set(rooted: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_TEST_ROOT", raising=False)
    with pytest.raises(SuiteError, match=r"'\$BENCH_TEST_ROOT/data' is not one \(is the environment.*--root DIR"):
        rooted.recipes()
    with pytest.raises(SuiteError, match="'nowhere' is not one; say where it is with --root DIR"):
        rooted.recipes("nowhere")
    with pytest.raises(SuiteError, match="needs a folder of data; say where it is with --root DIR"):
        rooted.model_copy(update={"root": None}).recipes()


def test_root_for_a_suite_without_one_is_an_error(tmp_path: Path) -> None:
    suite = Suite(name="plain", summary="for a test", cases={"a": Case(task="t")})
    with pytest.raises(SuiteError, match="leave out --root"):
        suite.recipes(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"cases": {"a": {"task": "t", "trainr": {}}}}, "unknown option 'cases.a.trainr'; did you mean trainer?"),
        ({"cases": {"a": {"task": "t", "seed": 3}}}, "'cases.a.seed' has no place here"),
        ({"cases": {"a": "t"}}, "'cases.a' is a mapping with the sections of a recipe, not 't'"),
        ({"cases": {}}, "'cases': dictionary should have at least 1 item"),
        ({}, "'cases' is required"),
        ({"cases": {"a/b": {"task": "t"}}}, "string should match pattern"),
        ({"cases": {"a": {"task": "t"}}, "seeds": [0, 0]}, "each one may be given once"),
        ({"cases": {"a": {"task": "t"}}, "sedes": [0]}, "unknown option 'sedes'; did you mean seeds"),
        ({"cases": {"a": {"task": "t"}}, "defaults": {"datum": {}}}, "unknown option 'defaults.datum'"),
    ],
)
def test_what_does_not_belong_is_one_line(tmp_path: Path, content: dict[str, object], message: str) -> None:
    path = write(tmp_path, **content)
    with pytest.raises(SuiteError) as error:
        read_suite(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="No such file"):
        load_suite(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("cases: [", "utf-8")
    with pytest.raises(SuiteError, match="is not YAML"):
        read_suite(broken)
    broken.write_text("- a\n", "utf-8")
    with pytest.raises(SuiteError, match="a suite is a mapping"):
        read_suite(broken)


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(SuiteError, match=r"there is no suite 'quik'; did you mean quick\?"):
        load_suite("quik")
