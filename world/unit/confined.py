"""Runs a command under the filters of a systemd unit: the same seccomp rules that systemd makes of them, by libseccomp.

Usage: confined.py RULES COMMAND [ARGUMENT...]; RULES is JSON, see `systemd-unit.world.mjs`. Exit code 77: the user of the unit cannot
read what it must run.
"""
import ctypes
import errno
import json
import os
import socket
import sys

ALLOW = 0x7FFF0000
EQUAL, GREATER = 4, 6
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
# Families above the highest number that Linux has are refused by one rule.
AF_MAX = 63


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p
libc = ctypes.CDLL(None, use_errno=True)


def refuse(code):
    return 0x00050000 | code


def load(default_action, rules):
    """Loads one filter. A rule is (action, system call, comparisons); system calls that this machine does not have are left out."""
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(default_action)))
    for action, name, comparisons in rules:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0 or action == default_action:
            continue
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        result = seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array)
        if result not in (0, -errno.EEXIST):
            sys.exit(f"no rule for {name}: {os.strerror(-result)}")
    result = seccomp.seccomp_load(context)
    if result != 0:
        sys.exit(f"no filter: {os.strerror(-result)}")


def restrict_families(names):
    """RestrictAddressFamilies: every other family is refused with EAFNOSUPPORT."""
    allowed = {int(getattr(socket, name)) for name in names}
    rules = [(refuse(errno.EAFNOSUPPORT), "socket", [Comparison(0, GREATER, AF_MAX, 0)])]
    for family in range(AF_MAX + 1):
        if family not in allowed:
            rules.append((refuse(errno.EAFNOSUPPORT), "socket", [Comparison(0, EQUAL, family, 0)]))
    load(ALLOW, rules)


def filter_calls(allowed, known, code):
    """SystemCallFilter as an allow list: other calls are refused with the unit's error, and calls that systemd does not know with ENOSYS."""
    rules = [(ALLOW, name, []) for name in allowed]
    rules += [(refuse(code), name, []) for name in known if name not in set(allowed)]
    load(refuse(errno.ENOSYS), rules)


def main():
    rules = json.loads(sys.argv[1])
    command = sys.argv[2:]
    os.umask(int(rules["umask"], 8))
    if rules["dropCapabilities"]:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if rules["uid"] is not None:
        os.setgroups([])
        os.setgid(rules["uid"])
        os.setuid(rules["uid"])
        if not all(os.access(path, os.R_OK) for path in rules["reads"]):
            sys.exit(77)
    if rules["noNewPrivileges"]:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if rules["families"] is not None:
        restrict_families(rules["families"])
    if rules["calls"] is not None:
        filter_calls(rules["calls"], rules["known"], getattr(errno, rules["errorNumber"]))
    os.execvp(command[0], command)


main()
