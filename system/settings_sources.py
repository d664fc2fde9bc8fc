"""Reads settings from flags, the environment and a YAML file, and remembers where each value came from.

Flags go before the environment, the environment before the file, the file before the defaults. Every value
is read as text, whatever its source, so that `off`, `010` or `1e3` mean the same in all three; an empty one
means unset. Whatever is wrong is collected and told at once.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import yaml
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from data_manager.system import environment
from data_manager.system.errors import ConfigError
from data_manager.system.logs import log, redact_url
from data_manager.system.settings import Settings

FLAG, ENVIRONMENT, DEFAULT = "flag", "environment", "default"
PACKAGED = "conf/default.yaml"
WANTED = {  # plainer than pydantic's own words
    "bool_parsing": "should be true or false",
    "int_parsing": "should be a whole number",
    "float_parsing": "should be a number",
}
MAX_SHOWN = 80  # characters of a wrong value that a sentence repeats

NAMES = frozenset(name.upper() for name in Settings.model_fields)
ACCEPTED = NAMES | environment.WITHOUT_EFFECT.keys()


class Loaded(NamedTuple):
    """Settings with their origins by field name, and sentences for the log about what was set in vain."""

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]
    without_effect: list[str]

    def report(self) -> None:
        """Log, once at start, each warning and all that was set without effect."""
        for warning in self.warnings:
            log("setting_not_known", level=logging.WARNING, problem=warning)
        if self.without_effect:
            log("settings_without_effect", settings=self.without_effect)


class Layer(msgspec.Struct):
    """What one source says."""

    origin: str
    values: dict[str, object] = {}
    problems: list[str] = []
    warnings: list[str] = []
    without_effect: list[str] = []


class _Layered(Settings, BaseSettings):
    """Settings as pydantic-settings puts them together from `layers`, strongest first."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Not env_settings: it reads os.environ alone, calls no name unknown and keeps no origin.
        assert isinstance(init_settings, InitSettingsSource)
        layers: Iterable[Layer] = init_settings.init_kwargs["layers"]
        return tuple(InitSettingsSource(settings_cls, layer.values) for layer in layers)


def load(flags: Mapping[str, object], environ: Mapping[str, str], yaml_path: Path | None = None) -> Loaded:
    """All settings, from `flags` (by name, in any case), `environ` and a YAML file.

    The file is `yaml_path`, else the one DATA_MANAGER_CONFIG names, else the packaged conf/default.yaml.
    Raises ConfigError with one sentence a line for everything that is wrong.
    """
    layers = (flag_layer(flags), environment_layer(environ), file_layer(config_path(environ, yaml_path)))
    problems = [problem for layer in layers for problem in layer.problems]
    origins = dict.fromkeys(Settings.model_fields, DEFAULT)
    for layer in reversed(layers):
        origins |= dict.fromkeys(layer.values, layer.origin)
    instead_of_values: dict[str, Any] = {"layers": layers}
    try:
        layered = _Layered(**instead_of_values)
    except ValidationError as refused:
        problems += [_sentence(error, origins) for error in refused.errors(include_url=False)]
    if problems:
        raise ConfigError("\n".join(problems))
    return Loaded(
        Settings.model_construct(**dict(layered)),
        origins,
        [warning for layer in layers for warning in layer.warnings],
        [line for layer in layers for line in layer.without_effect],
    )


def config_path(environ: Mapping[str, str], yaml_path: Path | None) -> Path | None:
    """The YAML file to read; None for the packaged one."""
    named = environ.get(environment.CONFIG_FILE, "").strip()
    return yaml_path or (Path(named) if named else None)


def flag_layer(flags: Mapping[str, object]) -> Layer:
    """Settings given by name; an unknown name is a problem."""
    layer = Layer(FLAG)
    for name, value in flags.items():
        _add(layer, name, value)
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The settings among the names of the environment; a name that looks like a mistyped one is a warning."""
    layer = Layer(ENVIRONMENT)
    known = ACCEPTED | {environment.CONFIG_FILE}
    for name, value in sorted(environ.items()):
        if name in NAMES or environment.why_without_effect(name):
            _add(layer, name, value)
        elif name in environment.RENAMED and value.strip():
            layer.problems.append(
                f"{name} (environment) is not read any more: set {environment.RENAMED[name]} instead."
            )
        elif name not in known and (meant := environment.probably(name.upper(), known)):
            layer.warnings.append(f"{name} (environment) is not known and ignored; did you mean {meant}?")
    return layer


def file_layer(path: Path | None) -> Layer:
    """The settings of a YAML file of `name: value` lines; unknown and repeated names are problems."""
    layer = Layer(f"file {path}" if path else PACKAGED)
    try:
        content = read_yaml(path or resources.files("data_manager") / PACKAGED)
    except ConfigError as error:
        layer.problems.append(f"{layer.origin} {error}.")
        return layer
    for name, value in content.items():
        _add(layer, name, None if value in ("null", "~") else value)
    return layer


def read_yaml(path: Traversable) -> dict[str, object]:
    """The file's top level, all scalars as text; raises ConfigError with what the file is or has."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _TextLoader)  # noqa: S506  (makes only text)
    except OSError as error:
        raise ConfigError(f"cannot be read, {error.strerror}: check --config and {environment.CONFIG_FILE}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"is wrong in line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is no valid YAML: {' '.join(str(error).split())}") from error
    if not content:  # nothing but comments
        return {}
    if not isinstance(content, dict):
        raise ConfigError("must hold lines of the form `name: value`")
    return content


class _TextLoader(yaml.BaseLoader):
    """Leaves every scalar as the text it is written as; a name given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if str(key.value).lower() in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(str(key.value).lower())
        return super().construct_mapping(node, deep)


def _add(layer: Layer, name: str, value: object) -> None:
    """Sort one name of a source into values, names without effect, and problems."""
    upper = name.strip().upper()
    reason = environment.why_without_effect(upper)
    if upper not in NAMES and reason is None:
        layer.problems.append(
            f"{name} ({layer.origin}) is not a known setting; "
            f"the nearest name is {environment.nearest(upper, ACCEPTED)}."
        )
        return
    value = value.strip() if isinstance(value, str) else value
    if value is None or value == "":
        return
    if reason is not None:
        layer.without_effect.append(f"{upper} ({layer.origin}): {reason}")
    else:
        layer.values[upper.lower()] = value


def _sentence(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    """What is wrong, where, and what to do; the value of a secret is never repeated."""
    what = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return f"{what}."
    name = str(error["loc"][0])
    where = f"{name.upper()} ({origins[name]})"
    if error["type"] == "value_error":  # our own validators name the value themselves
        return f"{where}: {what}."
    secret = SecretStr in get_args(Settings.model_fields[name].annotation)
    given = "the value" if secret else redact_url(repr(error["input"]))[:MAX_SHOWN]
    wanted = WANTED.get(error["type"]) or what.removeprefix("Input ").removeprefix("String ")
    return f"{where}: {given} {wanted}."
