#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of the bundle's format, written from docs/bundle-format.md alone.

    read_bundle.py BUNDLE ed25519:BASE64

Checks signature, layout and every digest; prints the header as JSON. Ends with 1 and a reason.
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

BLOCK = 512
# RFC 8410: an Ed25519 public key in SubjectPublicKeyInfo is this and the 32 bytes.
SPKI = bytes.fromhex("302a300506032b6570032100")


def need(condition, why):
    if not condition:
        sys.exit(f"refused: {why}")


def verify(key, signature, message):
    with tempfile.TemporaryDirectory() as folder:
        parts = {name: pathlib.Path(folder, name) for name in ("key", "signature", "message")}
        parts["key"].write_bytes(SPKI + key)
        parts["signature"].write_bytes(signature)
        parts["message"].write_bytes(message)
        done = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", parts["key"], "-rawin",
             "-in", parts["message"], "-sigfile", parts["signature"]], capture_output=True)
        return done.returncode == 0


def tar_header(name, size):
    block = bytearray(BLOCK)
    block[0:len(name)] = name.encode()
    block[100:107], block[108:115], block[116:123] = b"0000644", b"0000000", b"0000000"
    if size < 1 << 33:
        block[124:135] = b"%011o" % size
    else:
        block[124:136] = (1 << 95 | size).to_bytes(12, "big")
    block[136:147], block[148:156], block[156:157] = b"00000000000", b" " * 8, b"0"
    block[257:265] = b"ustar\x0000"
    block[148:154], block[154] = b"%06o" % sum(block), 0
    return bytes(block)


def padded(size):
    return -(-size // BLOCK) * BLOCK


def read_header(file, trusted):
    """Header, the digest that names the bundle, and where the first entry's tar header stands."""
    at = reader(file)
    preamble = at(BLOCK, 124)
    magic, version, length, key_id, signature = struct.unpack("<16sIQ32s64s", preamble)
    need(magic == b"BEDPLATE-BUNDLE\0" and version == 1 and length <= 64 << 20, "this is no bundle of format 1")
    need(key_id == hashlib.sha256(trusted).digest(), "another key")
    text = at(BLOCK + 124, length)
    need(verify(trusted, signature, preamble[:60] + text), "wrong signature")
    need(at(0, BLOCK) == tar_header("bedplate.header", 124 + length), "wrong first tar header")
    end = BLOCK + padded(124 + length)
    need(not any(at(BLOCK + 124 + length, end - BLOCK - 124 - length)), "the header is filled up with something")
    return json.loads(text), hashlib.sha256(preamble + text).hexdigest(), end


def reader(file):
    def at(offset, size):
        file.seek(offset)
        data = file.read(size)
        need(len(data) == size, f"the file ends before {offset + size}")
        return data
    return at


def check_lists(header):
    here = {entry["digest"] for entry in header["entries"] if entry["path"].startswith("blobs/")}
    elsewhere = [blob["digest"] for blob in header.get("elsewhere", [])]
    need(len(set(elsewhere)) == len(elsewhere) and not here & set(elsewhere), "elsewhere twice, or here as well")
    need(len({entry["path"] for entry in header["entries"]}) == len(header["entries"]), "a path is there twice")
    need([entry["path"] for entry in header["entries"][-2:]] == ["oci-layout", "index.json"], "wrong last entries")
    need(header.get("complete", next(iter(here), None)) in here | {None}, "the complete header is not here")
    named = [item for kind in ("images", "artifacts", "charts", "referrers") for item in header.get(kind, [])]
    need(all(item["digest"] in here | set(elsewhere) for item in named), "something has no blob")


def read(file, trusted):
    header, _, end = read_header(file, trusted)
    check_lists(header)
    at = reader(file)
    for entry in header["entries"]:
        name, size, offset = entry["path"], entry["size"], entry["offset"]
        need(offset == end + BLOCK, f"{name} is not where its predecessor ends")
        need(at(end, BLOCK) == tar_header(name, size), f"wrong tar header of {name}")
        digest = hashlib.sha256(at(offset, size)).hexdigest()
        need(entry["digest"] == "sha256:" + digest, f"{name} differs from what was signed")
        need(not name.startswith("blobs/") or name == "blobs/sha256/" + digest, f"{name} has a wrong path")
        need(not any(at(offset + size, padded(size) - size)), f"{name} is filled up with something")
        end = offset + padded(size)
    need(not any(at(end, 2 * BLOCK)) and not file.read(1), "something behind the end")
    return header


if __name__ == "__main__":
    need(len(sys.argv) == 3 and sys.argv[2].startswith("ed25519:"), __doc__)
    with open(sys.argv[1], "rb") as bundle:
        print(json.dumps(read(bundle, base64.b64decode(sys.argv[2][8:])), sort_keys=True))
