# SPDX-License-Identifier: Apache-2.0
"""What host scenarios share: the site's artifacts, the lab's commands, and waiting.

Scenarios use the executable and the lab's command line only.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LAB = REPOSITORY / "qemu-tests/lab/hosts/lab"
CACHE = pathlib.Path(
    os.environ.get("BEDPLATE_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "bedplate"
)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def run(*words, check=True, stdin=None, timeout=900, env=None):
    """Runs a program; its errors are shown with what it said."""
    done = subprocess.run(
        [str(word) for word in words], input=stdin, text=True, capture_output=True, timeout=timeout, env=env,
        # What is on /dev/null cannot wait for an answer.
        **({} if stdin is not None else {"stdin": subprocess.DEVNULL}),
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(what, probe, seconds, look=lambda: "", pause=1.0):
    """Calls `probe` until it returns something true; returns that. `look` explains a failure."""
    began = time.monotonic()
    last = None
    while time.monotonic() - began < seconds:
        try:
            result = probe()
            if result:
                say(f"{what}: after {time.monotonic() - began:.1f} s")
                return result
        except (AssertionError, json.JSONDecodeError, KeyError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last}\n{look()}")


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Artifacts:
    """Site file, secrets, system image, bundle and medium, made with the executable under test. The
    bundle is kept while neither the payload nor the secrets change."""

    def __init__(self, program, folder):
        self.program, self.folder = pathlib.Path(program).resolve(), folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.site, self.secrets = folder / "site.yaml", folder / "site.secrets"
        self.bundle, self.medium = folder / "site.bundle", folder / "site.iso"

    def bedplate(self, *words, **options):
        return run(self.program, *words, **options)

    def json(self, *words):
        return json.loads(self.bedplate("--json", *words).stdout)

    def make(self):
        say("payload (built once, then kept)")
        payload = pathlib.Path(
            run(REPOSITORY / "qemu-tests/payload/build", timeout=7200).stdout.strip().splitlines()[-1]
        )
        example = (REPOSITORY / "examples/two-nodes.yaml").read_text()
        if not self.site.exists() or self.site.read_text() != example:
            self.site.write_text(example)
        self.bedplate("site", "init", self.site)
        say("system image")
        self.rootfs = self.json("image", "system", "--site", self.site, "-o", self.folder / "system")["rootfs"]
        say("bundle")
        inputs = "\n".join(sha256_of(path) for path in (payload / "bundle.yaml", payload / "provenance.json",
                                                       self.secrets))
        made_from = self.folder / "site.bundle.inputs"
        if not self.bundle.exists() or not made_from.exists() or made_from.read_text() != inputs:
            self.bundle.unlink(missing_ok=True)
            self.bedplate("bundle", "create", "-f", payload / "bundle.yaml", "--root", payload, "-o", self.bundle,
                          "--key", self.secrets)
            made_from.write_text(inputs)
        self.medium.unlink(missing_ok=True)
        self.bedplate("image", "iso", "--site", self.site, "--system", self.folder / "system", "--bundle",
                      self.bundle, "-o", self.medium)
        self.contents = self.json("bundle", "inspect", self.bundle, "--trust", self.secrets)


class Host:
    """One namespaced host, by the lab's commands."""

    def __init__(self, name):
        self.name = name

    def start(self):
        run(LAB, "start", self.name)

    def cut_power(self):
        run(LAB, "kill", self.name)

    def exec(self, *words, **options):
        return run(LAB, "exec", self.name, *words, **options)

    def path(self, relative):
        """A file of the host's /var, from outside: also while it is off."""
        return pathlib.Path(run(LAB, "state", self.name).stdout.strip()) / relative

    def status(self):
        return json.loads(self.exec("bedplate", "--json", "status", check=False).stdout)

    def step(self, name):
        return next(step for step in self.status()["steps"] if step["id"] == name)

    def is_ready(self):
        return self.status()["phase"] == "ready"

    def kubectl(self, *words, **options):
        return self.exec("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--request-timeout=30s", *words,
                         **options).stdout

    def agent_pid(self):
        pid = self.exec("systemctl", "show", "-P", "MainPID", "bedplate-agent.service", check=False).stdout.strip()
        return int(pid or 0)

    def kill_agent(self):
        """SIGKILL for the agent; systemd starts it again. Returns what it was doing."""
        wait_for(f"{self.name}: an agent to kill", lambda: self.agent_pid() > 0 and self.status(), 120, pause=0.2)
        doing = [step["id"] for step in self.status()["steps"] if step["state"] == "applying"]
        self.exec("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "bedplate-agent.service", check=False)
        return doing[0] if doing else "nothing"

    def resident_kib(self):
        for line in self.exec("cat", f"/proc/{self.agent_pid()}/status").stdout.splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def logs(self):
        return run(LAB, "logs", self.name, check=False).stdout[-12000:]
