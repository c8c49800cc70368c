#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/net.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/cluster.hpp"

namespace bedplate::lab {

/// What an operator does from the workstation on the site's network: gets a kubeconfig with the
/// operator's key, and uses kubectl. No other way into the cluster is used.
class Workstation {
 public:
  struct Tools {
    std::vector<std::string> prefix;  ///< runs a command on the workstation
    std::filesystem::path bedplate;
    std::filesystem::path kubectl;
    std::filesystem::path site;
    std::filesystem::path secrets;
    std::filesystem::path kubeconfig;  ///< written by fetch_kubeconfig
  };
  Workstation(Tools tools, ProcessRunner& runner) : tools_(std::move(tools)), runner_(runner) {}

  Result<void> fetch_kubeconfig(Ipv4 server);
  Result<std::string> kubectl(std::vector<std::string> words, std::string input = {},
                              std::chrono::seconds patience = std::chrono::seconds(60));
  Result<std::vector<NodeView>> nodes();
  Result<std::vector<PodView>> pods();
  /// The words a person types for kubectl.
  std::string command_line() const;

 private:
  Tools tools_;
  ProcessRunner& runner_;
};

/// Calls `attempt` every two seconds until it succeeds; the last error when `limit` is over, at
/// once the error of `look` if that fails first.
Result<void> retry(std::string_view what, std::chrono::milliseconds limit,
                   const std::function<Result<void>()>& attempt,
                   const std::function<Result<void>()>& look);

}  // namespace bedplate::lab
