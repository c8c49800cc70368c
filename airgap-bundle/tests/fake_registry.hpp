#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/file.hpp"

namespace bedplate::bundle_test {

/// A registry to push to, on a loopback port, that keeps what it gets in memory and has the moods
/// that real ones have. Set its moods before it is spoken to.
class FakeRegistry {
 public:
  struct Request {
    std::string method;
    std::string path;
    std::string query;
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
    std::string header(const std::string& name) const;
    std::string parameter(const std::string& name) const;
  };
  struct Reply {
    int status = 200;
    std::map<std::string, std::string> headers;
    std::string body;
  };

  FakeRegistry();
  FakeRegistry(const FakeRegistry&) = delete;
  ~FakeRegistry();
  std::string host() const;  ///< "127.0.0.1:<port>"

  /// Answers instead of the registry, if it wants to.
  std::function<std::optional<Reply>(const Request&)> script;
  /// After how many bytes of a request's body the connection is cut, if at all.
  std::function<std::optional<std::size_t>(const Request&)> cut;
  /// Closes the connection instead of answering, after the request was obeyed.
  std::function<bool(const Request&)> lose_answer;
  bool mounts = true;           ///< takes blobs over from other repositories
  bool lists_referrers = true;  ///< has the referrers API
  bool refuses_sparse = false;  ///< wants every child of an index
  bool relative = false;        ///< says where uploads go without its own name
  std::uint64_t shortest_chunk = 0;
  unsigned token_uses = 0;          ///< wants bearer tokens, each good for so many requests
  std::set<std::string> immutable;  ///< "repository:tag"

  std::vector<Request> requests() const;  ///< bodies left out
  std::size_t count(const std::string& method, const std::string& part) const;
  std::optional<std::string> blob(const std::string& repository, const std::string& digest) const;
  /// By tag or digest.
  std::optional<std::string> manifest(const std::string& repository,
                                      const std::string& reference) const;
  void put_manifest(const std::string& repository, const std::string& reference,
                    const std::string& content);
  void put_blob(const std::string& repository, const std::string& content);
  std::vector<std::string> scopes() const;  ///< that tokens were asked for

 private:
  struct Upload {
    std::string repository;
    std::string content;
    unsigned state = 0;  ///< in the query of its address, and another one each time
  };
  void accept();
  void serve(int fd);
  Reply answer(const Request& request);
  Reply token(const Request& request);
  Reply read(const Request& request, const std::string& repository, const std::string& kind,
             const std::string& reference);
  Reply start(const Request& request, const std::string& repository);
  Reply write(const Request& request, const std::string& id);
  Reply finish(const Request& request, const std::string& id);
  Reply keep_manifest(const Request& request, const std::string& repository,
                      const std::string& reference);
  std::string location(const std::string& id);
  void take_part(const Request& head, const std::string& part);
  Reply position(const std::string& id, int status);

  UniqueFd listener_;
  UniqueFd stop_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::map<std::string, std::string> content_;                           ///< by digest
  std::map<std::string, std::set<std::string>> blobs_;                   ///< digests by repository
  std::map<std::string, std::map<std::string, std::string>> manifests_;  ///< digests by reference
  std::map<std::string, std::string> types_;  ///< of manifests, by digest
  std::map<std::string, Upload> uploads_;
  std::vector<std::string> scopes_;
  unsigned tokens_ = 0;
  unsigned uses_ = 0;
  std::list<int> connections_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

}  // namespace bedplate::bundle_test
