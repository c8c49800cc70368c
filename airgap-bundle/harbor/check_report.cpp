#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/harbor/check.hpp"

namespace bedplate::harbor {

bool CheckReport::passed() const {
  return left.empty() && std::ranges::all_of(rows, [](const auto& row) { return row.passed; });
}

Json to_json(const CheckReport& report) {
  Json rows = Json::array();
  for (const auto& row : report.rows) {
    rows.push_back(
        {{"call", row.call}, {"expected", row.expected}, {"got", row.got}, {"passed", row.passed}});
  }
  return {{"version", report.version},
          {"passed", report.passed()},
          {"calls", std::move(rows)},
          {"left", report.left}};
}

std::string to_text(const CheckReport& report) {
  std::size_t widest = 4;
  for (const auto& row : report.rows) widest = std::max(widest, row.call.size());
  std::string out = fmt::format("{:<{}}  RESULT  EXPECTED / GOT\n", "CALL", widest);
  std::size_t failed = 0;
  for (const auto& row : report.rows) {
    out += fmt::format("{:<{}}  {}  {}\n", row.call, widest, row.passed ? "ok    " : "DIFFERS",
                       row.expected);
    if (row.passed) continue;
    ++failed;
    out += fmt::format("{:<{}}          {}\n", "", widest, row.got);
  }
  for (const auto& what : report.left) out += "still there, remove it by hand: " + what + "\n";
  return out + fmt::format("{} of {} calls differ; Harbor says it is {}\n", failed,
                           report.rows.size(),
                           report.version.empty() ? "of no version" : report.version);
}

}  // namespace bedplate::harbor
