// What is wrong with an input file, and how it is told.

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "core/yaml.hpp"

namespace bedplate {
namespace {

constexpr std::size_t longest_word = 64;

char folded(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

/// Optimal string alignment: as Levenshtein's, and two neighbours that changed places count as one.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0U : 1U)});
      if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
          folded(a[i - 2]) == folded(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::string Finding::str() const {
  std::string place = file;
  if (line > 0) place += fmt::format(":{}:{}", line, column);
  return field.empty() ? fmt::format("{}: {}", place, message)
                       : fmt::format("{}: {}: {}", place, field, message);
}

Result<void> report_findings(const std::vector<Finding>& findings) {
  if (findings.empty()) return {};
  std::string text = fmt::format("{} has {} mistake{}:", findings.front().file, findings.size(),
                                 findings.size() == 1 ? "" : "s");
  for (const auto& finding : findings) text += "\n" + finding.str();
  return fail(ErrorKind::invalid, std::move(text),
              fmt::format("correct {} and run the command again", findings.front().file));
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& allowed) {
  if (word.empty() || word.size() > longest_word) return std::nullopt;
  const std::string* best = nullptr;
  std::size_t distance = 0;
  for (const auto& candidate : allowed) {
    const auto d = edit_distance(word, candidate);
    if (best == nullptr || d < distance) {
      best = &candidate;
      distance = d;
    }
  }
  if (best == nullptr || distance > std::max<std::size_t>(1, best->size() / 3)) return std::nullopt;
  return *best;
}

}  // namespace bedplate
