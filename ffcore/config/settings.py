"""Changing single fields of a configuration from text, and checking the closed choices of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ffcore.errors import ConfigError, did_you_mean

Config = TypeVar("Config")


def check_choices(config: object, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuses a field whose value is not one of its choices.

    Args:
        config: The dataclass instance that is being made.
        choices: Allowed values by field.

    Raises:
        ConfigError: Naming the field, the value and the nearest choices.
    """
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ConfigError(f"{name} = {value!r} is unknown: {did_you_mean(str(value), allowed)}")


def apply_settings(config: Config, settings: Iterable[str]) -> Config:
    """A copy of a configuration with fields changed, each given as ``field=value``.

    Args:
        config: Any frozen dataclass whose fields hold text, whole numbers, numbers or truth values.
        settings: For instance ``["out_channel=24", "backbone_attention=cbam"]``; the last one wins.

    Returns:
        The changed copy, validated by its own constructor.

    Raises:
        ConfigError: Not of the form, not a field, or not a value of the field's type.
    """
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name, text = name.strip(), text.strip()
        if not equals or not text:
            raise ConfigError(f"{setting!r}: a setting has the form field=value, for instance out_channel=24")
        if name not in known:
            raise ConfigError(f"{name!r} is not a field: {did_you_mean(name, known)}")
        changes[name] = _parse(name, text, type(known[name]))
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{name} = {text!r}: true or false is needed")
        return text.lower() == "true"
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            need = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{name} = {text!r}: {need} is needed") from None
    return text
