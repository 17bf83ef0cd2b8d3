"""Makes a PPP device in the kernel without the protocols that agree on one: both ends just say the same.

usage: ppp_device.py pppoe|l2tp|pptp DEVICE LOCAL REMOTE

The addresses are those of the ends, on eth0; pppoe wants the remote one in the neighbour table. The device is there as long
as the process, which goes on in the background.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

AF_PPPOX = 24
PPPOE, PPPOL2TP, PPTP = 0, 1, 2
SESSION = 7
# <linux/ppp-ioctl.h>
PPPIOCGCHAN = 0x80047437
PPPIOCATTCHAN = 0x40047438
PPPIOCCONNECT = 0x4004743A
PPPIOCNEWUNIT = 0xC004743E
PPPIOCSNPMODE = 0x4008744B
IPV4, IPV6, PASS = 0x21, 0x57, 0

libc = ctypes.CDLL(None, use_errno=True)


def call(function, descriptor, address):
    if function(descriptor, address, len(address)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def address_of(protocol, rest):
    """A struct sockaddr_pppox, or one of its kin: packed, the family and the protocol first."""
    return struct.pack("=HI", AF_PPPOX, protocol) + rest


def pppox(protocol):
    return libc_socket(socket.SOCK_STREAM if protocol == PPPOE else socket.SOCK_DGRAM, protocol)


def libc_socket(kind, protocol):
    descriptor = libc.socket(AF_PPPOX, kind, protocol)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return descriptor


def pppoe(local, remote):
    with open("/proc/net/arp", encoding="ascii") as table:
        hardware = next(line.split()[3] for line in table if line.split()[0] == remote)
    session = pppox(PPPOE)
    rest = struct.pack("!H", SESSION) + bytes.fromhex(hardware.replace(":", "")) + b"eth0".ljust(16, b"\0")
    call(libc.connect, session, address_of(PPPOE, rest))
    return session


def number_of(end):
    return int(end.rsplit(".", 1)[1])


def l2tp(local, remote):
    # The first end has the port of L2TP, the second one the next.
    here, there = 1700 + number_of(local), 1700 + number_of(remote)
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind((local, here))
    wire.connect((remote, there))
    peer = struct.pack("=H", socket.AF_INET) + struct.pack("!H", there) + socket.inet_aton(remote) + bytes(8)

    def connected(number):
        descriptor = pppox(PPPOL2TP)
        rest = struct.pack("=ii", 0, wire.detach() if number else wire.fileno()) + peer
        rest += struct.pack("=HHHH", SESSION, number, SESSION, number)
        call(libc.connect, descriptor, address_of(PPPOL2TP, rest))
        return descriptor

    connected(0)  # the tunnel itself
    return connected(SESSION)


def pptp(local, remote):
    descriptor = pppox(PPTP)
    for function, end in ((libc.bind, local), (libc.connect, remote)):
        # The kernel has one table of call IDs for all namespaces, so that each end needs its own.
        rest = struct.pack("=HH", number_of(end), 0) + socket.inet_aton(end)
        call(function, descriptor, address_of(PPTP, rest.ljust(24, b"\0")))
    return descriptor


def main():
    kind, device, local, remote = sys.argv[1:]
    channel_socket = {"pppoe": pppoe, "l2tp": l2tp, "pptp": pptp}[kind](local, remote)
    number = fcntl.ioctl(channel_socket, PPPIOCGCHAN, struct.pack("=i", 0))
    channel = os.open("/dev/ppp", os.O_RDWR)
    fcntl.ioctl(channel, PPPIOCATTCHAN, number)
    unit = os.open("/dev/ppp", os.O_RDWR)
    number = fcntl.ioctl(unit, PPPIOCNEWUNIT, struct.pack("=i", -1))
    fcntl.ioctl(channel, PPPIOCCONNECT, number)
    for protocol in (IPV4, IPV6):
        fcntl.ioctl(unit, PPPIOCSNPMODE, struct.pack("=ii", protocol, PASS))
    name = f"ppp{struct.unpack('=i', number)[0]}"
    subprocess.run(["ip", "link", "set", name, "name", device], check=True)
    if os.fork() == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        signal.pause()


main()
