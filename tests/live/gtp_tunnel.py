"""Tells a GTP device of the kernel a tunnel (generic netlink, <linux/gtp.h>).

usage: gtp_tunnel.py DEVICE MOBILE PEER IN OUT

MOBILE is the address of the mobile station, PEER the other end; IN and OUT are the endpoint identifiers of the directions.
"""

import os
import socket
import struct
import sys

NETLINK_GENERIC = 16
ERROR = 2
REQUEST_AND_ACKNOWLEDGE = 5
CONTROLLER, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
NEW_TUNNEL = 0
LINK, VERSION, PEER, MOBILE, IN, OUT = 1, 2, 4, 5, 8, 9


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def ask(wire, family, command, version, attributes):
    """The attributes of the answer, by kind; none where it only acknowledges."""
    body = struct.pack("=BBH", command, version, 0) + attributes
    wire.send(struct.pack("=IHHII", 16 + len(body), family, REQUEST_AND_ACKNOWLEDGE, 1, 0) + body)
    answer = {}
    while True:
        message = wire.recv(65536)
        at = 0
        while at < len(message):
            length, kind = struct.unpack_from("=IH", message, at)
            if kind == ERROR:
                error = -struct.unpack_from("=i", message, at + 16)[0]
                if error:
                    raise OSError(error, os.strerror(error))
                return answer
            place = at + 20
            while place + 4 <= at + length:
                size, kind = struct.unpack_from("=HH", message, place)
                answer[kind] = message[place + 4 : place + size]
                place += (size + 3) & ~3
            at += (length + 3) & ~3


def main():
    device, mobile, peer, number_in, number_out = sys.argv[1:]
    wire = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    wire.bind((0, 0))
    family = ask(wire, CONTROLLER, GET_FAMILY, 1, attribute(FAMILY_NAME, b"gtp\0"))[FAMILY_ID]
    number = lambda value: struct.pack("=I", int(value))
    attributes = b"".join(
        attribute(kind, value)
        for kind, value in (
            (LINK, number(socket.if_nametoindex(device))),
            (VERSION, number(1)),
            (PEER, socket.inet_aton(peer)),
            (MOBILE, socket.inet_aton(mobile)),
            (IN, number(number_in)),
            (OUT, number(number_out)),
        )
    )
    ask(wire, struct.unpack("=H", family)[0], NEW_TUNNEL, 0, attributes)


main()
