"""Shows that architecture.py sees what it is there for: each case plants one mistake in a tree of its own."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECKER = Path(__file__).with_name("architecture.py")


class Architecture(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("core/result.hpp", "#pragma once\n#include <string>\n")
        self.write("installer/plan.hpp", '#include "core/result.hpp"\n')
        self.write("cli/main.cpp", '#include "core/result.hpp"\n#include "installer/plan.hpp"\n')

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def check(self, links=None):
        command = [sys.executable, CHECKER, self.root]
        if links is not None:
            self.write("links.txt", links)
            command += ["--links", self.root / "links.txt"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def test_a_tree_that_keeps_the_rules_passes(self):
        links = "installer bedplate_installer bedplate_core fmt::fmt\ncli bedplate bedplate_installer\n"
        self.assertEqual(self.check(links), (0, ""))

    def test_a_forbidden_include_is_named_with_its_line(self):
        self.write("core/site.cpp", '#include <map>\n#  include "installer/plan.hpp"\n')
        code, out = self.check()
        self.assertEqual(code, 1)
        self.assertEqual(
            out, "core/site.cpp:2: core may not include installer (installer/plan.hpp); it may use core\n"
        )

    def test_neighbours_may_not_use_each_other(self):
        self.write("node-agent/host/net.cpp", '#include "installer/plan.hpp"\n')
        self.assertIn("node-agent may not include installer", self.check()[1])

    def test_a_relative_path_is_no_way_round(self):
        self.write("airgap-bundle/oci/x.cpp", '#include "../../installer/plan.hpp"\n')
        self.assertIn("airgap-bundle may not include installer", self.check()[1])

    def test_angle_brackets_are_no_way_round(self):
        self.write("airgap-bundle/x.cpp", "#include <installer/plan.hpp>\n")
        self.assertIn("airgap-bundle may not include installer", self.check()[1])

    def test_scenarios_see_only_the_executable(self):
        self.write("qemu-tests/scenarios/x.cpp", '#include "core/result.hpp"\n')
        self.write("qemu-tests/lab/x.cpp", '#include "core/result.hpp"\n')
        code, out = self.check()
        self.assertEqual(code, 1)
        self.assertEqual(out.count("\n"), 1)
        self.assertIn("qemu-tests/scenarios/x.cpp:1: qemu-tests may not include core", out)

    def test_a_forbidden_link_is_named(self):
        code, out = self.check("airgap-bundle/tests bundle_test bedplate_bundle bedplate_agent\n")
        self.assertEqual(code, 1)
        self.assertIn("airgap-bundle/tests/CMakeLists.txt: bundle_test may not link bedplate_agent", out)


if __name__ == "__main__":
    unittest.main()
