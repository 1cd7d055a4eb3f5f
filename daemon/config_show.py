"""The configuration as it is understood, defaults included, as YAML that can be used again."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import yaml

from daemon.config_model import Config, Folder, Notify, Web
from daemon.request import settings_to_plain
from engine.settings import Settings


def show(config: Config, *, as_json: bool = False) -> str:
    """YAML, or JSON."""
    plain = {
        "state_dir": str(config.state_dir),
        **({} if config.work_base is None else {"work_dir": str(config.work_base)}),
        "device": str(config.device),
        "rescan_s": config.rescan_s,
        "check_space": config.check_space,
        "reports": str(config.reports),
        "web": False if config.web is None else _web(config.web),
        **({} if config.notify is None else {"notify": _notify(config.notify)}),
        "limits": dataclasses.asdict(config.limits),
        "retention": dataclasses.asdict(config.retention),
        "retry": dataclasses.asdict(config.retry),
        "worker": dataclasses.asdict(config.worker),
        **({"hours": [str(span) for span in config.hours]} if config.hours else {}),
        **({} if config.cluster is None else {"cluster": config.cluster.to_plain()}),
        "profiles": {name: _profile(settings) for name, settings in config.profiles.items()},
        "folders": [_folder(folder) for folder in config.folders],
    }
    if as_json:
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)
    return f"# {config.path.absolute()}\n{text}"


def _web(web: Web) -> dict[str, Any]:
    place = {"host": web.host, "port": web.port} if web.socket is None else {"socket": str(web.socket)}
    return {**place, **({"names": list(web.names)} if web.names else {})}


def _notify(notify: Notify) -> dict[str, Any]:
    return {"urls": list(notify.urls), "on": [kind.value for kind in notify.on]}


def _profile(settings: Settings) -> dict[str, Any]:
    plain = settings_to_plain(settings)
    return {key: value for key, value in plain.items() if value is not None and key not in ("device", "limits")}


def _folder(folder: Folder) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(folder):
        value = getattr(folder, field.name)
        if field.name == "settings" or value is None:
            continue
        plain[field.name] = list(value) if isinstance(value, tuple) else value
        if not isinstance(value, bool | int | float | tuple):
            plain[field.name] = str(value)
    return plain
