"""Names of columns that say whose a row is, or when it was: ``patient_id``, ``speakerId``, ``DATE``."""

from __future__ import annotations

import re

_WHOSE = """
    speaker patient participant person user customer client author worker driver student pupil player actor animal donor
    respondent annotator 说话人 患者 病人 用户 客户 学生 被试 受试者
"""
_PERHAPS_WHOSE = """
    subject engine unit group session series device machine sensor recording video vehicle batch site house document doc
    article question passage paragraph dialogue conversation thread scan slide case episode experiment
    会话 设备 机组 序列 组
"""
_IDENTIFIER = "id ids no nr num number name key code uid uuid hash"
_WHEN = "date time datetime timestamp ts day month year created updated published posted 日期 时间 时间戳 年份"

WHOSE = frozenset(_WHOSE.split())
"""What groups are as a rule, where values recur."""
PERHAPS_WHOSE = frozenset(_PERHAPS_WHOSE.split())
"""What groups may be, and kinds of things as well: their values must look like identifiers."""
IDENTIFIER = frozenset(_IDENTIFIER.split())
"""What names of identifiers end with."""
WHEN = frozenset(_WHEN.split())
"""What names of points in time hold."""

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+")


def says_whose(name: str) -> bool:
    """Tell whether a column of this name may say which rows are of one person, thing or series."""
    parts = _parts(name)
    return bool(parts) and (parts[-1] in WHOSE or parts[-1] in PERHAPS_WHOSE)


def says_surely_whose(name: str) -> bool:
    """Tell whether it does so for any values that recur, and not only for identifiers."""
    parts = [part.casefold() for part in _PARTS.findall(name)]
    return bool(_parts(name)) and (_parts(name)[-1] in WHOSE or len(_parts(name)) < len(parts))


def says_when(name: str) -> bool:
    """Tell whether a column of this name may hold dates or times."""
    return any(part.casefold() in WHEN for part in _PARTS.findall(name))


def _parts(name: str) -> list[str]:
    """Return the words of a name without those that only say that it is an identifier."""
    parts = [part.casefold() for part in _PARTS.findall(name)]
    while len(parts) > 1 and parts[-1] in IDENTIFIER:
        parts.pop()
    return [part.removesuffix("编号").removesuffix("号") or part for part in parts]
