"""Points the telemetry of Astronomer Cosmos at a relay on this machine. For Airflow 2.11 and 3, in the plugins folder.

COSMOS_TELEMETRY_RELAY_URL says where the relay is, http://127.0.0.1:8787 without it. Set but empty, Cosmos is left as it is.
Opt-outs are none of this file's business: Cosmos asks for them first, and so does the relay.
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
        _ = parts.port  # Asking for it is what checks it.
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment


def relayed(template: str, relay_url: str) -> str:
    """Cosmos' URL template at the relay: another origin, the same path and placeholders."""
    if not is_origin_and_path(relay_url):
        # Without its value, which may hold a credential.
        raise ValueError(f"{RELAY_URL} is not an http(s) URL of host, port and path alone")
    # Cosmos calls str.format on all of it, and braces of ours are no placeholders.
    base = relay_url.rstrip("/").replace("{", "{{").replace("}", "}}")
    # Airflow loads plug-ins again in processes that were forked from one that had: a path of the relay's must not double.
    if template.startswith(f"{base}/"):
        return template
    path = template.split("://", 1)[1].split("/", 1)[1]
    return f"{base}/{path}"


def reach_without_proxy(host: str, environ: os._Environ[str] | dict[str, str]) -> None:
    """Names the host in NO_PROXY. A forwarding proxy cannot reach this machine's relay, and a 200 of its own looks like success."""
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

    # Both or neither: computed before anything is changed.
    template = relayed(constants.TELEMETRY_URL, relay_url)
    reach_without_proxy(str(urlsplit(relay_url).hostname), os.environ)
    constants.TELEMETRY_URL = template


try:
    point_cosmos_at_relay()
except Exception:  # Airflow comes first: whatever is wrong here, it starts, and Cosmos is as it was.
    logger.exception("Cosmos' telemetry was not pointed at the relay")


class CosmosTelemetryRelayPlugin(AirflowPlugin):
    """Lets `airflow plugins` list this file."""

    name = "cosmos_telemetry_relay"
