"""The settings of `dispatch serve`: a file, then DISPATCH_* variables, then flags; the last one said wins."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints

import attrs
import typed_settings
from attrs import frozen
from attrs.validators import ge, le
from platformdirs import user_config_path, user_data_path
from typed_settings.exceptions import TsError
from typed_settings.loaders import DictLoader, Loader

from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_core import DispatchError, Settings
from dispatch_http.settings import KEY_VARIABLE, HttpSettings, SettingsError, api_key, keys_from_file

PREFIX: Final = "DISPATCH_"
KEYS: Final = ("keys", "legacy_keys")
"""What no settings file holds: keys come from files of their own, one also from the environment."""
CONFIG_VARIABLE: Final = "DISPATCH_CONFIG"


def default_database() -> str:
    """The file that holds the jobs if nobody says otherwise: where the system keeps data of users."""
    return str(user_data_path("dispatch") / "dispatch.db")


def default_config() -> Path:
    """The file that is read if it is there and no other is named."""
    return user_config_path("dispatch") / "dispatch.toml"


def watched() -> bool:
    """Whether somebody reads the log on a terminal."""
    return sys.stderr.isatty()


@frozen(kw_only=True)
class Ours:
    """What `serve` needs beside the settings of the core and of the server."""

    database: str = attrs.Factory(default_database)
    server_id: str | None = None
    database_connections_max: int = attrs.field(default=10, validator=[ge(2), le(1_000)])
    database_wait_s: float = attrs.field(default=10.0, validator=[ge(0), le(3_600)])
    api_key_file: str | None = None
    legacy_key_file: str | None = None


@frozen(kw_only=True)
class ServeSettings:
    """Everything that `serve` was told, in its three parts; ``flat`` is all of it by name."""

    ours: Ours
    core: Settings
    http: HttpSettings
    flat: Mapping[str, object]

    def at_port(self, port: int) -> ServeSettings:
        """The same at the port that was found free, if it was to be any."""
        return attrs.evolve(self, http=attrs.evolve(self.http, port=port))


def load(flags: Mapping[str, object], config: str | None = None) -> ServeSettings:
    """The settings in force. ``flags`` are those that were given. Raises CommandFailure.

    Takes DISPATCH_API_KEY out of the environment, so that no child process inherits it.
    """
    text = os.environ.pop(KEY_VARIABLE, None)
    loaders: list[Loader] = [
        typed_settings.FileLoader({"*": typed_settings.TomlFormat(section=None)}, config_files(config)),
        typed_settings.EnvLoader(PREFIX),
        DictLoader(dict(flags)),
    ]
    try:
        flat = attrs.asdict(typed_settings.load_settings(_flat_class(), loaders))
        ours = Ours(**_part(Ours, flat))
        keys = [] if text is None else [api_key(text)]
        keys += keys_from_file(Path(ours.api_key_file)) if ours.api_key_file else ()
        fleet_keys = keys_from_file(Path(ours.legacy_key_file)) if ours.legacy_key_file else ()
        return ServeSettings(
            ours=ours,
            core=Settings(**_part(Settings, flat)),
            http=HttpSettings(**_part(HttpSettings, flat), keys=tuple(keys), legacy_keys=fleet_keys),
            flat=flat,
        )
    except (TsError, DispatchError, SettingsError, ValueError, TypeError) as error:
        raise unfit("; ".join(_causes(error))) from error


def server_id(settings: ServeSettings) -> str:
    """What tells this server from the others of its store: machine and port, unless a setting says it.

    With port 0 that is no name yet: ``at_port`` first.
    """
    return settings.ours.server_id or f"{socket.gethostname()}:{settings.http.port}"


def unfit(message: str) -> CommandFailure:
    """The failure of a configuration."""
    return CommandFailure("invalid-settings", message, exit_code=ExitCode.USAGE)


def as_toml(flat: Mapping[str, object]) -> Iterator[str]:
    """The settings as lines of a file that `serve` reads; what is not set is a comment.

    >>> list(as_toml({"port": 8080, "log_json": True, "large_job_bytes": None}))
    ['port = 8080', 'log_json = true', '# large_job_bytes =']
    """
    for name, value in flat.items():
        yield f"# {name} =" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}"


def _flat_class() -> type[Any]:
    """One class with the fields of all three parts, so that one file and one prefix hold them all."""
    fields: dict[str, Any] = {}
    for part in (Ours, HttpSettings, Settings):
        types = get_type_hints(part, include_extras=True)
        for each in attrs.fields(part):
            if each.name in KEYS:
                continue
            assert each.name not in fields, f"two settings are called {each.name}"
            fields[each.name] = attrs.field(
                default=attrs.Factory(lambda: not watched()) if each.name == "log_json" else each.default,
                type=types[each.name],
                validator=each.validator,
                kw_only=True,
            )
    return attrs.make_class("Flat", fields, frozen=True)


def _part(part: type[Any], flat: Mapping[str, object]) -> dict[str, Any]:
    return {each.name: flat[each.name] for each in attrs.fields(part) if each.name in flat}


def config_files(config: str | None) -> list[Path]:
    """The settings file that is read, whether or not it is there. Raises CommandFailure if it was named and is not."""
    named = config or os.environ.get(CONFIG_VARIABLE)
    if not named:
        return [default_config()]
    if not Path(named).is_file():
        raise unfit(f"there is no settings file {named}")
    return [Path(named)]


def _causes(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    else:
        # A validator of attrs raises with the whole attribute behind its message.
        yield str(error.args[0] if error.args and isinstance(error.args[0], str) else error)
