"""The program `featherface`: its commands, and what becomes of an error."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from ffcli.commands.benchmark import benchmark
from ffcli.commands.convert import convert
from ffcli.commands.count_params import count_params
from ffcli.commands.detect import detect
from ffcli.commands.distill import distill
from ffcli.commands.eval_widerface import eval_widerface
from ffcli.commands.export import export
from ffcli.commands.train import train
from ffcli.exit_codes import DONE, EPILOG, INPUT, INTERNAL, INTERRUPTED, USAGE, exit_code
from ffcli.messages import error_line
from ffcli.process import prepare_process
from ffcore._version import __version__
from ffcore.errors import FeatherFaceError

# Typer brings its own Click or uses the installed one, by version; its exceptions lead to either.
_ClickError: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="featherface",
    help="Find faces with networks so small that they run anywhere.",
    epilog=EPILOG,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("detect", epilog=EPILOG)(detect)
app.command("convert", epilog=EPILOG)(convert)
app.command("eval-widerface", epilog=EPILOG)(eval_widerface)
app.command("train", epilog=EPILOG)(train)
app.command("distill", epilog=EPILOG)(distill)
app.command("export", epilog=EPILOG)(export)
app.command("count-params", epilog=EPILOG)(count_params)
app.command("benchmark", epilog=EPILOG)(benchmark)


def _print_version(wanted: bool) -> None:
    if wanted:
        from ffcli.environment import environment

        typer.echo(f"featherface {__version__} ({environment()})")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print versions, for a bug report."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


def main() -> None:
    """Runs the program and leaves with its exit code."""
    prepare_process()
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Runs one command; what goes wrong becomes one line on stderr and an exit code.

    Args:
        arguments: Without the name of the program; those of the process when None.

    Returns:
        The exit code.
    """
    # a photo with damaged metadata is read all the same; what matters is said by us, in one line
    warnings.filterwarnings("ignore", module="PIL")
    try:
        code = app(arguments, prog_name="featherface", standalone_mode=False)
        sys.stdout.flush()
    except FeatherFaceError as error:
        return _fail(str(error), exit_code(error))
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        if error.errno != errno.ENOSPC:  # every file of the library's has its own error: this is stdout
            return _defect(error)
        _forget_stdout()
        return _fail("the results cannot be written, the disk is full; free some space", INPUT)
    except SystemExit as error:  # Typer leaves this way when stdout is closed
        if isinstance(error.__context__, BrokenPipeError):
            return _reader_left()
        raise
    except _ClickError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "featherface")
        return _fail(f"{_sentence(error.format_message())} Try: {command} --help", USAGE)
    except Exception as error:
        return _defect(error)
    if code == INTERRUPTED:
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _reader_left() -> int:
    """The reader of our output has left, as head does: nothing is wrong, and nobody is listening."""
    _forget_stdout()
    return DONE


def _forget_stdout() -> None:
    """So that Python does not try once more to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _defect(error: Exception) -> int:
    if os.environ.get("FEATHERFACE_DEBUG"):
        raise error
    return _fail(
        f"internal error, {type(error).__name__}: {_first_line(error)} (this is a defect; set "
        "FEATHERFACE_DEBUG=1 for the traceback and report it)",
        INTERNAL,
    )


def _fail(message: str, code: int) -> int:
    error_line(message)
    return code


def _sentence(message: str) -> str:
    """What Typer says, without the words of the library that it asks to check values."""
    words = " ".join(message.replace("Value error, ", "").split())
    return words if words.endswith((".", "?", "!", ")")) else f"{words}."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


if __name__ == "__main__":
    main()
