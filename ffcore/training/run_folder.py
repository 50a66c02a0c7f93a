"""The folder of a training run: what was asked for, what happened, and where to go on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from ffcore.config.layers import read_toml, resolve, to_toml
from ffcore.errors import InputError, one_line
from ffcore.files import replacing, write_text
from ffcore.models.featherface import FeatherFace
from ffcore.models.weights import save_network
from ffcore.training.run_config import Run, RunConfig

CONFIG, ENVIRONMENT, METRICS = "config.toml", "environment.json", "metrics.jsonl"
CHECKPOINT, BEST, LAST = "last.checkpoint", "best.safetensors", "last.safetensors"
MEASURES = frozenset({"alpha", "agreement"})
"""What a step records besides its loss terms, its rate and its gradient; see `Outcome.measures`."""
_VERSION = 1


class RunFolder:
    """Files of one run; each appears whole or not at all, apart from the record, which grows line by line.

    Args:
        path: The folder.

    Attributes:
        path: Likewise.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._record: IO[str] | None = None

    @classmethod
    def create(cls, path: str | Path, config: RunConfig, *, environment: Mapping[str, Any]) -> RunFolder:
        """Begins a run.

        Args:
            path: A folder that does not exist or is empty.
            config: What is going to be trained.
            environment: What should be known of machine and packages.

        Raises:
            InputError: The folder holds something already, or cannot be written.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(
                f"{path}: holds something already; go on with it by --resume, or name another folder"
            )
        write_text(path / CONFIG, to_toml(config))
        write_text(path / ENVIRONMENT, json.dumps(environment, indent=1) + "\n")
        return cls(path)

    @classmethod
    def open(cls, path: str | Path, defaults: Run) -> tuple[RunFolder, Run]:
        """The folder of a run that was begun earlier, and what it is to train.

        Args:
            path: The folder.
            defaults: Of the kind of run that it is.

        Raises:
            InputError: It is no such folder, or damaged.
        """
        path = Path(path)
        if not (path / CONFIG).is_file():
            raise InputError(f"{path}: is no folder of a training run, {CONFIG} is missing")
        return cls(path), resolve(defaults, [read_toml(path / CONFIG)]).config

    def write_checkpoint(self, state: Mapping[str, Any]) -> Path:
        """Writes the state of a run.

        Args:
            state: Tensors and plain values.

        Returns:
            The file.

        Raises:
            InputError: It cannot be written; the earlier one stays.
        """
        file = self.path / CHECKPOINT
        with replacing(file) as part:
            try:
                torch.save({"version": _VERSION, **state}, part)
            except RuntimeError as error:  # how torch's writer says that a disk is full
                raise OSError(None, one_line(error)) from error
        return file

    def read_checkpoint(self) -> dict[str, Any] | None:
        """The last state written; None when there is none yet.

        Raises:
            InputError: The file is damaged or of another version.
        """
        file = self.path / CHECKPOINT
        if not file.exists():
            return None
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in many ways
            raise InputError(f"{file}: is damaged and cannot be resumed from: {one_line(error)}") from None
        if not isinstance(state, dict) or state.get("version") != _VERSION:
            raise InputError(f"{file}: was written by another version and cannot be resumed from")
        return state

    def write_weights(self, name: str, network: FeatherFace, facts: Mapping[str, str]) -> Path:
        """Writes weights that can be detected with.

        Args:
            name: `BEST` or `LAST`.
            network: Whose weights.
            facts: What should be known about them.

        Raises:
            InputError: They cannot be written; earlier ones stay.
        """
        file = self.path / name
        save_network(network, file, facts=dict(facts))
        return file

    def begin_record(self, *, step: int, epoch: int) -> None:
        """Opens the record for writing.

        What a run that died wrote of later steps and epochs is dropped, and so is a line that it did not
        finish.

        Args:
            step: The first that will be recorded.
            epoch: The first whose end, with its validation, will be recorded.

        Raises:
            InputError: The record cannot be written.
        """
        self.close()
        file = self.path / METRICS
        kept = [
            line
            for line in self._lines(file)
            if int(line.get("step", 0)) < step
            and not (line["kind"] == "validation" and line["epoch"] >= epoch)
        ]
        write_text(file, "".join(_json(line) for line in kept))
        self._record = file.open("a", encoding="utf-8")

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Adds a line to the record.

        Args:
            kind: "step", "epoch", "validation", "rollback".
            step: Steps done.
            values: Plain ones.

        Raises:
            InputError: The disk is full.
        """
        if self._record is None:
            self._record = (self.path / METRICS).open("a", encoding="utf-8")
        try:
            self._record.write(_json({"kind": kind, "step": step, **values}))
            self._record.flush()
        except OSError as error:
            raise InputError(f"{self.path / METRICS}: cannot be written: {error.strerror}") from error

    def read_record(self) -> list[dict[str, Any]]:
        """All lines of the record."""
        return list(self._lines(self.path / METRICS))

    def close(self) -> None:
        """Ends the record."""
        if self._record is not None:
            self._record.close()
            self._record = None

    @staticmethod
    def _lines(file: Path) -> list[dict[str, Any]]:
        lines = []
        if file.exists():
            for text in file.read_text(encoding="utf-8").splitlines():
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    break  # a process that was killed left half a line
        return lines


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps({key: _plain(value) for key, value in values.items()}) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value
