import pytest

from headstock import HeadstockError
from headstock.trainer.state.best_so_far import BestSoFar


def after(best: BestSoFar, *validations: tuple[float, float]) -> BestSoFar:
    for step, (value, loss) in enumerate(validations, start=1):
        best = best.after({best.metric: value, "loss": loss}, step)
    return best


def test_higher_or_lower_is_better_as_told() -> None:
    values = [(0.5, 1.0), (0.7, 1.0), (0.6, 1.0)]
    assert after(BestSoFar(metric="f1", better="higher"), *values).step == 2
    assert after(BestSoFar(metric="wer", better="lower"), *values).step == 1


def test_stale_counts_validations_since_the_best() -> None:
    assert after(BestSoFar(metric="f1", better="higher"), (0.5, 1), (0.4, 1), (0.5, 1), (0.3, 1)).stale == 3


def test_of_a_tie_the_lower_loss_is_better() -> None:
    best = after(BestSoFar(metric="wer", better="lower"), (1.0, 5.0), (1.0, 4.0), (1.0, 4.5))
    assert (best.step, best.stale, best.value) == (2, 1, 1.0)


def test_a_metric_that_is_missing_or_not_a_number_is_an_error() -> None:
    with pytest.raises(HeadstockError, match="no metric 'f1'; it gave: loss"):
        BestSoFar(metric="f1", better="higher").after({"loss": 1.0}, 3)
    with pytest.raises(HeadstockError, match="'f1' is not a number at step 3"):
        BestSoFar(metric="f1", better="higher").after({"f1": float("nan")}, 3)
