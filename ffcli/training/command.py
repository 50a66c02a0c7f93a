"""What ``train`` and ``distill`` do with what was typed: print, check, draw, or train."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from ffcli.training.kinds import RunKind
from ffcli.training.report import data_document, print_data, print_settings, settings_document
from ffcli.training.session import draw_preview, read_all, run_training, silent_unless
from ffcli.training.settings import check_named, resolve_resumed, resolve_typed, typed_layers
from ffcore.distributed import processes
from ffcore.errors import ConfigError


def run_command(
    kind: RunKind,
    context: typer.Context,
    *,
    config: Path | None,
    setting: list[str] | None,
    preset: str | None,
    out: Path | None,
    resume: Path | None,
    device: str,
    threads: int | None,
    dry_run: bool,
    check: bool,
    preview: Path | None,
    tensorboard: bool,
    plain: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Does what the options of a command say.

    Args:
        kind: Of training.
        context: Of the command; from there come the options that are settings of the run.
        config: A TOML file with settings, or None.
        setting: As typed behind ``--set``.
        preset: Name of documented settings, "none", or None for those of the network.
        out: Folder of a new run; one below ``runs`` when None.
        resume: Folder of a run to go on with.
        device: See `run_training`, likewise `threads` and those behind `preview`.
        threads: Of the CPU.
        dry_run: Whether the settings are printed and nothing else is done.
        check: Whether all data is read and reported on instead of a training.
        preview: Folder for pictures of a batch, to be drawn instead of a training.
        tensorboard: Whether events are written.
        plain: Whether lines are wanted where a picture could be drawn.
        quiet: Whether neither is wanted.
        as_json: Whether results are wanted as JSON.

    Raises:
        FeatherFaceError: As the functions that it calls.
    """
    with processes() as group:
        with silent_unless(group.first):
            typed = typed_layers(context, setting or [], config=config)
            if resume is None:
                resolved = resolve_typed(kind, typed, preset_name=preset)
            elif out is not None or preset is not None:
                raise ConfigError("--resume goes on in its own folder; leave out --out and --preset")
            else:
                resolved = resolve_resumed(kind, resume, typed)
            settings = resolved.config
            if not dry_run:
                check_named(kind, settings, data_only=check or preview is not None)
        if dry_run or check or preview is not None:
            if not group.first:
                return
            if dry_run:
                if as_json:
                    typer.echo(json.dumps(settings_document(resolved), indent=1))
                else:
                    print_settings(resolved)
                return
            found = read_all(settings, pixels=check)
            if check:
                if as_json:
                    typer.echo(json.dumps(data_document(found), indent=1))
                else:
                    print_data(found)
                if settings.data.strict:
                    found.report.check()
            if preview is not None:
                draw_preview(found, settings, preview)
            return
        run_training(
            kind,
            settings,
            folder=resume or out,
            resume=resume is not None,
            device=device,
            threads=threads,
            processes=group,
            tensorboard=tensorboard,
            plain=plain,
            quiet=quiet,
            as_json=as_json,
        )
