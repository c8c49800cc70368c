#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "airgap-bundle/harbor/apply.hpp"
#include "airgap-bundle/harbor/check.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/file.hpp"

namespace bedplate::harbor_test {

/// A server that is made from the contract (harbor/tools/contract_server.py): it knows what
/// Harbor's API promises, refuses what does not fit, and keeps state. It is not Harbor.
class HarborContractTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// A new server without anything in it.
  void start();
  Json ask(const std::string& path, const Json& body = nullptr);
  Json state() { return ask("/__test/state"); }
  void fault(const Json& what) { ask("/__test/fault", what); }
  void change(const Json& what) { ask("/__test/change", what); }
  void clear() { ask("/__test/clear", Json::object()); }
  /// What a person does with Harbor, not we.
  void by_hand(const std::string& method, const std::string& path, const Json& body);
  /// How many requests since clear() were to change something.
  int changes();

  harbor::HarborSpec spec(const std::string& lists) const;
  harbor::Target target() const;
  Result<harbor::Plan> apply(const harbor::HarborSpec& spec,
                             const harbor::ApplyOptions& options = {});
  /// Applies and expects that it works.
  harbor::Plan applied(const harbor::HarborSpec& spec, const harbor::ApplyOptions& options = {});
  /// In a process of its own, which the server kills at the change after `skip` others, before or
  /// after it is carried out. Returns what waitpid tells.
  int apply_and_be_killed(const harbor::HarborSpec& spec, int skip, bool after);
  std::filesystem::path folder() const { return temporary_->path() / "secrets"; }
  /// What the files hold, by robot, equals what the server would let in.
  void expect_secrets_work();
  /// The server's state without ids, times and secrets: what a person would compare.
  Json essence();

  std::optional<TemporaryDirectory> temporary_;
  std::unique_ptr<bundle_test::Background> server_;
  std::uint16_t port_ = 0;
  FakeClock clock_;
  std::string client_secret_ = "Client-Secret-1";
};

/// Projects with quota, metadata and rules, robots of both levels, OIDC.
extern const char* const whole_document;

/// Documents that, one after the other, make every call that changes something.
std::vector<std::string> all_changes();

}  // namespace bedplate::harbor_test
