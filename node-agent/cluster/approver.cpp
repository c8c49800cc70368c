#include "node-agent/cluster/approver.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "node-agent/api/authority.hpp"

namespace bedplate::agent {
namespace {

constexpr std::string_view description_prefix = "bedplate node ";
constexpr std::string_view user_prefix = "system:bootstrap:";
constexpr std::string_view kubelet_signer = "kubernetes.io/kube-apiserver-client-kubelet";
/// Between two looks: a kubectl each takes its time on a small machine.
constexpr std::chrono::seconds pause_while_waiting{3};
constexpr std::chrono::seconds pause_with_tokens{15};

/// Field `key` when it is an object (array), else an empty one: this is not our JSON.
Json object_in(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return json.is_object() && found != json.end() && found->is_object() ? *found : Json::object();
}
Json array_in(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return json.is_object() && found != json.end() && found->is_array() ? *found : Json::array();
}

/// Token id → node, of the tokens that were made for nodes.
Result<std::map<std::string, std::string>> tokens_of_nodes(const Context& context) {
  BP_TRY(const auto secrets,
         context.kubectl_json({"get", "secrets", "-n", "kube-system", "--field-selector",
                               "type=bootstrap.kubernetes.io/token"}));
  std::map<std::string, std::string> out;
  for (const auto& secret : array_in(secrets, "items")) {
    const auto data = object_in(secret, "data");
    const auto id = base64_decode(json_string_or(data, "token-id", ""));
    const auto description = base64_decode(json_string_or(data, "description", ""));
    if (!id || id->empty() || !description || !description->starts_with(description_prefix)) {
      continue;
    }
    out[*id] = description->substr(description_prefix.size());
  }
  return out;
}

enum class State { undecided, approved, refused };

State state_of(const Json& request) {
  const auto conditions = array_in(object_in(request, "status"), "conditions");
  if (conditions.empty()) return State::undecided;
  const bool approved = std::ranges::any_of(conditions, [](const Json& condition) {
    return json_string_or(condition, "type", "") == "Approved";
  });
  return approved ? State::approved : State::refused;
}

/// Whether the request asks for this node's name and nothing else.
bool asks_for(const Json& spec, const std::string& node) {
  if (json_string_or(spec, "signerName", "") != kubelet_signer) return false;
  const auto pem = base64_decode(json_string_or(spec, "request", ""));
  if (!pem) return false;
  const auto subject = csr_subject(*pem);
  return subject && *subject == CsrSubject{{"system:nodes"}, {"system:node:" + node}, false};
}

}  // namespace

std::string token_description(std::string_view node) {
  return fmt::format("{}{}", description_prefix, node);
}

Result<ApproverLook> approve_requests(const Context& context) {
  BP_TRY(const auto tokens, tokens_of_nodes(context));
  ApproverLook look;
  look.tokens = !tokens.empty();
  if (tokens.empty()) return look;
  BP_TRY(const auto requests, context.kubectl_json({"get", "certificatesigningrequests"}));
  std::set<std::string> served;
  for (const auto& request : array_in(requests, "items")) {
    const auto spec = object_in(request, "spec");
    const auto user = json_string_or(spec, "username", "");
    if (!user.starts_with(user_prefix)) continue;
    const auto id = user.substr(user_prefix.size());
    const auto token = tokens.find(id);
    const auto state = state_of(request);
    if (token == tokens.end() || state == State::refused) continue;
    const auto name = json_string_or(object_in(request, "metadata"), "name", "");
    if (!asks_for(spec, token->second)) {
      if (state == State::undecided) {
        look.left.push_back(
            fmt::format("{} came with the token of {} and does not ask for exactly its name", name,
                        token->second));
      }
      continue;
    }
    if (state == State::undecided) {
      BP_CHECK(context.kubectl({"certificate", "approve", name}));
      log::info("approved the kubelet certificate of {}", token->second);
      ++look.approved;
    }
    served.insert(id);
  }
  look.waiting = served.size() < tokens.size();
  return look;
}

Approver::Approver(const Context& context)
    : context_(context), thread_([this](const std::stop_token& stop) { run(stop); }) {}

Approver::~Approver() = default;

void Approver::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void Approver::run(const std::stop_token& stop) {
  const auto is_woken = [this] { return woken_; };
  std::set<std::string> said;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    woken_ = false;
    lock.unlock();
    const auto look = approve_requests(context_);
    // The API server may be away for a while: that changes nothing about who waits.
    if (!look) log::debug("approving: {}, ignoring", look.error().what);
    for (const auto& line : look ? look->left : std::vector<std::string>()) {
      if (said.insert(line).second) log::warning("not approved: {}", line);
    }
    lock.lock();
    if (look && !look->tokens) {
      changed_.wait(lock, stop, is_woken);
    } else if (look && !look->waiting) {
      changed_.wait_for(lock, stop, pause_with_tokens, is_woken);
    } else {
      changed_.wait_for(lock, stop, pause_while_waiting, [] { return false; });
    }
  }
}

}  // namespace bedplate::agent
