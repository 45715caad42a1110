"""The command line: a thin face of the services, `python -m medqlora COMMAND`.

With `--json` one JSON document goes to standard output and everything else to standard error. Exit
codes: 0 done, 1 the job failed, 2 a mistake that the user can mend; then the document is `{"error":
{"code", "message", "hint"}}`; 141 when whoever read the output is gone. What the commands do is in
`commands`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from medqlora import commands
from medqlora.benchmark_command import add_benchmark_options
from medqlora.errors import MedQLoRAError
from medqlora.foreground import Result
from medqlora.models.outlook import CARDS
from medqlora.printing import error_of, print_result
from medqlora.train_options import add_data_options, add_mapping_options, common_options

Command = Callable[[argparse.Namespace], Result]
Add = Callable[[str, Command], argparse.ArgumentParser]

EXIT_CLOSED_PIPE = 128 + signal.SIGPIPE
"""What a shell reports of a program whose reader went away."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    try:
        return _run(_parser().parse_args(arguments))
    except BrokenPipeError:
        # `medqlora runs | head`: whoever read the output has what they wanted. What Python still
        # holds for it goes nowhere, or the interpreter would complain of it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE


def _run(options: argparse.Namespace) -> int:
    command: Command = options.command
    try:
        document, exit_code = command(options)
    except MedQLoRAError as error:
        if options.debug:
            raise
        document, exit_code = {"error": error_of(error)}, 2
    print_result(document, as_json=options.json)
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medqlora", description=__doc__)
    adder, common = parser.add_subparsers(required=True, metavar="COMMAND"), common_options()

    def add(name: str, command: Command) -> argparse.ArgumentParser:
        one = adder.add_parser(name, parents=[common], help=command.__doc__)
        one.set_defaults(command=command)
        return one

    _add_first_commands(add)
    _add_commands_of_a_run(add)
    add("runs", commands.runs)
    add("mirror", commands.mirror)
    what = add("restore", commands.restore).add_mutually_exclusive_group()
    what.add_argument("run_id", nargs="?", help="id of the run")
    what.add_argument(
        "--datasets", action="store_true", help="every prepared dataset that is not here"
    )
    return parser


def _add_first_commands(add: Add) -> None:
    one = add("inspect", commands.inspect)
    one.add_argument("file", help="a file, or hub:owner/name[:config[:split]]")
    add_mapping_options(one)
    one.add_argument("--report", type=Path, help="write the findings to this .html or .csv")
    one = add("forecast", commands.forecast)
    one.add_argument("--config", type=Path, help="JSON: settings of QLoRAConfig")
    one.add_argument("--model", help="the base model, in place of the settings'")
    one.add_argument("--gpu", metavar="CARD", help=f"plan for {', '.join(CARDS)}")
    one.add_argument(
        "--billion", type=float, default=0.0, help="size of a model that is out of reach"
    )
    one = add("train", commands.train)
    one.add_argument("--config", type=Path, help="JSON: settings of QLoRAConfig and `dataset`")
    add_data_options(one)
    place = one.add_mutually_exclusive_group()
    place.add_argument(
        "--run-dir", type=Path, help="new folder of the run; one in the workspace by default"
    )
    place.add_argument(
        "--queue", action="store_true", help="do not wait: the page starts it when its turn comes"
    )


def _add_commands_of_a_run(add: Add) -> None:
    def add_for_run(name: str, command: Command) -> argparse.ArgumentParser:
        one = add(name, command)
        one.add_argument("run_dir", help="folder or id of the run")
        return one

    one = add_for_run("resume", commands.resume)
    one.add_argument(
        "--accept-differences",
        action="store_true",
        help="go on although versions, settings or data are not those of the checkpoint",
    )
    one.add_argument(
        "--queue", action="store_true", help="do not wait: the page goes on when its turn comes"
    )
    one = add_for_run("evaluate", commands.evaluate)
    one.add_argument(
        "--query", action="append", help="a query of your own; may be given several times"
    )
    one.add_argument("--limit", type=int, default=24, help="how many held-out entries to ask")
    one.add_argument("--max-new-tokens", type=int, default=96, help="longest answer")
    one = add_for_run("panel", commands.panel)
    one.add_argument("--max-new-tokens", type=int, default=96, help="longest answer")
    add_benchmark_options(add("benchmark", commands.benchmark))
    one = add_for_run("compare", commands.compare)
    one.add_argument("prompt")
    one.add_argument("--max-new-tokens", type=int, default=160, help="longest answer")
    one = add("import-adapter", commands.import_adapter)
    one.add_argument("file", type=Path, help="zip file with PEFT's two files of an adapter")
    one.add_argument("--base-model", default="", help="the model it belongs to, if it names none")
    one = add_for_run("export", commands.export)
    one.add_argument("--to", type=Path, default=Path(), help="folder; by default this one")
    one.add_argument(
        "--merged",
        action="store_true",
        help="the whole model in 16 bits with the adapter in it",
    )
    one = add_for_run("report", commands.report)
    one.add_argument(
        "--to", type=Path, default=Path(), help="folder of the page; by default this one"
    )


if __name__ == "__main__":
    sys.exit(main())
