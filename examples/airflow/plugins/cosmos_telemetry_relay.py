"""Sends the telemetry of Astronomer Cosmos to a relay on this machine. For Airflow 2.11 and 3, in the plugins folder.

COSMOS_TELEMETRY_RELAY_URL is the address of the relay, by default http://127.0.0.1:8787. If it is set but empty, Cosmos is not changed.
This file does not check opt-outs: Cosmos checks them before it sends, and so does the relay.
"""

from __future__ import annotations

import logging
import os
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

logger = logging.getLogger(__name__)

RELAY_URL = "COSMOS_TELEMETRY_RELAY_URL"
DEFAULT_RELAY_URL = "http://127.0.0.1:8787"


def is_origin_and_path(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # Reading the port validates it.
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment


def relayed(template: str, relay_url: str) -> str:
    """Cosmos' URL template with the relay as its origin; path and placeholders stay the same."""
    if not is_origin_and_path(relay_url):
        # The message leaves out the value, which may contain a credential.
        raise ValueError(f"{RELAY_URL} is not an http(s) URL of host, port and path alone")
    # Cosmos calls str.format on the whole URL, so braces in the relay's URL are escaped.
    base = relay_url.rstrip("/").replace("{", "{{").replace("}", "}}")
    # Airflow loads plug-ins again in forked processes: do not prepend the relay's path twice.
    if template.startswith(f"{base}/"):
        return template
    path = template.split("://", 1)[1].split("/", 1)[1]
    return f"{base}/{path}"


def reach_without_proxy(host: str, environ: os._Environ[str] | dict[str, str]) -> None:
    """Adds the host to NO_PROXY. A proxy cannot reach this machine's relay, but if it answers 200 itself, that looks like success."""
    names = [name for name in ("no_proxy", "NO_PROXY") if name in environ] or ["no_proxy", "NO_PROXY"]
    for name in names:
        listed = [entry.strip() for entry in environ.get(name, "").split(",") if entry.strip()]
        if host not in listed and "*" not in listed:
            environ[name] = ",".join([*listed, host])


def point_cosmos_at_relay() -> None:
    relay_url = os.environ.get(RELAY_URL, DEFAULT_RELAY_URL).strip()
    if not relay_url:
        return
    from cosmos import constants

    # Compute the template first, so that an error leaves everything unchanged.
    template = relayed(constants.TELEMETRY_URL, relay_url)
    reach_without_proxy(str(urlsplit(relay_url).hostname), os.environ)
    constants.TELEMETRY_URL = template


try:
    point_cosmos_at_relay()
except Exception:  # An error here must not stop Airflow; Cosmos then stays unchanged.
    logger.exception("Cosmos' telemetry does not use the relay")


class CosmosTelemetryRelayPlugin(AirflowPlugin):
    """Makes `airflow plugins` list this file."""

    name = "cosmos_telemetry_relay"
