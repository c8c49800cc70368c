# SPDX-License-Identifier: Apache-2.0
"""Runs programs and says what they took."""

import contextlib
import dataclasses
import os
import pathlib
import socket
import statistics
import subprocess
import time


@dataclasses.dataclass
class Run:
    """What one command, with all that it started, took."""
    seconds: float
    memory: int   # bytes, the largest process
    written: int  # bytes handed to file systems
    size: int = 0  # bytes of what came out
    synced: float = 0  # seconds until all of it was on the disk; 0: not measured


def run(argv, log, env=None):
    """Runs to the end. A failure ends the benchmark: a program that failed early looks fast."""
    with open(log, "wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"error: {argv[0]} ended with {child.returncode}; see {log}:\n"
                         + pathlib.Path(log).read_text(errors="replace")[-2000:])
    return Run(seconds, usage.ru_maxrss * 1024, usage.ru_oublock * 512)


def median(runs):
    return Run(*(statistics.median(getattr(item, field.name) for item in runs)
                 for field in dataclasses.fields(Run)))


def cold():
    """Nobody finds in memory what an earlier run has read or written. Needs root."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def until_synced(action):
    """A file that was written is not a file that survives a power cut, or a stick that is pulled."""
    start = time.perf_counter()
    result = action()
    os.sync()
    result.synced = time.perf_counter() - start
    return result


def processor_seconds(pid):
    """Of a process and those below it, in user and kernel mode."""
    ticks = 0
    waiting = [pid]
    while waiting:
        number = waiting.pop()
        fields = pathlib.Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
        for task in pathlib.Path(f"/proc/{number}/task").iterdir():
            waiting += [int(child) for child in (task / "children").read_text().split()]
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def server(argv, port, log):
    """A server that listens on that port of the loopback address for as long as the block runs."""
    with open(log, "wb") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if child.poll() is not None:
                raise SystemExit(f"error: {argv[0]} ended; see {log}")
            time.sleep(0.05)
        yield child
    finally:
        child.terminate()
        child.wait()


def folder_size(path):
    return sum(item.stat().st_size for item in pathlib.Path(path).rglob("*") if item.is_file())


def amount(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= 1024
    return ""
