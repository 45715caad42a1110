"""A weight or a gradient that is no number, in a real worker: the run ends there, and can go on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from medqlora.domain.events import RunFailed, RunStarted, StepLogged
from medqlora.runs.origins import checkpoints_of
from medqlora.services import Services
from tests.faults.faulty_worker import Inject
from tests.faults.runs import CONFIG, assert_one_end_each, events_of, weights
from tests.waiting import wait_for_end


@pytest.mark.parametrize(
    ("fault", "loss_is_a_number"),
    [({"kind": "poison"}, False), ({"kind": "poison_gradient"}, True)],
)
def test_a_run_that_diverged_keeps_the_checkpoint_before_and_goes_on_from_it_exactly(
    services: Services, qa_file: Path, inject: Inject, fault: dict[str, str], loss_is_a_number: bool
) -> None:
    training = services.training
    card = services.datasets.prepare(qa_file)
    inject(**fault, step=5)
    run_id = training.start(CONFIG, card.dataset_id)
    snapshot = wait_for_end(training, run_id)
    assert isinstance(snapshot.outcome, RunFailed)
    assert snapshot.outcome.code == "non_finite_loss"
    assert snapshot.outcome.hint
    directory = training.directory(run_id)
    assert not directory.adapter.exists()
    newest = checkpoints_of(directory).find_newest_valid()
    assert newest is not None
    assert newest.step == 3
    steps = events_of(services, run_id, StepLogged)
    assert steps[-1].step <= 5, "it ended within that step"
    assert all(one.loss for one in steps), "0 is what the library shows in its place"
    if steps[-1].step == 5:
        assert math.isfinite(steps[-1].loss) == loss_is_a_number

    inject()
    training.resume(run_id)
    assert wait_for_end(training, run_id).state == "succeeded"
    assert events_of(services, run_id, RunStarted)[-1].resumed_from_step == 3
    reference = training.start(CONFIG, card.dataset_id)
    assert wait_for_end(training, reference).state == "succeeded"
    assert weights(services, run_id) == weights(services, reference)
    assert_one_end_each(services, run_id)
