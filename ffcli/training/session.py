"""One training as the program runs it: folder, display, record, and what is said however it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import typer

from ffcli.exit_codes import INTERRUPTED, InterruptedRunError, exit_code
from ffcli.messages import note_line
from ffcli.render import console_for
from ffcli.training.display import Display
from ffcli.training.kinds import RunKind
from ffcli.training.lines import Lines
from ffcli.training.picture import Picture
from ffcli.training.report import print_divergence, print_result, result_document
from ffcli.training.settings import can_resume, new_folder, resume_command
from ffcore.data.preview import contact_sheet, draw_batch
from ffcore.distillation.job import TeacherScored
from ffcore.distributed import Processes
from ffcore.errors import FeatherFaceError
from ffcore.events import Event
from ffcore.images import write_image
from ffcore.training.data import RunData, read_data, training_batches
from ffcore.training.events import EpochStarted
from ffcore.training.health import DivergedError
from ffcore.training.job import TrainingResult
from ffcore.training.plots import plot_run
from ffcore.training.run_config import RunConfig
from ffcore.training.tensorboard import TensorBoardWriter


def run_training(
    kind: RunKind,
    config: RunConfig,
    *,
    folder: Path | None,
    resume: bool,
    device: str,
    threads: int | None,
    processes: Processes,
    tensorboard: bool,
    plain: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Trains, shows it, and says how it ended.

    Args:
        kind: Of training.
        config: Of the run, and of this kind.
        folder: Of the run; a new one below ``runs`` when None.
        resume: Whether to go on in it.
        device: See `ffcore.training.job.train`, likewise the next two.
        threads: Of the CPU.
        processes: Who takes part; the first one shows.
        tensorboard: Whether events are written, if the package is there.
        plain: Whether lines are wanted where a picture could be drawn.
        quiet: Whether neither is wanted.
        as_json: Whether the result is wanted as JSON.

    Raises:
        FeatherFaceError: As `RunKind.start`.
        InterruptedRunError: The run was interrupted, or another process of it has ended.
    """
    with ExitStack() as stack:  # closed before anything else is said: it holds the picture
        if folder is None:
            mine = stack.enter_context(new_folder(config.model.name)) if processes.first else None
            folder = processes.gather(mine)[0]
        assert folder is not None
        display = stack.enter_context(make_display(quiet=quiet or not processes.first, plain=plain))
        listeners: list[Callable[[Event], None]] = [display.on_event]
        if tensorboard and processes.first and importlib.util.find_spec("tensorboard") is not None:
            listeners.append(stack.enter_context(TensorBoardWriter()))

        def on_event(event: Event) -> None:
            for listener in listeners:
                listener(event)
            if isinstance(event, EpochStarted):
                _announce_interruption(display.interrupted)

        try:
            with _end_of_others(kind, processes, folder):
                result = kind.start(
                    config,
                    folder,
                    resume=resume,
                    device=device,
                    threads=threads,
                    processes=processes,
                    on_event=on_event,
                )
        except DivergedError as error:
            if not processes.first:  # the others have the same to say
                raise typer.Exit(exit_code(error)) from None
            stack.close()
            _plots(folder)
            print_divergence(error)
            raise
        except KeyboardInterrupt:
            stack.close()
            raise _interrupted(kind, folder, processes) from None
    if processes.first:
        _tell(result, config, display.state.teacher, as_json=as_json)
    if result.ending == "interrupted":
        raise _interrupted(kind, folder, processes)


def read_all(config: RunConfig, *, pixels: bool) -> RunData:
    """The photos of a run, whatever defects they have.

    Raises:
        InputError: None can be used.
    """
    return read_data(replace(config.data, strict=False), seed=config.seed, check=pixels)


def draw_preview(data: RunData, config: RunConfig, folder: Path) -> None:
    """Draws the first batch of a run, picture by picture and on one sheet.

    Raises:
        InputError: The folder cannot be written.
        ConfigError: There are fewer photos than a batch needs.
    """
    here = replace(config, data=replace(config.data, workers=0, cache=None))
    plan, loader = training_batches(data.train, here, processes=Processes(), pin=False)
    plan.set_epoch(0)
    batch = next(iter(loader))
    for number, (picture, photos) in enumerate(zip(draw_batch(batch), batch.names, strict=True)):
        write_image(folder / f"{number:02}_{Path(photos[0]).stem}.png", picture)
    write_image(folder / "contact_sheet.png", contact_sheet(batch))
    typer.echo(f"{folder / 'contact_sheet.png'}: {len(batch)} samples of {batch.images.shape[-1]} pixels")


@contextmanager
def silent_unless(first: bool) -> Iterator[None]:
    """Within it, an error that every process meets is told by the first one only."""
    try:
        yield
    except FeatherFaceError as error:
        if first:
            raise
        raise typer.Exit(exit_code(error)) from None


def _tell(result: TrainingResult, config: RunConfig, teacher: TeacherScored | None, *, as_json: bool) -> None:
    plots = _plots(result.folder)
    if as_json:
        typer.echo(json.dumps(result_document(result, plots=plots, teacher=teacher), indent=1))
    else:
        print_result(result, epochs=config.train.epochs, plots=plots, teacher=teacher)


def _interrupted(kind: RunKind, folder: Path, processes: Processes) -> BaseException:
    """What to leave with after Ctrl-C."""
    if not processes.first:
        return typer.Exit(INTERRUPTED)
    if not can_resume(folder):
        return KeyboardInterrupt()
    again = resume_command(kind, folder, processes=processes.count)
    return InterruptedRunError(f"interrupted; go on with: {again}")


def _plots(folder: Path) -> list[Path]:
    """Pictures of the record; that they cannot be drawn must not hide how the run ended."""
    try:
        return plot_run(folder)
    except FeatherFaceError as error:
        note_line(f"no pictures of the run: {error}")
        return []


def _announce_interruption(announce: Callable[[], None]) -> None:
    """Has the first Ctrl-C answered; what happens then stays the library's business.

    The library takes signals while its loop runs and gives them back afterwards, so this is called from
    within, as often as one likes.
    """
    inner = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or isinstance(inner, _Announced):
        return
    if callable(inner):
        signal.signal(signal.SIGINT, _Announced(inner, announce))


class _Announced:
    """A signal handler that says something before the first call of another one."""

    def __init__(
        self, inner: Callable[[int, FrameType | None], object], announce: Callable[[], None]
    ) -> None:
        self._inner, self._announce = inner, announce
        self._process = os.getpid()  # a worker inherits the handler, and has nothing to say
        self._said = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._said and os.getpid() == self._process:
            self._said = True
            self._announce()
        self._inner(number, frame)


@contextmanager
def _end_of_others(kind: RunKind, processes: Processes, folder: Path) -> Iterator[None]:
    """Within it, the end of another process is one line and no defect of this one."""
    try:
        yield
    except RuntimeError as error:
        if processes.count == 1 or not _lost_connection(error):
            raise
        me = f"process {processes.rank} of {processes.count}"
        next_step = "there is no checkpoint yet: begin again"
        if can_resume(folder):
            next_step = f"go on with: {resume_command(kind, folder, processes=processes.count)}"
        raise InterruptedRunError(f"{me}: another process of this run has ended; {next_step}") from None


def _lost_connection(error: RuntimeError) -> bool:
    """Whether gloo says that nobody answers any more."""
    import torch.distributed

    if isinstance(error, torch.distributed.DistBackendError | torch.distributed.DistNetworkError):
        return True
    text = str(error).lower()
    return any(
        sign in text for sign in ("closed by peer", "reset by peer", "timed out", "broken pipe", "gloo")
    )


def make_display(*, quiet: bool, plain: bool) -> Display:
    """What fits where stderr goes to."""
    if quiet:
        return Display()
    if plain or not console_for("stderr").is_terminal or not sys.stderr.isatty():
        return Lines()
    return Picture()
