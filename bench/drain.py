#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client that asks for a URL again and again and throws the answers away in the kernel.

    drain.py CLIENTS SECONDS URL

Prints bytes of content per second. On two processors an ordinary client takes one to copy what it
gets, and is the limit; MSG_TRUNC (tcp(7)) lets the kernel drop it, so what is measured is the server.
"""

import re
import selectors
import socket
import sys
import time
import urllib.parse

BLOCK = bytearray(4 << 20)


class Client:
    def __init__(self, host, port, path):
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.socket = socket.create_connection((host, port))
        self.head, self.left, self.got = b"", 0, 0
        self.socket.sendall(self.request)
        self.socket.setblocking(False)

    def readable(self):
        """Takes what is there, and asks again after the last byte of an answer."""
        if self.left == 0:
            self.head += self.receive_head()
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            self.begin(end)
        else:
            count = self.socket.recv_into(BLOCK, min(len(BLOCK), self.left), socket.MSG_TRUNC)
            if count == 0:
                raise SystemExit("error: the server went away")
            self.left -= count
            self.got += count
        if self.left == 0:
            self.socket.sendall(self.request)

    def receive_head(self):
        data = self.socket.recv(4096)
        if not data:
            raise SystemExit("error: the server went away")
        return data

    def begin(self, end):
        head = self.head[:end].decode("latin-1")
        length = re.search(r"(?im)^content-length:\s*(\d+)", head)
        if not re.match(r"HTTP/1\.1 200 ", head) or not length:
            raise SystemExit(f"error: not what was asked for: {head}")
        come = len(self.head) - end - 4
        self.left = int(length.group(1)) - come
        self.got += come
        self.head = b""


def main():
    clients, seconds, url = int(sys.argv[1]), float(sys.argv[2]), urllib.parse.urlsplit(sys.argv[3])
    waiting = selectors.EpollSelector()
    members = [Client(url.hostname, url.port, url.path) for _ in range(clients)]
    for member in members:
        waiting.register(member.socket, selectors.EVENT_READ, member)
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        for key, _ in waiting.select(seconds):
            key.data.readable()
    print(sum(member.got for member in members) / passed)


if __name__ == "__main__":
    main()
