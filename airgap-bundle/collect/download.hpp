#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/collect/rate.hpp"
#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/http_client.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// A file to be had by its address.
struct Download {
  std::string url;
  std::optional<Digest> digest;       ///< what it must be; none: whatever comes
  std::optional<std::uint64_t> size;  ///< bytes, where they are known
  TlsSettings tls;
  std::string name;  ///< for messages: "jq 1.7.1-6 (amd64)"; empty: the URL
  std::string gone;  ///< hint for when the server has it no longer
};

struct Downloaded {
  std::filesystem::path path;  ///< "<folder>/<hex of the digest>"
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
};

/// Brings files into a folder of blobs by digest, the same that `Reuse` reads as its cache. What is
/// there is not fetched again.
///
/// While a file comes it is `url-<hash of the URL>.part`, with a `.state` beside it that says what
/// the server called this version of it (RFC 9110, 8.8) and how many bytes are safe on the disk.
/// Killed or cut off by a power failure, the next call asks for the rest (Range with If-Range,
/// RFC 9110, 14.2 and 13.1.5) and takes the whole again when the server has another version by
/// then. A file whose digest nobody named is asked for again each time, with what the server called
/// it, so that an unchanged one is not sent again.
///
/// A server that is busy or away (408, 429, 500, 502 to 504, no connection, a connection that
/// breaks) is asked up to five times, after 1, 2, 4 and 8 seconds or as late as it says, up to two
/// minutes. One that breaks off after some of it came is asked on for the rest. Thread-safe; two
/// processes that want the same file wait for each other.
class Downloads {
 public:
  /// `rate` and `clock` must outlive this. `progress` may be nothing.
  Downloads(std::filesystem::path folder, RateLimit& rate, Clock& clock, Progress* progress)
      : folder_(std::move(folder)), rate_(rate), clock_(clock), progress_(progress) {}

  /// Without asking anybody: the file whose digest is known, if it is here and undamaged.
  std::optional<Downloaded> find(const Download& what) const;

  /// ErrorKind::corrupt: it is not what the digest or size says; not_found: the server has it no
  /// longer; untrusted: it wants an account, or its certificate is not to be trusted; io: too
  /// little room; network: tried as often as allowed.
  Result<Downloaded> get(const Download& what, HttpClient& http) const;

  /// All of them, several at once, in their order. One error names all that could not be had.
  Result<std::vector<Downloaded>> get_all(const std::vector<Download>& what,
                                          unsigned workers) const;

  /// What the server says of its size (HEAD); nothing when it does not say, or does not answer.
  /// ErrorKind::not_found: it says that there is no such file.
  Result<std::optional<std::uint64_t>> ask_size(const Download& what, HttpClient& http) const;

 private:
  class Transfer;
  Result<void> check_room(std::uint64_t needed, const std::string& what) const;

  std::filesystem::path folder_;
  RateLimit& rate_;
  Clock& clock_;
  Progress* progress_;
};

}  // namespace bedplate::collect
