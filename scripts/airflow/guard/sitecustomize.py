"""Python runs this file before any other code. It refuses and records connections and name look-ups that leave this machine."""

import ipaddress
import json
import os
import sys

ESCAPES = os.environ.get("AIRFLOW_TEST_ESCAPES")


def is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost", os.uname().nodename):
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%", 1)[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def watch(event: str, arguments: tuple) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if is_here(host):
        return
    with open(str(ESCAPES), "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": event, "host": str(host), "program": sys.argv[:3]}) + "\n")
    raise PermissionError(f"the test allows only this machine: {event} {host}")


if ESCAPES:
    sys.addaudithook(watch)
