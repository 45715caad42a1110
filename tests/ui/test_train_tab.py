"""What Start does when it is quicker than the page: never train on data that was not chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import DataError
from medqlora.services import Services
from tests.waiting import wait_for_end
from ui import wording
from ui.train_tab import Handlers


def test_start_takes_what_was_chosen_elsewhere_where_the_list_is_not_there_yet(
    services: Services, qa_file: Path
) -> None:
    page, training = Handlers(services), services.training
    with pytest.raises(DataError, match="There is no dataset yet"):
        page.start(None, "", {}, wording.START)
    chosen = services.datasets.prepare(qa_file).dataset_id
    other = services.datasets.prepare(qa_file, eval_share=0.2).dataset_id
    settings = QLoRAConfig(services.configuration.models()[0].name, max_steps=1).to_dict()
    with pytest.raises(DataError, match="had just been changed"):
        page.start(other, chosen, settings, wording.START)
    for listed, shared, expected in ((None, chosen, chosen), (other, "", other)):
        page.start(listed, shared, settings, wording.START)
        run_id = training.current()
        assert run_id is not None
        assert training.spec(run_id).dataset["dataset_id"] == expected
        wait_for_end(training, run_id)
