"""What is kept small for each row is given back as it was."""

from __future__ import annotations

import numpy as np
import pytest

from headstock.preprocessing.compact import Digests


def test_digests_come_back() -> None:
    given = [bytes([number] * 15 + [0]) for number in range(5)]
    digests = Digests(given)
    assert list(digests) == given
    assert (digests[0], digests[-1], list(digests[1:3])) == (given[0], given[-1], given[1:3])
    assert digests.joined() == b"".join(given)
    assert len(np.unique(digests.array())) == 5
    with pytest.raises(IndexError):
        digests[5]
    with pytest.raises(ValueError, match="3 bytes"):
        digests.append(b"abc")
    assert list(digests.taking([3, 0])) == [given[3], given[0]]
