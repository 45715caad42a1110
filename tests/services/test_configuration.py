"""What is suggested, for this machine and for a card that is not here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from medqlora.runs.process import PROJECT_ROOT
from medqlora.services import Services

NAME = "unsloth/medgemma-4b-it"


def test_a_card_that_is_not_here_gets_the_settings_that_suit_it(services: Services) -> None:
    service = services.configuration
    small = service.defaults(NAME, card="T4").config
    large = service.complete({"model_name": NAME, "rank": 32}, card="H100")
    assert small.compute_dtype == "float32"
    assert small.gradient_checkpointing
    assert large.compute_dtype != "float32"
    assert large.rank == 32, "what was asked for stays"


def test_the_forecast_is_of_what_would_be_suggested(tmp_path: Path) -> None:
    command = ["forecast", "--model", NAME, "--gpu", "T4", "--json", "--workspace", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "medqlora", *command],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["verdict"] == "fits"
    assert told["config"]["gradient_checkpointing"]
    assert told["total_gib"] < told["available_gib"]
