import math
import os
from pathlib import Path

import pytest

from headstock.digests import bytes_digest, damage, file_digest, folder_digests, json_digest, seal, unseal


def test_a_digest_follows_content_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one two")
    assert file_digest(tmp_path / "a") == bytes_digest(b"one two") == bytes_digest(b"one", b" two")
    assert json_digest({"a": 1, "b": [2]}) == json_digest({"b": [2], "a": 1}) != json_digest({"a": 1, "b": [3]})


def test_each_file_that_is_not_what_was_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"0123456789")
    digests = folder_digests(tmp_path)
    assert set(digests) == {"a", "in/b"}
    assert damage(tmp_path, digests) is None
    (tmp_path / "more").write_bytes(b"")
    assert damage(tmp_path, digests) is None
    for content in (b"", b"012345678", b"0123456788", b"0123456789\n"):
        (tmp_path / "a").write_bytes(content)
        assert damage(tmp_path, digests) == "a is not what was written"
    (tmp_path / "a").unlink()
    assert damage(tmp_path, digests) == "a: No such file or directory"
    os.mkfifo(tmp_path / "a")
    assert damage(tmp_path, digests) == "a is not a regular file"


def test_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = tmp_path / "secret"
    outside.write_bytes(b"s")
    for name in ("../secret", str(outside), "x/../../secret"):
        assert damage(tmp_path / "in", {name: file_digest(outside)}) == f"{name} is not in the folder"


def test_what_is_sealed_comes_back_or_is_refused() -> None:
    content = {"a": [1, 2.5, None, {"é": "ü"}], "b": math.inf, "c": True}
    text = seal(content).encode()
    assert unseal(text) == content
    changed = [text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :] for place in range(len(text))]
    changed += [text[:-1], text + b"\n", b"", b"[]", b'{"a": 1}', b"[" * 100_000, b"\xff"]
    for other in changed:
        with pytest.raises(ValueError):  # noqa: PT011 - of any kind
            unseal(other)
