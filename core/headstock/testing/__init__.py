"""The contract kit: what every task, backbone and adapter must do, for authors of plugins.

Put into one test file::

    from headstock.testing import parametrize_with_checks


    @parametrize_with_checks("task", "my-task")
    def test_contract(check):
        check()

``headstock check NAME`` does the same from the shell. The manner is that of scikit-learn's
``parametrize_with_checks`` and ``check_estimator``.
"""

from headstock.testing.check import Check, CheckResult
from headstock.testing.parametrize import (
    CheckCall,
    check_adapter,
    check_backbone,
    check_method,
    check_task,
    parametrize_with_checks,
)
from headstock.testing.runner import checks_for, run_checks

__all__ = [
    "Check",
    "CheckCall",
    "CheckResult",
    "check_adapter",
    "check_backbone",
    "check_method",
    "check_task",
    "checks_for",
    "parametrize_with_checks",
    "run_checks",
]
