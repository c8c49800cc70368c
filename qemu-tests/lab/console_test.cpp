#include "qemu-tests/lab/console.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

using Word = ConsoleEvent::Word;

ConsoleEvent event(const char* line) {
  return parse_console_line(line).value();
}

TEST(ConsoleLine, StepsAndPhasesAreRead) {
  EXPECT_EQ(event("bedplate: install/verify-bundle: ok (4.8 s)"),
            (ConsoleEvent{"install", "verify-bundle", Word::ok, "4.8 s"}));
  EXPECT_EQ(event("bedplate: agent/node-ready: started"),
            (ConsoleEvent{"agent", "node-ready", Word::started, ""}));
  EXPECT_EQ(event("bedplate: agent: ready"), (ConsoleEvent{"agent", "", Word::ready, ""}));
  EXPECT_EQ(event("bedplate: install: ok, restarting"),
            (ConsoleEvent{"install", "", Word::ok, "restarting"}));
  EXPECT_EQ(event("bedplate: install: failed"), (ConsoleEvent{"install", "", Word::failed, ""}));
  EXPECT_EQ(event("[   12.5] x[1]: bedplate: agent/system-root: ok (verity 12ab (clean))").detail,
            "verity 12ab (clean)");
}

TEST(ConsoleLine, OtherLinesAreNot) {
  for (const char* line : {"", "bedplate: starting slot a", "bedplate: other/x: ok",
                           "bedplate: install/x: fine", "bedplate:install: ok", "install: ok"}) {
    EXPECT_FALSE(parse_console_line(line)) << line;
  }
}

TEST(PlainText, ControlSequencesGo) {
  EXPECT_EQ(plain_text("\x1b[2J\x1b[01;01H\x1b[=3hBds\x1b[0mDxe\r"), "BdsDxe");
  EXPECT_EQ(plain_text("\x1b]0;title\ashown"), "shown");
  EXPECT_EQ(plain_text("\x1b]3008;start=1\x1b\\shown"), "shown");
  EXPECT_EQ(plain_text("tab\there \xC2\xB7"), "tab\there \xC2\xB7");
  EXPECT_EQ(plain_text("cut\x1b"), "cut");
  EXPECT_EQ(plain_text("cut\x1b["), "cut");
}

TEST(ConsoleReader, WholeLinesComeAsTheLogGrows) {
  const auto folder = TemporaryDirectory::create("console").value();
  const auto log = folder.path() / "log";
  ASSERT_TRUE(write_file_atomic(log, "from an earlier start\n"));
  ConsoleReader reader(log);
  std::vector<std::string> lines;
  const auto poll = [&] { return reader.poll([&](auto line) { lines.emplace_back(line); }); };
  EXPECT_FALSE(poll());
  const auto append = [&](std::string_view text) {
    const auto fd = open_file(log, O_WRONLY | O_APPEND).value();
    ASSERT_TRUE(write_all(fd.get(), as_byte_span(text)));
  };
  append("one\r\nbedplate: inst");
  EXPECT_TRUE(poll());
  EXPECT_EQ(lines, std::vector<std::string>{"one"});
  append("all: ok\n\n");
  EXPECT_TRUE(poll());
  EXPECT_EQ(lines.back(), "bedplate: install: ok");
  EXPECT_EQ(reader.last_lines(), "  | one\n  | bedplate: install: ok\n");
}

}  // namespace
}  // namespace bedplate::lab
