"""What each command of the command line does: options in, a document and an exit code out."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from medqlora.benchmark_command import begin_benchmark
from medqlora.data.hub import file_or_hub
from medqlora.data.report import check_report_name, write_report
from medqlora.domain.generation import GenerationSettings
from medqlora.evaluation.panel import judged
from medqlora.foreground import MIRROR_SECONDS, Progress, Result, run_job
from medqlora.printing import say
from medqlora.runs.attempts import nothing_to_resume
from medqlora.runs.items import read_items
from medqlora.runs.origins import refuse_differences
from medqlora.runs.run_directory import RunDirectory, new_run_id
from medqlora.services import Services
from medqlora.services.evaluation import from_queries, held_out
from medqlora.train_options import mapping_of, read_settings, take_data_options


def inspect(options: argparse.Namespace) -> Result:
    """What is in a file, or in a dataset of the hub written as hub:owner/name[:config[:split]]."""
    services = _open(options)
    mapping = mapping_of(options)
    if options.report:
        check_report_name(options.report)
    with file_or_hub(options.file, services.workspace.uploads) as (path, fetched):
        result = services.datasets.inspect(path, mapping)
    if options.report:
        write_report(options.report, result)
    return {**result.to_json(), **({"hub": fetched.to_json()} if fetched else {})}, 0


def forecast(options: argparse.Namespace) -> Result:
    """How much memory a run will take, and whether it fits; reads no weights.

    Raises:
        ModelError: The model can be trained on no machine.
    """
    service = _open(options).configuration
    values = read_settings(options.config) if options.config else {}
    values.pop("dataset", None)
    if options.model:
        values["model_name"] = options.model
    if options.billion:  # of a size alone nothing else is known
        config = service.build(values)
    else:
        config = service.complete(values, card=options.gpu)  # as `train` would
        report = service.compatibility(config.model_name, config, card=options.gpu)
        if not report.is_anywhere:
            report.require()
    found = service.memory(config, card=options.gpu, billion_parameters=options.billion)
    fetched = service.download(config)
    say(" ".join([found.message, fetched.message]).strip())
    total, peak = found.forecast.total_gib, found.forecast.peak_gib
    return {
        **asdict(found),
        "peak_gib": peak,
        "total_gib": total,
        "message": found.message,
        "download": asdict(fetched),
        "config": config.to_dict(),
    }, 0


def train(options: argparse.Namespace) -> Result:
    """Trains on a file, with settings from a JSON file."""
    services = _open(options)
    values = read_settings(options.config)
    data = take_data_options(options, values)
    training_seed = services.configuration.complete(values).seed
    seed = training_seed if data.split_seed is None else data.split_seed
    card = services.datasets.prepare(
        data.source,
        mapping=data.mapping,
        choices=replace(data.choices, seed=seed),
        on_snapshot=Progress().say,
    )
    services.mirror.ensure()  # the dataset is copied while training goes on
    config = services.configuration.complete(values, num_train=card.num_train)
    if options.queue:
        queued = _queued(services, services.training.enqueue(config, card.dataset_id))
        return _with_dataset(services, card.dataset_id, queued, seconds=0)
    path = options.run_dir or services.workspace.runs / new_run_id(card.name)
    directory = services.training.create(config, card.dataset_id, path=path.resolve())
    done = run_job(services, directory)
    return _with_dataset(services, card.dataset_id, done, seconds=MIRROR_SECONDS)


def resume(options: argparse.Namespace) -> Result:
    """Goes on with a run."""
    services = _open(options)
    directory = _run_directory(services, options.run_dir)
    if options.queue:
        run_id = services.training.directory(directory.run_id).run_id  # the page sees no other
        services.training.enqueue_resume(run_id, accept_differences=options.accept_differences)
        return _queued(services, run_id)
    if not directory.snapshot().can_resume:
        raise nothing_to_resume()
    if not options.accept_differences:
        refuse_differences(directory)
    return run_job(services, directory)


def evaluate(options: argparse.Namespace) -> Result:
    """Asks base and fine-tuned model the held-out entries, or own queries."""
    services = _open(options)
    run = _run_directory(services, options.run_dir)
    entries = from_queries(options.query) if options.query else held_out(run, limit=options.limit)
    path = services.workspace.evaluations / new_run_id(run.spec().dataset["name"])
    directory = services.evaluation.create(
        run, entries, path=path, max_new_tokens=options.max_new_tokens
    )
    document, exit_code = run_job(services, directory)
    return {**document, "items": [asdict(item) for item in read_items(directory.items)]}, exit_code


def panel(options: argparse.Namespace) -> Result:
    """Asks base and fine-tuned model the forgetting and safety panel."""
    services = _open(options)
    run = _run_directory(services, options.run_dir)
    path = services.workspace.panels / new_run_id("panel-" + run.spec().dataset["name"])
    directory = services.panel.create(
        run, services.panel.entries(), path=path, max_new_tokens=options.max_new_tokens
    )
    document, exit_code = run_job(services, directory)
    rows = [
        {
            "category": row.category.name,
            "comparison": asdict(row.comparison),
            "verdict": row.verdict,
        }
        for row in judged(read_items(directory.items))
    ]
    return {**document, "categories": rows}, exit_code


def benchmark(options: argparse.Namespace) -> Result:
    """Asks base and fine-tuned model multiple-choice questions; lists them without a run."""
    services = _open(options)
    run = _run_directory(services, options.run_dir) if options.run_dir else None
    begun = begin_benchmark(services, options, run)
    if isinstance(begun, dict):
        return begun, 0
    document, exit_code = run_job(services, begun)
    results = services.benchmarks.results(begun.run_id)
    return {**document, "benchmarks": [one.to_json() for one in results]}, exit_code


def compare(options: argparse.Namespace) -> Result:
    """Asks base and fine-tuned model one question."""
    services = _open(options)
    turns = [{"role": "user", "content": options.prompt}]
    settings = GenerationSettings(max_new_tokens=options.max_new_tokens)
    adapter = _run_directory(services, options.run_dir).adapter
    try:
        for update in services.chat.stream_adapter(
            adapter, base_turns=turns, tuned_turns=turns, settings=settings
        ):
            say(update.phase)
    finally:
        services.close()
    return {
        "prompt": options.prompt,
        "base": update.base_text,
        "fine_tuned": update.tuned_text,
        "base_tokens": update.base_tokens,
        "fine_tuned_tokens": update.tuned_tokens,
        "seconds": update.seconds,
    }, 0


def report(options: argparse.Namespace) -> Result:
    """Writes the study report of a run as one HTML page, and as its adapter's model card."""
    services = _open(options)
    directory = _run_directory(services, options.run_dir)
    path = services.report.write(directory, options.to.resolve())
    card = directory.adapter / "README.md"
    return {"report": str(path), "model_card": str(card) if card.is_file() else ""}, 0


def export(options: argparse.Namespace) -> Result:
    """Writes the adapter of a run as a zip file, or merged into its base model as a folder."""
    services = _open(options)
    run = _run_directory(services, options.run_dir)
    folder = options.to.resolve()
    services.report.write_card(run)  # it leaves with what is known today
    if not options.merged:
        file = services.library.export(run, folder)
        return {"path": str(file), "size_bytes": file.stat().st_size}, 0
    made = services.library.export_merged(run, folder, on_progress=lambda phase, _: say(phase))
    return {**asdict(made), "path": str(made.path)}, 0


def mirror(options: argparse.Namespace) -> Result:
    """Lists the runs and datasets in the mirror."""
    return asdict(_open(options).mirror.contents()), 0


def restore(options: argparse.Namespace) -> Result:
    """Brings a run back from the mirror, the last one unless named, or all datasets."""
    kept = _open(options).mirror
    if not options.datasets:
        return asdict(kept.restore(options.run_id)), 0
    restored = kept.restore_datasets()
    say(restored.message)
    return asdict(restored), 0 if restored.dataset_ids else 1


def import_adapter(options: argparse.Namespace) -> Result:
    """Brings in an adapter that was made elsewhere, from a zip file, to evaluate and compare it."""
    services = _open(options)
    run_id = services.library.import_adapter(options.file, base_model=options.base_model)
    return {"run_id": run_id, "run_dir": str(services.training.directory(run_id).path)}, 0


def runs(options: argparse.Namespace) -> Result:
    """Lists the runs of the workspace."""
    return {"runs": [asdict(run) for run in _open(options).training.runs()]}, 0


def _open(options: argparse.Namespace) -> Services:
    return Services.open(options.workspace, mirror=options.mirror)


def _with_dataset(services: Services, dataset_id: str, result: Result, *, seconds: float) -> Result:
    """What came of a command, and how safe the dataset is that it prepared."""
    kept = services.mirror.wait_until_dataset_safe(dataset_id, seconds)
    if kept is None:
        return result
    say(f"The dataset: {kept.message}")
    return {**result[0], "dataset_mirror": asdict(kept)}, result[1]


def _queued(services: Services, run_id: str) -> Result:
    waiting = [one.run_id for one in services.training.queued()]
    is_waiting = run_id in waiting
    say("It starts when its turn comes, while the page (python app.py) runs on this workspace.")
    return {
        "run_id": run_id,
        "run_dir": str(services.training.directory(run_id).path),
        "state": "waiting" if is_waiting else services.training.snapshot(run_id).state,
        "position": waiting.index(run_id) + 1 if is_waiting else 0,
    }, 0


def _run_directory(services: Services, given: str) -> RunDirectory:
    """A run by its folder, or by its id in the workspace."""
    directory = RunDirectory(Path(given).resolve())
    if not directory.path.is_dir():
        directory = services.training.directory(given)
    directory.spec()  # refuses a folder that is something else
    return directory
