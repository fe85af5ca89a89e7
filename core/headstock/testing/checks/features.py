"""Checks of what passes between backbone and task."""

from __future__ import annotations

import torch

from headstock.interfaces.values.batch import not_kept
from headstock.testing.check import CheckFailure, NotApplicable, check, expect
from headstock.testing.checks.compare import difference
from headstock.testing.subject import JITTER, Subject

EXAMPLES = tuple(range(4))


@check("features-are-declared", "task")
def features_are_declared(subject: Subject) -> None:
    """``reads`` names all features that the head reads.

    Features of a frozen backbone are computed once and kept on disk, without the sequence if the task does not read it.
    A stand-in takes its place then, which raises when it is touched. The check gives it to the head, in training and in
    evaluation.
    """
    reads = subject.cls.reads
    known = set(reads) <= {"sequence", "pooled"} and bool(reads)
    expect(known, "`reads` to name 'sequence', 'pooled' or both", repr(reads))
    if len(set(reads)) == 2:
        raise NotApplicable("the task reads all features")
    built = subject.build(jitter=JITTER)
    module, batch = built.module, built.batch(EXAMPLES)
    with torch.no_grad():
        features = module.encode(batch)
        left_out = {"sequence": not_kept(), "mask": not_kept()} if "pooled" in reads else {"pooled": not_kept()}
        kept = features._replace(**left_out)
        try:
            module.head.train()
            module.task.forward(module.head, kept, batch)
            module.head.eval()
            found = module.task.forward(module.head, kept, batch)
        except RuntimeError as error:
            raise CheckFailure(f"a head that reads {' and '.join(reads)} alone", str(error)) from error
        whole = module.task.forward(module.head, features, batch)
    same = difference(
        {name: value.tolist() for name, value in found.items()},
        {name: value.tolist() for name, value in whole.items()},
    )
    expect(not same, "the same outputs with all features", str(same))


CHECKS = (features_are_declared,)
