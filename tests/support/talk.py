#!/usr/bin/env -S /usr/bin/python3 -ISB
"""Tries to reach somebody and prints what came of it as JSON: `talk.py VERB:ARGUMENT...`. A sandbox gets
them as one. Answers of the echo server, or the name of the error."""
import errno
import itertools
import json
import signal
import socket
import struct
import sys
import time

PATIENCE_S = 10
LISTENING_S = 3
PESTERING_S = 0.005


def tcp(host, port):
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        connection.sendall(b"hello")
        return (connection.recv(100).decode().split() or ["nothing"])[0]


def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE_S)
        datagrams.connect((host, int(port)))
        datagrams.send(b"hello")
        return datagrams.recv(100).decode().split()[0]


def hold(host, port, count):
    """So many connections at once: how many came about."""
    held = []
    try:
        for _ in range(int(count)):
            held.append(socket.create_connection((host, int(port)), PATIENCE_S))
    except OSError:
        pass
    return len(held)


def cling(host, port, count):
    """The same, for good."""
    held = [socket.create_connection((host, int(port)), PATIENCE_S) for _ in range(int(count))]
    signal.pause()
    return len(held)


def pester(resolver, host):
    """Asks for that name again and again, and hears no answer."""
    labels = [label.encode() for label in host.split(".")]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((resolver, 53))
        for number in itertools.count():
            datagrams.send(struct.pack("!6H", number % 65536, 0x100, 1, 0, 0, 0) + question)
            time.sleep(PESTERING_S)  # more at once would not fit into anybody's buffer


def flood(host, port, count):
    """So many one after the other, each reset at its end."""
    made = 0
    for _ in range(int(count)):
        try:
            with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                made += 1
        except OSError:
            pass
    return made


def name(host):
    found = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    return sorted({entry[4][0] for entry in found})


def address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(("9.9.9.9", 9))
        return datagrams.getsockname()[0]


def interfaces():
    return [interface for _, interface in socket.if_nameindex()]


def raw():
    """May it make packets by hand?"""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW):
        return "yes"


def listen(port):
    """Waits for somebody to connect, who then is told so."""
    with socket.create_server(("0.0.0.0", int(port))) as server:
        server.settimeout(LISTENING_S)
        return server.accept()[1][0]


def try_one(word):
    verb, *arguments = word.split(":")
    try:
        return globals()[verb](*arguments)
    except socket.gaierror as error:
        return "EAI_" + {socket.EAI_AGAIN: "AGAIN", socket.EAI_NONAME: "NONAME"}.get(
            error.errno, str(error.errno))
    except TimeoutError:
        return "silence"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


if __name__ == "__main__":
    print(json.dumps([try_one(word) for word in " ".join(sys.argv[1:]).split()]))
