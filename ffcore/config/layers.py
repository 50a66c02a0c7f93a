"""A configuration of several sections from layers: defaults, a preset, a file, flags; the last one wins."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ffcore.errors import ConfigError, InputError, did_you_mean, one_line

Config = TypeVar("Config")

NONE = "none"
"""How a value that may be absent is written, since TOML has no word for that."""


@dataclass(frozen=True)
class Layer:
    """Some values and where they come from.

    Args:
        origin: For people: ``preset v1``, ``train.toml``, ``--epochs``.
        values: By ``section.field``.
    """

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved(Generic[Config]):
    """A configuration and where each of its values comes from.

    Args:
        config: The outcome.
        origins: By ``section.field``, for every field.
    """

    config: Config
    origins: dict[str, str]


def resolve(defaults: Config, layers: Sequence[Layer]) -> Resolved[Config]:
    """Lays values over a configuration.

    Args:
        defaults: A frozen dataclass; fields that hold such dataclasses are its sections.
        layers: The later one wins.

    Returns:
        The configuration, checked by the constructors of its sections.

    Raises:
        ConfigError: A field is unknown, or a value is of the wrong kind or impossible; the message says which
            layer it comes from.
    """
    origins = dict.fromkeys(flat(defaults), "default")
    chosen: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if name not in origins:
                raise ConfigError(f"{layer.origin}: {name!r} is not a setting; {did_you_mean(name, origins)}")
            chosen[name], origins[name] = value, layer.origin
    return Resolved(_changed(defaults, "", chosen, origins), origins)


def flat(config: object) -> dict[str, Any]:
    """All values by ``section.field``; tuples as lists, an absent value as "none"."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values |= {f"{field.name}.{name}": inner for name, inner in flat(value).items()}
        elif value is None:
            values[field.name] = NONE
        else:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    return values


def read_toml(path: str | Path) -> Layer:
    """The values of a TOML file.

    Raises:
        InputError: The file cannot be read, or is no TOML.
    """
    try:
        with Path(path).open("rb") as file:
            document = tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as TOML: {one_line(error)}") from None
    return Layer(Path(path).name, _flattened(document))


def to_toml(config: object) -> str:
    """The text of a TOML file that `read_toml` and `resolve` make the same configuration from."""
    sections: dict[str, list[str]] = {"": []}  # TOML wants what is in no section first
    for name, value in flat(config).items():
        section, _, field = name.rpartition(".")
        sections.setdefault(section, []).append(f"{field} = {_toml(value)}")
    parts = ["\n".join(([f"[{section}]"] if section else []) + lines) for section, lines in sections.items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def parse_setting(text: str) -> Layer:
    """One value as it is typed: ``train.epochs=10``, ``augment.sizes=[320, 640]``, ``train.schedule=cosine``.

    Raises:
        ConfigError: It has another form.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise ConfigError(f"{text!r}: a setting has the form section.field=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # a word without quotes
    return Layer(f"--set {name}", {name: parsed})


def _flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            values |= _flattened(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # a JSON string is a TOML string, apart from the one control character that JSON does not escape
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _changed(config: Any, prefix: str, chosen: Mapping[str, Any], origins: Mapping[str, str]) -> Any:
    hints = get_type_hints(type(config))
    changes: dict[str, Any] = {}
    mine: list[str] = []
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _changed(value, f"{name}.", chosen, origins)
        elif name in chosen:
            try:
                changes[field.name] = _converted(chosen[name], hints[field.name])
            except ValueError as error:
                raise ConfigError(f"{origins[name]}: {name} = {chosen[name]!r}: {error}") from None
            mine.append(origins[name])
    try:
        return dataclasses.replace(config, **changes)
    except ConfigError as error:
        where = ", ".join(dict.fromkeys(mine))
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _converted(value: Any, hint: Any) -> Any:
    """The value as the type says, or ValueError with what is needed."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        if value == NONE:
            return None
        return _converted(value, next(choice for choice in inner if choice is not type(None)))
    if kind is Literal:
        return value  # the constructor knows the choices and names the near one
    if kind is tuple:
        of_any_length = len(inner) == 2 and inner[1] is Ellipsis
        if not isinstance(value, list | tuple):
            if not of_any_length:
                raise ValueError("a list is needed, such as [1, 2]")
            value = [value]  # one alone, as most lists of files are
        if of_any_length:
            return tuple(_converted(item, inner[0]) for item in value)
        if len(inner) != len(value):
            raise ValueError(f"a list of {len(inner)} values is needed")
        return tuple(_converted(item, each) for item, each in zip(value, inner, strict=True))
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError("true or false is needed")
        return value
    if isinstance(value, bool):
        raise ValueError(f"{_WORDS.get(hint, 'another kind of value')} is needed, not true or false")
    if hint is float and isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # TOML has whole numbers of any length
            raise ValueError("a number that is not beyond all bounds is needed") from None
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ValueError(f"{_WORDS.get(hint, hint.__name__)} is needed")
    return value


_WORDS = {int: "a whole number", float: "a number", str: "text"}
