#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/result.hpp"
#include "node-agent/context.hpp"

namespace bedplate::agent {

/// What is written on a bootstrap token: for which node it was made. Kept in the cluster with the
/// token, so that an agent that is started anew still knows.
std::string token_description(std::string_view node);

/// What one look at the cluster found.
struct ApproverLook {
  bool tokens = false;            ///< there are tokens that were made for nodes
  bool waiting = false;           ///< and one of them has no approved certificate yet
  int approved = 0;               ///< just now
  std::vector<std::string> left;  ///< what was not approved, and why
};

/// Approves each waiting certificate request of a kubelet (signer kube-apiserver-client-kubelet)
/// that came with the token made for a node and asks for the name of exactly that node (user
/// system:bootstrap:<token id>, subject O=system:nodes, CN=system:node:<node>). All others stay as
/// they are. Kubernetes' own approver, which step no-auto-approval turns off, would let any token
/// ask for any node's name. May be called again at any time.
Result<ApproverLook> approve_requests(const Context& context);

/// Looks again and again, in a thread of its own, for as long as there are tokens: a step of the
/// agent may take minutes, and a node that joins should not wait for it.
class Approver {
 public:
  explicit Approver(const Context& context);
  ~Approver();
  /// A token was made.
  void wake();

 private:
  void run(const std::stop_token& stop);

  const Context& context_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool woken_ = false;
  std::jthread thread_;
};

}  // namespace bedplate::agent
