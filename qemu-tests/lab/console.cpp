#include "qemu-tests/lab/console.hpp"

#include <array>

#include <fcntl.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

constexpr std::size_t kKeptLines = 20;

std::optional<ConsoleEvent::Word> parse_word(std::string_view text) {
  using Word = ConsoleEvent::Word;
  constexpr std::array<std::pair<std::string_view, Word>, 5> kWords{{{"started", Word::started},
                                                                     {"ok", Word::ok},
                                                                     {"failed", Word::failed},
                                                                     {"skipped", Word::skipped},
                                                                     {"ready", Word::ready}}};
  for (const auto& [name, word] : kWords) {
    if (text == name) return word;
  }
  return std::nullopt;
}

bool is_phase(std::string_view text) {
  return text == "install" || text == "agent" || text == "boot";
}

/// "(4.8 s)" → "4.8 s", ", restarting" → "restarting".
std::string detail_of(std::string_view rest) {
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == ',' || rest.front() == ':')) {
    rest.remove_prefix(1);
  }
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  if (rest.size() >= 2 && rest.front() == '(' && rest.back() == ')') {
    rest = rest.substr(1, rest.size() - 2);
  }
  return std::string(rest);
}

/// Skips an escape sequence that begins at `at`; returns the position after it.
std::size_t after_escape(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size()) return text.size();
  const char kind = text[at + 1];
  if (kind == '[') {
    at += 2;
    while (at < text.size() && (text[at] < 0x40 || text[at] > 0x7E)) ++at;
    return at + 1;
  }
  if (kind == ']') {  // a title or a context, ended by BEL or ESC backslash
    const auto bell = text.find('\a', at);
    const auto end = text.find("\x1b\\", at + 2);
    if (end < bell) return end + 2;
    return bell == std::string_view::npos ? text.size() : bell + 1;
  }
  if (kind == '(' || kind == ')') return at + 3;
  return at + 2;
}

}  // namespace

std::optional<ConsoleEvent> parse_console_line(std::string_view line) {
  constexpr std::string_view kMark = "bedplate: ";
  const auto mark = line.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  auto rest = line.substr(mark + kMark.size());
  const auto colon = rest.find(": ");
  if (colon == std::string_view::npos) return std::nullopt;
  const auto subject = rest.substr(0, colon);
  rest.remove_prefix(colon + 2);
  const auto slash = subject.find('/');
  ConsoleEvent event;
  event.phase = subject.substr(0, slash);
  if (slash != std::string_view::npos) event.step = subject.substr(slash + 1);
  if (!is_phase(event.phase)) return std::nullopt;
  const auto end = rest.find_first_of(" ,:");
  const auto word = parse_word(rest.substr(0, end));
  if (!word) return std::nullopt;
  event.word = *word;
  if (end != std::string_view::npos) event.detail = detail_of(rest.substr(end));
  return event;
}

std::string plain_text(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c == 0x1B) {
      at = after_escape(text, at);
      continue;
    }
    if (c >= 0x20 || c == '\t') out += text[at];
    ++at;
  }
  return out;
}

ConsoleReader::ConsoleReader(std::filesystem::path log) : log_(std::move(log)) {
  std::error_code error;
  const auto size = std::filesystem::file_size(log_, error);
  if (!error) offset_ = size;
}

bool ConsoleReader::poll(const std::function<void(std::string_view line)>& on_line) {
  const auto fd = open_file(log_, O_RDONLY);
  if (!fd) return false;
  std::array<char, 65536> block{};
  bool any = false;
  for (;;) {
    const ssize_t n = ::pread(fd->get(), block.data(), block.size(), static_cast<off_t>(offset_));
    if (n <= 0) return any;
    any = true;
    offset_ += static_cast<std::uint64_t>(n);
    take({block.data(), static_cast<std::size_t>(n)}, on_line);
  }
}

void ConsoleReader::take(std::string_view chunk,
                         const std::function<void(std::string_view)>& on_line) {
  rest_ += chunk;
  std::size_t start = 0;
  for (;;) {
    const auto end = rest_.find('\n', start);
    if (end == std::string::npos) break;
    const auto line = plain_text(std::string_view(rest_).substr(start, end - start));
    start = end + 1;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    last_.push_back(line);
    if (last_.size() > kKeptLines) last_.pop_front();
    on_line(line);
  }
  rest_.erase(0, start);
}

std::string ConsoleReader::last_lines() const {
  std::string out;
  for (const auto& line : last_) out += "  | " + line + "\n";
  const auto rest = plain_text(rest_);
  if (!rest.empty()) out += "  | " + rest + "\n";
  return out;
}

}  // namespace bedplate::lab
