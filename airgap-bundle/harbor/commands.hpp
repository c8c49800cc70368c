#pragma once

#include <memory>
#include <string>

#include "airgap-bundle/harbor/spec.hpp"
#include "core/command.hpp"
#include "core/result.hpp"

namespace bedplate {

/// `bedplate harbor apply|check`.
void add_harbor_commands(CLI::App& app, Invocation& invocation);

/// A Harbor to be compared with what is expected of one.
struct HarborCheck {
  std::string url;  ///< https://HOST[:PORT]
  std::string ca;   ///< PEM file; empty: the system's
  bool plain_http = false;
  std::string user = "admin";
  harbor::SecretSource password;
};

/// Options for the account of `options`.
void add_harbor_account(CLI::App& command, const std::shared_ptr<HarborCheck>& options);

/// Makes every call once on a throw-away project, prints what differs and returns the exit code.
Result<int> check_harbor(const HarborCheck& options, bool json);

}  // namespace bedplate
