"""Tests the plug-in of `examples/airflow` with good and bad settings, in an Airflow that is not running."""

import importlib.util
import os
import sys
import unittest
from pathlib import Path
from unittest.mock import patch

import airflow  # Before Cosmos: importing Cosmos first fails in a circular import of Airflow.
from cosmos import constants

PLUGIN = Path(__file__).parents[2] / "examples" / "airflow" / "plugins" / "cosmos_telemetry_relay.py"
TEMPLATE = constants.TELEMETRY_URL
REST = "astronomer-cosmos/{telemetry_version}/{event_type}?{query_string}"


def load(**environ):
    """Loads the plug-in as Airflow does, with only these variables. Returns the URL of Cosmos and the environment afterwards."""
    with patch.dict(os.environ, environ, clear=True):
        spec = importlib.util.spec_from_file_location("plugin_under_test", PLUGIN)
        module = importlib.util.module_from_spec(spec)
        # Dataclasses and loggers look up a module by its name.
        sys.modules["plugin_under_test"] = module
        spec.loader.exec_module(module)
        return constants.TELEMETRY_URL, dict(os.environ)


class Plugin(unittest.TestCase):
    def setUp(self):
        constants.TELEMETRY_URL = TEMPLATE

    def test_cosmos_is_what_this_was_written_for(self):
        self.assertEqual(TEMPLATE.split("/", 3)[3], REST)

    def test_default(self):
        url, environ = load()
        self.assertEqual(url, f"http://127.0.0.1:8787/{REST}")
        self.assertEqual((environ["no_proxy"], environ["NO_PROXY"]), ("127.0.0.1", "127.0.0.1"))

    def test_another_place(self):
        url, environ = load(COSMOS_TELEMETRY_RELAY_URL="http://relay.internal:9000/")
        self.assertEqual(url, f"http://relay.internal:9000/{REST}")
        self.assertEqual(environ["NO_PROXY"], "relay.internal")

    def test_ipv6(self):
        url, environ = load(COSMOS_TELEMETRY_RELAY_URL="http://[::1]:9000")
        self.assertEqual(url, f"http://[::1]:9000/{REST}")
        self.assertEqual(environ["NO_PROXY"], "::1")

    def test_a_path_does_not_double_when_the_plugin_is_loaded_again(self):
        for _ in range(3):
            url, environ = load(COSMOS_TELEMETRY_RELAY_URL="http://127.0.0.1:9000/a-secret", NO_PROXY="localhost,127.0.0.1")
            self.assertEqual(url, f"http://127.0.0.1:9000/a-secret/{REST}")
            self.assertEqual(environ["NO_PROXY"], "localhost,127.0.0.1")

    def test_braces_are_no_placeholders(self):
        url, _ = load(COSMOS_TELEMETRY_RELAY_URL="http://127.0.0.1:9000/{x}")
        self.assertEqual(url.format(telemetry_version="v3", event_type="dag_run", query_string="a=1"), "http://127.0.0.1:9000/{x}/astronomer-cosmos/v3/dag_run?a=1")

    def test_the_operators_exceptions_stay(self):
        for given, then in [
            ({"NO_PROXY": "localhost"}, {"NO_PROXY": "localhost,127.0.0.1"}),
            ({"no_proxy": " a.test , b.test"}, {"no_proxy": "a.test,b.test,127.0.0.1"}),
            ({"no_proxy": "a.test", "NO_PROXY": "b.test"}, {"no_proxy": "a.test,127.0.0.1", "NO_PROXY": "b.test,127.0.0.1"}),
            ({"NO_PROXY": "*"}, {"NO_PROXY": "*"}),
            ({"NO_PROXY": ""}, {"NO_PROXY": "127.0.0.1"}),
        ]:
            with self.subTest(given):
                _, environ = load(**given)
                self.assertEqual({name: value for name, value in environ.items() if name.lower() == "no_proxy"}, then)

    def test_off(self):
        self.assertEqual(load(COSMOS_TELEMETRY_RELAY_URL=""), (TEMPLATE, {"COSMOS_TELEMETRY_RELAY_URL": ""}))

    def test_a_mistake_is_logged_and_changes_nothing(self):
        for mistake in ["relay", "ftp://127.0.0.1", "http://", "http://me:hunter2@127.0.0.1", "http://127.0.0.1?x", "http://127.0.0.1#x", "http://[::1", "http://127.0.0.1:port"]:
            with self.subTest(mistake), self.assertLogs("plugin_under_test", "ERROR") as logs:
                url, environ = load(COSMOS_TELEMETRY_RELAY_URL=mistake)
                self.assertEqual(url, TEMPLATE)
                self.assertEqual(list(environ), ["COSMOS_TELEMETRY_RELAY_URL"])
                self.assertNotIn("hunter2", "\n".join(logs.output))

    def test_a_cosmos_without_the_constant_does_not_stop_airflow(self):
        with patch.object(constants, "TELEMETRY_URL", None), self.assertLogs("plugin_under_test", "ERROR"):
            url, environ = load()
            self.assertIsNone(url)
            self.assertEqual(environ, {})


unittest.main()
