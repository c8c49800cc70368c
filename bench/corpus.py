# SPDX-License-Identifier: Apache-2.0
"""The images that are measured with: an OCI layout made here, the same bytes on every machine."""

import hashlib
import json
import pathlib
import random
import shutil
import zlib

MIB = 1 << 20
# One base that all share, as in practice; then layers of mixed sizes: 1.56 GB of blobs.
BASE = 270 * MIB
IMAGES = 22
OWN = (4 * MIB, 22 * MIB, 52 * MIB)
VERSION = 3  # of what follows: another one is made anew


def layer_content(seed, size):
    """A tar archive of one file, a quarter of which compresses away, in pieces of 1 MiB."""
    name = f"data/{seed}"
    fields = (name.ljust(100, "\0"), "0000644\0", "0000000\0", "0000000\0", f"{size:011o}\0",
              "00000000000\0", " " * 8, "0", "\0" * 100, "ustar\x0000", "\0" * 247)
    head = "".join(fields).encode()
    total = sum(head)
    yield head[:148] + f"{total:06o}\0 ".encode() + head[156:]
    source = random.Random(seed)
    for _ in range(size // MIB):
        yield source.randbytes(MIB * 3 // 4) + bytes(MIB // 4)
    yield bytes(1024)


class Layout:
    """Writes blobs and, at the end, the index."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        self.manifests = []

    def add(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_layer(self, seed, size):
        """Returns the descriptor and the digest of what is inside."""
        inside, outside, length = hashlib.sha256(), hashlib.sha256(), 0
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        partial = self.blobs / "partial"
        with partial.open("wb") as out:
            def write(data):
                nonlocal length
                outside.update(data)
                length += len(data)
                out.write(data)
            for piece in layer_content(seed, size):
                inside.update(piece)
                write(packer.compress(piece))
            write(packer.flush())
        partial.rename(self.blobs / outside.hexdigest())
        return ({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                 "digest": f"sha256:{outside.hexdigest()}", "size": length},
                f"sha256:{inside.hexdigest()}")

    def add_image(self, name, layers):
        config = {"architecture": "amd64", "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [inside for _, inside in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.add(json.dumps(config).encode(),
                                       "application/vnd.oci.image.config.v1+json"),
                    "layers": [descriptor for descriptor, _ in layers]}
        descriptor = self.add(json.dumps(manifest).encode(), manifest["mediaType"])
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.manifests.append(descriptor)

    def finish(self):
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.folder / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": self.manifests}))


def make(cache):
    """The layout's folder; made once and kept."""
    final = cache / f"layout-{VERSION}"
    if final.exists():
        return final
    print(f"making {IMAGES} images in {final} (once)")
    work = cache / "layout.partial"
    shutil.rmtree(work, ignore_errors=True)
    layout = Layout(work)
    base = layout.add_layer(0, BASE)
    for number in range(1, IMAGES + 1):
        own = [layout.add_layer(number * 10 + i, size) for i, size in enumerate(OWN)]
        layout.add_image(f"app-{number}", [base, *own])
    layout.finish()
    work.rename(final)
    return final


def names(layout):
    index = json.loads((pathlib.Path(layout) / "index.json").read_text())
    return [item["annotations"]["org.opencontainers.image.ref.name"] for item in index["manifests"]]
