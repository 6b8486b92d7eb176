"""The wire between the two hosts of the lab: takes each frame from one interface, holds it, and puts it on the other one.

usage: wire.py HOLD_MS LEFT RIGHT

Commands come as lines of JSON on standard input, and each gets one line as its answer:
  {"do": "rules", "rules": [{"protocol": "tcp"|"udp", "to": PORT, "from": PORT, "address": IPv4 or IPv6 of the receiver,
                             "onlySyn": true, "count": N}, ...]}
      drops the frames that match one of the rules; a rule with `count` drops that many and lets the rest pass
  {"do": "hold", "ms": N}   changes how long frames are held, from the next one on
  {"do": "cut", "cut": true|false}   drops everything, or no longer
  {"do": "count"}           answers with the number of frames that were carried and dropped
The program ends at the end of its input.
"""
import collections
import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SIOCETHTOOL = 0x8946
ETHTOOL_SET = {"tx checksum": 0x17, "gso": 0x24, "tso": 0x1F, "gro": 0x2C, "sg": 0x19}
SYN, ACK = 0x02, 0x10


def switch_off_offload(interface):
    """A frame that the sender left for the hardware to finish would leave here unfinished: without a checksum, or too long."""
    import ctypes

    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for command in ETHTOOL_SET.values():
        value = ctypes.create_string_buffer(struct.pack("II", command, 0))
        request = struct.pack("16sP", interface.encode(), ctypes.addressof(value)) + bytes(16)
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError:
            pass  # An offload that the interface does not have needs no switching off.
    control.close()


def open_interface(interface):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    raw.bind((interface, 0))
    raw.setblocking(False)
    return raw


def describe(frame):
    """Protocol, receiver, ports and TCP flags of a frame; None for what is neither TCP nor UDP."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800:
        protocol, address, at = frame[23], frame[30:34], 14 + (frame[14] & 15) * 4
    elif kind == 0x86DD:
        protocol, address, at = frame[20], frame[38:54], 54
    else:
        return None
    if protocol not in (6, 17) or len(frame) < at + 8:
        return None
    sender, receiver = struct.unpack_from("!HH", frame, at)
    flags = frame[at + 13] if protocol == 6 else 0
    return {6: "tcp", 17: "udp"}[protocol], str(ipaddress.ip_address(address)), sender, receiver, flags


class Wire:
    def __init__(self, hold_ms, names):
        self.hold = hold_ms / 1000
        self.rules = []
        self.cut = False
        self.carried = 0
        self.dropped = 0
        self.sockets = [open_interface(name) for name in names]
        self.waiting = collections.deque()

    def drops(self, frame):
        if self.cut:
            return True
        facts = describe(frame) if self.rules else None
        if facts is None:
            return False
        protocol, address, sender, receiver, flags = facts
        for rule in self.rules:
            if rule.get("count", 1) <= 0 or rule.get("protocol", protocol) != protocol:
                continue
            if rule.get("to", receiver) != receiver or rule.get("from", sender) != sender or rule.get("address", address) != address:
                continue
            if rule.get("onlySyn") and flags & (SYN | ACK) != SYN:
                continue
            if "count" in rule:
                rule["count"] -= 1
            return True
        return False

    def take(self, index):
        while True:
            try:
                frame, place = self.sockets[index].recvfrom(65536)
            except BlockingIOError:
                return
            if place[2] == PACKET_OUTGOING:
                continue
            if self.drops(frame):
                self.dropped += 1
            else:
                self.waiting.append((time.monotonic() + self.hold, 1 - index, frame))

    def pass_on(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, index, frame = self.waiting.popleft()
            try:
                self.sockets[index].send(frame)
                self.carried += 1
            except OSError:
                self.dropped += 1

    def obey(self, command):
        if command["do"] == "rules":
            self.rules = command["rules"]
        elif command["do"] == "hold":
            self.hold = command["ms"] / 1000
        elif command["do"] == "cut":
            self.cut = command["cut"]
        return {"carried": self.carried, "dropped": self.dropped}

    def run(self):
        commands = b""
        poll = select.poll()
        for source in [0, *self.sockets]:
            poll.register(source, select.POLLIN)
        index_of = {raw.fileno(): index for index, raw in enumerate(self.sockets)}
        while True:
            wait = None if not self.waiting else max(0, (self.waiting[0][0] - time.monotonic()) * 1000)
            for descriptor, _ in poll.poll(wait):
                if descriptor != 0:
                    self.take(index_of[descriptor])
                    continue
                got = os.read(0, 65536)
                if got == b"":
                    return
                *lines, commands = (commands + got).split(b"\n")
                for line in lines:
                    print(json.dumps(self.obey(json.loads(line))), flush=True)
            self.pass_on()


def main():
    if sys.argv[1] == "offload":
        for name in sys.argv[2:]:
            switch_off_offload(name)
        return
    names = sys.argv[2:4]
    for name in names:
        switch_off_offload(name)
    wire = Wire(float(sys.argv[1]), names)
    print(json.dumps({"ready": True}), flush=True)
    wire.run()


main()
