#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parts, differential bundles and inventories, read as docs/bundle-format.md describes them.

    read_set.py parts ed25519:BASE64 PART…            the header of the bundle that the parts are
    read_set.py apply ed25519:BASE64 DELTA BASE OUT   the complete bundle
    read_set.py inventory ed25519:BASE64 FILE         what is signed in it

Ends with 1 and a reason when something is not as it must be.
"""

import base64
import hashlib
import io
import json
import pathlib
import struct
import sys

from read_bundle import BLOCK, need, padded, read, read_header, reader, tar_header, verify


class Parts(io.RawIOBase):
    """The parts of one bundle, read as if they were joined."""

    def __init__(self, paths):
        super().__init__()
        self.place, self.parts = 0, {}
        for path in paths:
            data = pathlib.Path(path).read_bytes()
            need(len(data) >= 512, f"{path} is too short")
            fields = struct.unpack("<16s4I3Q32s32s32s", data[:152])
            magic, version, number, count, zero, total, length, size, name, content, checksum = fields
            need(magic == b"BEDPLATE-PART\0\0\0" and version == 1, f"{path} is no part of format 1")
            need(checksum == hashlib.sha256(data[:120]).digest() and not any(data[152:512]), f"{path}: its header")
            need(zero == 0 and length > 0 and length % BLOCK == 0, f"{path}: impossible numbers")
            need(1 <= number <= count == -(-total // length), f"{path}: impossible numbers")
            need(size == min(length, total - (number - 1) * length) == len(data) - 512, f"{path}: its length")
            need(content == hashlib.sha256(data[512:]).digest(), f"{path} is damaged")
            same = (total, length, name)
            need(not self.parts or same == self.same, f"{path} is of another set")
            need(number not in self.parts, f"{path} is there twice")
            self.same, self.parts[number] = same, data[512:]
        self.total, self.length, self.name = self.same
        need(sorted(self.parts) == list(range(1, count + 1)), "a part is missing")

    def seek(self, offset, whence=0):
        self.place = offset
        return offset

    def read(self, size=-1):
        out = b""
        while len(out) < size and self.place < self.total:
            number, inside = divmod(self.place, self.length)
            piece = self.parts[number + 1][inside:inside + size - len(out)]
            out += piece
            self.place += len(piece)
        return out


def read_parts(key, *paths):
    parts = Parts(paths)
    need(read_header(parts, key)[1] == parts.name.hex(), "the parts are of another bundle")
    print(json.dumps(read(parts, key), sort_keys=True))


def apply(key, delta, base, out):
    blobs = {}
    with open(delta, "rb") as new, open(base, "rb") as old:
        header = read(new, key)
        for file, entries in ((old, read(old, key)["entries"]), (new, header["entries"])):
            for entry in entries:
                blobs[entry["digest"]] = reader(file)(entry["offset"], entry["size"])
        need(all(len(blobs.get(blob["digest"], b"")) == blob["size"] for blob in header.get("elsewhere", [])),
             "the base lacks something")
    content = blobs[header["complete"]]
    with open(out, "w+b") as file:
        def put(name, data):
            file.write(tar_header(name, len(data)) + data + bytes(padded(len(data)) - len(data)))
        put("bedplate.header", content)
        for entry in json.loads(content[124:])["entries"]:
            put(entry["path"], blobs[entry["digest"]])
        file.write(bytes(2 * BLOCK))
        read(file, key)


def inventory(key, path):
    envelope = json.loads(pathlib.Path(path).read_text())
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signature = envelope["signatures"][0]
    need(signature["keyid"] == hashlib.sha256(key).hexdigest(), "another key")
    need(verify(key, base64.b64decode(signature["sig"]), message), "wrong signature")
    print(payload.decode())


if __name__ == "__main__":
    need(len(sys.argv) > 3 and sys.argv[2].startswith("ed25519:"), __doc__)
    command = {"parts": read_parts, "apply": apply, "inventory": inventory}[sys.argv[1]]
    command(base64.b64decode(sys.argv[2][8:]), *sys.argv[3:])
