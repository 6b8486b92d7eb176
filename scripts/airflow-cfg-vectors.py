"""Writes test/vectors/airflow-cfg.json: configuration texts and how Python itself reads them.

Run it by hand (python3 scripts/airflow-cfg-vectors.py) after adding a case; the tests read its output and need no Python.
The parser is Python's configparser with its default settings. The values are then processed as in Airflow.
"""
import configparser
import io
import json
import os
import pathlib
import random
import sys

SEED = 20
RANDOM_CASES = 500
SECTION, OPTION = "cosmos", "enable_telemetry"
TARGET = pathlib.Path(__file__).parent.parent / "test" / "vectors" / "airflow-cfg.json"

# Variables for Airflow's expansion of values. None grows endlessly (X=a$X), because Airflow itself would hang.
ENV = {"YES": "true", "NO": "false", "NESTED": "$NO", "BRACED": "${YES}", "SPACE": " true ", "HOME": "/home/somebody", "EMPTY": "", "SELF": "$SELF"}


class LineKeeper(dict):
    """A section that records the line of each option. `reader` is replaced for each text."""

    reader = None

    def __init__(self, *args):
        super().__init__(*args)
        self.lines = {}

    def __setitem__(self, key, value):
        if isinstance(value, list):
            self.lines[key] = LineKeeper.reader.line
        super().__setitem__(key, value)


class Reader:
    """Yields lines like open() does (UTF-8, universal newlines) and counts them."""

    def __init__(self, text):
        self.stream = io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), encoding="utf-8")
        self.line = 0

    def __iter__(self):
        for line in self.stream:
            self.line += 1
            yield line


def expand(value):
    """Airflow expands variables and ~ until nothing changes."""
    while value:
        after = os.path.expanduser(os.path.expandvars(value))
        if after == value:
            break
        value = after
    return value


def boolean(value):
    """Airflow's getboolean: lower case, trimmed, without what follows #."""
    value = value.lower().strip()
    if "#" in value:
        value = value.split("#")[0].strip()
    return {"t": "true", "true": "true", "1": "true", "f": "false", "false": "false", "0": "false"}.get(value, "unknown")


def ask(text):
    parser = configparser.ConfigParser(dict_type=LineKeeper)
    LineKeeper.reader = Reader(text)
    try:
        parser.read_file(LineKeeper.reader, source="airflow.cfg")
        if not parser.has_option(SECTION, OPTION):
            return {"text": text, "want": "default"}
        section = parser._sections[SECTION]
        line = (section if OPTION in section else parser._defaults).lines[OPTION]
        value = parser.get(SECTION, OPTION)
    except configparser.Error:
        return {"text": text, "want": "error"}
    return {"text": text, "want": boolean(expand(value)), "line": line}


def by_hand():
    head = "[cosmos]\n"
    for value in ("true", "false", "True", "FALSE", "t", "f", "T", "F", "1", "0", "yes", "no", "on", "off", "2", "", "none", "null", "disabled"):
        yield f"{head}enable_telemetry = {value}\n"
    for line in (
        "enable_telemetry=false", "enable_telemetry:false", "enable_telemetry : false", "enable_telemetry   =   false   ",
        "enable_telemetry\t=\tfalse", "ENABLE_TELEMETRY = false", "Enable_Telemetry: False", "enable_telemetry = = false",
        "enable_telemetry : = false", "enable_telemetry = : false", "enable_telemetry", "enable_telemetry false", "= false", ": false",
        "enable_telemetry = false # legal asked", "enable_telemetry = false#x", "enable_telemetry = true # false", "enable_telemetry = # false",
        "enable_telemetry = false ; legal", "enable_telemetry = true ; legal", "enable_telemetry = \"false\"", "enable_telemetry = 'true'",
        "enable telemetry = false", "enable-telemetry = false", "enable_telemetry.x = false", "x.enable_telemetry = false",
        "# enable_telemetry = false", "; enable_telemetry = false", "  # enable_telemetry = false", "\t;enable_telemetry = false",
        "    enable_telemetry = false", "export enable_telemetry = false", "enable_telemetry += false", "enable_telemetry[] = false",
        "enable_telemetry = false\\", "enable_telemetry = tr\\\nue", "__proto__ = 1\nenable_telemetry = false", "constructor = 1",
        "enable_telemetry =\n  false", "enable_telemetry =\n\n  false", "enable_telemetry =\n# a comment\n  false", "enable_telemetry =\n  # a comment\n  true",
        "enable_telemetry = true\n  false", "enable_telemetry = true\n\n\n", "enable_telemetry = true\n  # said so", "enable_telemetry = true\n\n  false",
        "enable_telemetry = true\n  [other]", "enable_telemetry = true\n  enable_telemetry = false", "other = 1\n  enable_telemetry = false",
        "  other = 1\n  enable_telemetry = false", "  other = 1\n enable_telemetry = false", " other = 1\n\t\tenable_telemetry = false",
        "other =\nenable_telemetry = false", "other = 1\n\n\n  enable_telemetry = false", "other = 1\n;c\n  enable_telemetry = false",
        "enable_telemetry = true\nenable_telemetry = false", "enable_telemetry = true\nENABLE_TELEMETRY = true", "other = 1\nother = 2\nenable_telemetry = true",
        "enable_telemetry = %%", "enable_telemetry = %(answer)s\nanswer = false", "answer = true\nenable_telemetry = %(answer)s",
        "enable_telemetry = %(ANSWER)s\nanswer = true", "enable_telemetry = %(missing)s", "enable_telemetry = %", "enable_telemetry = 100%", "enable_telemetry = %(answer)",
        "enable_telemetry = %()s", "enable_telemetry = %(answer)d\nanswer = 1", "enable_telemetry = %(a)s%(b)s\na = tr\nb = ue", "enable_telemetry = %(enable_telemetry)s",
        "enable_telemetry = %(a)s\na = %(b)s\nb = %(a)s", "enable_telemetry = %(a)s\na = %%", "enable_telemetry = %%(a)s\na = true", "enable_telemetry = true\nother = 5%",
        "enable_telemetry = true%%", "enable_telemetry = tr%(u)se\nu = u", "enable_telemetry = %(a)s # %(\na = false", "enable_telemetry = %(a)s\na = true\n  # x\n",
        "enable_telemetry = %(a b)s\na b = false", "enable_telemetry = %(a\n  b)s\na = 1", "enable_telemetry = %(a)s\na =\n  false", "enable_telemetry = %%%(a)s\na = 1",
        "enable_telemetry = $YES", "enable_telemetry = ${NO}", "enable_telemetry = $NESTED", "enable_telemetry = $BRACED", "enable_telemetry = $SPACE",
        "enable_telemetry = $MISSING", "enable_telemetry = $EMPTY", "enable_telemetry = $EMPTY$YES", "enable_telemetry = ~", "enable_telemetry = $SELF",
        "enable_telemetry = $$YES", "enable_telemetry = ${YES", "enable_telemetry = ${}", "enable_telemetry = $", "enable_telemetry = $YESNO", "enable_telemetry = ~/x",
        "enable_telemetry = $YES # $NO", "enable_telemetry = true$EMPTY", "enable_telemetry = %(v)s\nv = $NO", "enable_telemetry = ~nobody-here",
        "enable_telemetry = false\u00a0", "\u2003enable_telemetry = false", "enable_telemetry\u00a0= false", "enable_telemetry = \u0085false", "enable_telemetry = false\u001c",
        "enable_telemetry = false\ufeff", "enable_telemetry = true\u200b", "\ufeffenable_telemetry = false", "enable_telemetry = true\u2028", "enable_telemetry = tr\u2028ue",
        "enable_telemetry = \u2028false", "enable_telemetry = false\u000b", "enable_telemetry = false\u000c", "enable_telemetry = fa\u0000lse", "enable_telemetry = ｔｒｕｅ",
        "enable_telemetry = t\u0130ue", "\u0130 = 1\ni\u0307 = 2\nenable_telemetry = true", "\u212a = 1\nk = 2\nenable_telemetry = true", "x\u2028y = 1\nenable_telemetry = false",
        "enable_telemetry = false\rother = 1", "other = 1\renable_telemetry = false", "a = 1\u0085enable_telemetry = false", "a = 1\u2028enable_telemetry = false",
        "a = 1\u000cenable_telemetry = false", "\u001cenable_telemetry = false", "a = 1\n\u001cenable_telemetry = false", "a = 1\n\u00a0enable_telemetry = false", "[]\nenable_telemetry = false",
        "[] = 1\nenable_telemetry = false", "[x\nenable_telemetry = false", "[x = 1\nenable_telemetry = false", "]\nenable_telemetry = false", "[x]]\nenable_telemetry = false",
    ):
        yield head + line + "\n"
    for text in (
        "", "\n", "   \n\t\n", "# nothing\n", "; nothing\n", "[cosmos]", "[cosmos]\n", "[core]\nx = 1\n", "enable_telemetry = false\n", "enable_telemetry = false\n[cosmos]\n",
        "# c\nenable_telemetry = false\n", "  x\n", "[cosmos]enable_telemetry = false\n", "[cosmos] # c\nenable_telemetry = false\n", "[cosmos] enable_telemetry = true\nenable_telemetry = false\n",
        "[cosmos ]\nenable_telemetry = false\n", "[ cosmos ]\nenable_telemetry = false\n", "[Cosmos]\nenable_telemetry = false\n", "[COSMOS]\nenable_telemetry = false\n",
        "  [cosmos]\nenable_telemetry = false\n", "  [cosmos]\n    enable_telemetry = false\n", "[cosmos]\n  enable_telemetry = false\n[core]\nx=1\n",
        "[core]\nx = 1\n  [cosmos]\nenable_telemetry = false\n", "[core]\nx = 1\n[cosmos]\nenable_telemetry = false\n", "[core]\nx = 1\n\n [cosmos]\n enable_telemetry = false\n",
        "[cosmos\nenable_telemetry = false\n", "cosmos]\nenable_telemetry = false\n", "[[cosmos]]\nenable_telemetry = false\n", "[cosmos]]\nenable_telemetry = false\n",
        "[cosmos][x]\nenable_telemetry = false\n", "[]\nenable_telemetry = false\n", "[]]\nenable_telemetry = false\n[cosmos]\nenable_telemetry = true\n",
        "[cosmos]\nenable_telemetry = true\n[cosmos]\nenable_telemetry = false\n", "[cosmos]\n[cosmos]\n", "[core]\n[cosmos]\nenable_telemetry = true\n[core]\n",
        "[DEFAULT]\nenable_telemetry = false\n", "[DEFAULT]\nenable_telemetry = false\n[cosmos]\n", "[DEFAULT]\nenable_telemetry = false\n[core]\n",
        "[DEFAULT]\nenable_telemetry = false\n[cosmos]\nenable_telemetry = true\n", "[cosmos]\nother = 1\n[DEFAULT]\nEnable_Telemetry: false\n", "[default]\nenable_telemetry = false\n[cosmos]\n",
        "[DEFAULT]\n[DEFAULT]\nenable_telemetry = false\n[cosmos]\n", "[DEFAULT]\na = 1\n[cosmos]\nenable_telemetry = %(a)s\n", "[DEFAULT]\nenable_telemetry = %(a)s\na = 0\n[cosmos]\na = 1\n",
        "[DEFAULT]\nx = 1\n[cosmos]\nenable_telemetry = true\n[DEFAULT]\nx = 2\n", "[DEFAULT]\nx = 1\n[cosmos]\n[DEFAULT]\nenable_telemetry = false\n", "[core]\na = false\n[cosmos]\nenable_telemetry = %(a)s\n",
        "\ufeff[cosmos]\nenable_telemetry = false\n", "\ufeff[cosmos]\nenable_telemetry = true\n", "\ufeff# c\n[cosmos]\nenable_telemetry = true\n", "\ufeff\n[cosmos]\nenable_telemetry = true\n", "\ufeff",
        "\n\ufeff[cosmos]\nenable_telemetry = false\n", "[cosmos]\n\ufeffenable_telemetry = true\n", "[core]\nx=1\n\ufeff[cosmos]\nenable_telemetry = false\n",
        "[cosmos]\r\nenable_telemetry = false\r\n", "[cosmos]\r\nenable_telemetry = true\r\n\r\n[core]\r\nx = 1\r\n", "[cosmos]\renable_telemetry = false\r", "[cosmos]\n\renable_telemetry = false\n\r",
        "[cosmos]\r\nenable_telemetry =\r\n  false\r\n", "[cosmos]\nenable_telemetry = false", "[core]\nx\n[cosmos]\nenable_telemetry = true\n", "[cosmos]\nenable_telemetry = true\nbroken\n",
        "[core]\nsql_alchemy_conn = postgres://u:p%40w@h/d\n[cosmos]\nenable_telemetry = true\n", "[core]\nfernet_key = %(\n[cosmos]\nenable_telemetry = true\n",
        "[logging]\nlog_format = [%%(asctime)s] %%(message)s\n[cosmos]\nenable_telemetry = false\n", "[a]\n<<<<<<< HEAD\n[cosmos]\nenable_telemetry = false\n", "\u0000", "[cosmos]\u0000\nenable_telemetry = false\n",
    ):
        yield text
    for depth in (8, 9, 10, 11):
        chain = "".join(f"o{i} = %(o{i + 1})s\n" for i in range(depth))
        yield f"{head}enable_telemetry = %(o0)s\n{chain}o{depth} = false\n"
        yield f"{head}enable_telemetry = %(o0)s\n{chain}o{depth} = tru%(e)s\ne = e\n"


def at_random(source):
    """Mostly valid texts: names and sections are drawn from a deck, so that only some occur twice."""
    values = ["true", "false", "t", "0", "1", "", "maybe", "%(a)s", "%(b)s", "%%", "%", "$NO", "${YES}", "true # x", "false;x", "x = y", "[x]"]
    indents = ["", "", "", "", "", " ", "  ", "\t", "    "]
    ends = ["\n", "\n", "\n", "\r\n", "\r", "\n\n"]

    def deck(cards, some_twice):
        cards = [*cards, source.choice(cards)] if source.random() < some_twice else [*cards]
        source.shuffle(cards)
        return iter(cards * 9)

    for _ in range(RANDOM_CASES):
        names = deck(["Enable_Cache", "a", "b", "C", "d e", "x.y"], 0.2)
        sections = deck(["[DEFAULT]", "[core]", "[Cosmos]", "[logging] x", "[api]"], 0.1)
        first = source.choice(["[cosmos]\n"] * 8 + ["[DEFAULT]\n"] * 3 + [""])
        lines = [first]
        count = source.randint(0, 8)
        target = source.randint(0, count)
        for index in range(count):
            kind = source.random()
            if index == target:
                line = source.choice(["enable_telemetry", "Enable_Telemetry"]) + source.choice(["=", " : "]) + source.choice(values)
            elif kind < 0.10:
                line = next(sections)
            elif kind < 0.70:
                line = next(names) + source.choice(["=", " = ", ":", " : ", " ="]) + source.choice(values)
            elif kind < 0.78:
                line = source.choice(["# c", "; c", "#", ";enable_telemetry = false", "[cosmos]" if first != "[cosmos]\n" else "#"])
            elif kind < 0.88:
                line = ""
            elif kind < 0.98:
                line = "  " + source.choice(values[:9])
            else:
                line = source.choice(["broken", "= x", "\ufeff", "\u00a0", "[]", "["])
            lines.append(source.choice(indents) + line + source.choice(ends))
        yield "".join(lines)


def main():
    os.environ.clear()
    os.environ.update(ENV)
    texts = list(dict.fromkeys([*by_hand(), *at_random(random.Random(SEED))]))
    cases = [ask(text) for text in texts]
    python = ".".join(str(part) for part in sys.version_info[:2])
    lines = ",\n".join(json.dumps(case) for case in cases)
    TARGET.write_text(f'{{"python": "{python}", "env": {json.dumps(ENV)}, "cases": [\n{lines}\n]}}\n', encoding="ascii")
    counts = {}
    for case in cases:
        counts[case["want"]] = counts.get(case["want"], 0) + 1
    print(f"{len(cases)} cases: {counts}")


main()
