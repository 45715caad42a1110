"""The command `benchmark`: which multiple-choice questions, how many, and what they show first."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medqlora.domain.benchmark import OWN
from medqlora.errors import ConfigError
from medqlora.evaluation.benchmarks import BENCHMARKS
from medqlora.printing import say
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services import Services
from medqlora.train_options import add_mapping_options, mapping_of


def add_benchmark_options(one: argparse.ArgumentParser) -> None:
    """Adds the options of the command `benchmark`."""
    add = one.add_argument
    add("run_dir", nargs="?", help="folder or id of the trained run")
    add(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help=f"may be given several times: {', '.join(BENCHMARKS)}, or one of your own",
    )
    add("--items", type=int, default=0, help="questions of each, drawn at random; all when 0")
    add("--file", type=Path, help="a file of multiple-choice questions to add first and ask")
    add("--as", dest="template", default=OWN, help="the published benchmark that --file holds")
    add("--plan", action="store_true", help="only say what would show, and how long it takes")
    add("--resume", metavar="ID", help="go on with a benchmark that was stopped or killed")
    add_mapping_options(one)


def begin_benchmark(
    services: Services, options: argparse.Namespace, run: RunDirectory | None
) -> RunDirectory | dict[str, Any]:
    """The job to do, or what there is to say where none is to be done.

    Raises:
        ConfigError: The options do not say what to do.
        EvaluationError: What is asked for cannot be asked.
    """
    if options.resume:
        return services.benchmarks.resumable(options.resume)
    names, document = list(options.name), dict[str, Any]()
    if options.file:
        card = services.benchmarks.add(
            options.file, template=options.template, mapping=mapping_of(options)
        )
        names.append(card.name)
        document["added"] = card.to_json()
    if run is None:
        document["benchmarks"] = [asdict(one) for one in services.benchmarks.choices()]
        return document
    if not names:
        raise ConfigError(
            "No benchmark was named.", hint=f"Give --name, such as --name {next(iter(BENCHMARKS))}."
        )
    plans = services.benchmarks.plan(run, names, num_items=options.items)
    if options.plan:
        return {**document, "plan": [asdict(one) for one in plans]}
    for one in plans:
        say(
            f"{one.label}: {one.num_items:,} questions show differences of about "
            f"{100 * one.detectable:.0f} points or more"
            + (f", in about {one.seconds / 60:.0f} minutes." if one.seconds else ".")
        )
    path = services.workspace.exams / new_run_id("-".join(names))
    return services.benchmarks.create(run, names, num_items=options.items, path=path)
