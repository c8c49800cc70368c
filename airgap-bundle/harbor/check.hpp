#pragma once

#include <string>
#include <vector>

#include "airgap-bundle/harbor/api.hpp"
#include "core/json.hpp"
#include "core/result.hpp"

namespace bedplate::harbor {

/// One call of the API: what it must answer and what it answered. Holds no value of an answer.
struct CheckRow {
  std::string call;  ///< the name that testdata/contract.json gives it, and the case
  std::string expected;
  std::string got;
  bool passed = false;
};

struct CheckReport {
  std::string version;  ///< what Harbor says it is
  std::vector<CheckRow> rows;
  std::vector<std::string> left;  ///< what was made and could not be removed
  bool passed() const;
};

/// Makes every call that `apply` can make against a real Harbor, on a project, a robot, a label and
/// rules that are made for it under the name bedplate-check-<random> and removed again, also when a
/// call fails. The configuration is written back as it was read. Goes on after a wrong answer, so
/// that one run tells all; ends early without an answer. Errors: only what keeps it from beginning
/// (network, untrusted).
Result<CheckReport> check(HttpClient& http, const Target& target, Clock& clock);

Json to_json(const CheckReport& report);
/// A table: call, expected, got.
std::string to_text(const CheckReport& report);

}  // namespace bedplate::harbor
