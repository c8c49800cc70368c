#include "airgap-bundle/collect/download.hpp"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/collect/download_state.hpp"
#include "airgap-bundle/collect/fetch.hpp"
#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

constexpr int most_attempts = 5;    ///< without a byte
constexpr int most_requests = 100;  ///< for a file that comes in crumbs
constexpr std::chrono::milliseconds first_pause{1000};
/// As much as a kill may cost.
constexpr std::uint64_t sync_every = 8ULL << 20;

std::string header_of(const HttpResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

bool is_busy(int status) {
  return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

const std::string& title_of(const Download& what) {
  return what.name.empty() ? what.url : what.name;
}

Error refusal(const Download& what, int status) {
  const auto& title = title_of(what);
  if (status == 404 || status == 410) {
    return Error(ErrorKind::not_found, fmt::format("{} is not there ({})", title, what.url))
        .with_hint(what.gone.empty() ? "correct the URL in the specification" : what.gone);
  }
  if (status == 401 || status == 403) {
    return Error(ErrorKind::untrusted,
                 fmt::format("{} is refused without an account ({})", title, what.url))
        .with_hint("fetch it yourself and name the file with path:");
  }
  return Error(ErrorKind::network, fmt::format("{}: the server answered {}", what.url, status))
      .with_hint("run the command again: it goes on with what is here");
}

}  // namespace

/// One file on its way into the folder.
class Downloads::Transfer {
 public:
  Transfer(const Downloads& owner, const Download& what, HttpClient& http)
      : owner_(owner), what_(what), http_(http), files_(owner.folder_, what.url) {}

  Result<Downloaded> run() {
    BP_TRY(const auto lock, FileLock::acquire(files_.lock(), true));
    if (auto here = owner_.find(what_)) return *here;  // another process was faster
    state_ = files_.read();
    BP_CHECK(open_part());
    auto done = fetch();
    if (!done && clean_retry_) {
      // An earlier run's part and today's rest are not one file: the whole again, once.
      BP_CHECK(restart());
      done = fetch();
    }
    if (!done && written_ > 0) (void)save();  // the next call goes on there
    return done;
  }

 private:
  Result<void> open_part() {
    BP_TRY(fd_, open_file(files_.part(), O_RDWR | O_CREAT, 0600));
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return fail(system_error(errno, "cannot stat a part"));
    // After a power cut the file may be longer than what of it is on the disk.
    written_ = std::min(static_cast<std::uint64_t>(info.st_size), state_.synced);
    if (!may_continue()) written_ = 0;
    if (what_.size && written_ > *what_.size) written_ = 0;
    if (::ftruncate(fd_.get(), static_cast<off_t>(written_)) != 0) {
      return fail(system_error(errno, "cannot cut a part"));
    }
    earlier_ = written_;
    return hash_written();
  }

  /// Without a digest or a name for this version nobody could tell whether the rest belongs to it.
  bool may_continue() const { return what_.digest || !state_.validator().empty(); }

  Result<void> hash_written() {
    hash_ = Sha256();
    std::vector<std::byte> block(std::size_t{1} << 18);
    for (std::uint64_t at = 0; at < written_;) {
      const auto part = std::span(block).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), written_ - at)));
      BP_CHECK(read_exactly_at(fd_.get(), part, at));
      hash_.update(part);
      at += part.size();
    }
    if (owner_.progress_ != nullptr) owner_.progress_->advance(written_);
    return {};
  }

  Result<void> restart() {
    if (::ftruncate(fd_.get(), 0) != 0) return fail(system_error(errno, "cannot cut a part"));
    hash_ = Sha256();
    written_ = 0;
    earlier_ = 0;
    clean_retry_ = false;
    return {};
  }

  /// Everything that is written is on the disk before the state says so.
  Result<void> save() {
    if (::fdatasync(fd_.get()) != 0) return fail(system_error(errno, "cannot write a part"));
    state_.synced = written_;
    unsynced_ = 0;
    return files_.write(state_);
  }

  Result<Downloaded> fetch() {
    auto pause = first_pause;
    int asked = 0;
    for (int attempt = 1;; ++attempt) {
      if (what_.size && written_ == *what_.size && written_ > 0) return finish();
      if (written_ > 0 && !may_continue()) BP_CHECK(restart());
      const auto before = written_;
      auto response = http_.send(request());
      if (response && (response->status == 200 || response->status == 206)) {
        if (!begun_ && written_ > 0) BP_CHECK(restart());  // it is empty by now
        if (begun_ && whole_ && written_ < *whole_ && written_ > before && ++asked < most_requests)
          continue;  // the rest
        return finish();
      }
      if (response && response->status == 304) return unchanged();
      if (response && response->status == 416 && written_ > 0) {
        BP_CHECK(restart());
        continue;
      }
      const bool busy = response && is_busy(response->status);
      const bool away = !response && !stopped_ && response.error().kind == ErrorKind::network;
      if (written_ > before) {  // it does come, piece by piece
        attempt = 1;
        pause = first_pause;
      }
      if ((!busy && !away) || attempt >= most_attempts || ++asked >= most_requests) {
        if (response) return fail(refusal(what_, response->status));
        return fail(std::move(response).error());
      }
      owner_.clock_.sleep(
          busy ? parse_retry_after(header_of(*response, "retry-after")).value_or(pause) : pause);
      pause *= 2;
    }
  }

  HttpRequest request() {
    HttpRequest out;
    out.url = what_.url;
    out.tls = what_.tls;
    stopped_ = false;
    begun_ = false;
    if (written_ > 0) {
      out.headers.emplace_back("Range", fmt::format("bytes={}-", written_));
      if (const auto name = state_.validator(); !name.empty()) {
        out.headers.emplace_back("If-Range", name);
      }
    } else if (!what_.digest && complete_before()) {
      if (!state_.etag.empty()) out.headers.emplace_back("If-None-Match", state_.etag);
      if (!state_.modified.empty()) out.headers.emplace_back("If-Modified-Since", state_.modified);
    }
    out.on_head = [this](const HttpResponse& head) { return note(begin(head)); };
    out.on_body = [this](std::span<const std::byte> data) { return note(take(data)); };
    return out;
  }

  /// A server that does not know If-Range sends a part of whatever it has.
  bool is_other_version(const HttpResponse& head) const {
    const auto etag = header_of(head, "etag");
    const auto modified = header_of(head, "last-modified");
    return (!state_.etag.empty() && !etag.empty() && etag != state_.etag) ||
           (!state_.modified.empty() && !modified.empty() && modified != state_.modified);
  }

  /// "bytes 5-9/10": 10. A server may send less than was asked for (RFC 9110, 15.3.7).
  static std::optional<std::uint64_t> whole_size(const HttpResponse& part) {
    const auto range = header_of(part, "content-range");
    const auto slash = range.find('/');
    return slash == std::string::npos ? std::nullopt : parse_unsigned(range.substr(slash + 1));
  }

  /// Our own refusal must not be taken for the network's.
  Result<void> note(Result<void> result) {
    if (!result) stopped_ = true;
    return result;
  }

  Result<void> begin(const HttpResponse& head) {
    begun_ = true;
    if (head.status == 206 && is_other_version(head)) {
      clean_retry_ = true;
      return fail(ErrorKind::corrupt,
                  fmt::format("{} sent a part of another version than was asked for", what_.url));
    }
    if (head.status == 206) {
      if (!header_of(head, "content-range").starts_with(fmt::format("bytes {}-", written_))) {
        clean_retry_ = true;
        return fail(ErrorKind::corrupt,
                    fmt::format("{} sent another part than was asked for", what_.url));
      }
    } else if (written_ > 0) {
      BP_CHECK(restart());  // another version, or a server that knows no parts
    }
    if (written_ == 0) {
      state_.etag = header_of(head, "etag");
      state_.modified = header_of(head, "last-modified");
    }
    state_.digest.reset();
    whole_.reset();
    const auto length = parse_unsigned(header_of(head, "content-length"));
    if (head.status == 206) {
      whole_ = whole_size(head);
    } else if (length) {
      whole_ = written_ + *length;
    }
    if (whole_ && what_.size && *whole_ != *what_.size) {
      clean_retry_ = earlier_ > 0;
      return fail(ErrorKind::corrupt, fmt::format("{} has {} bytes, {} were expected", what_.url,
                                                  *whole_, *what_.size));
    }
    if (!whole_) whole_ = what_.size;
    BP_CHECK(owner_.check_room(length.value_or(0), what_.url));
    return save();
  }

  Result<void> take(std::span<const std::byte> data) {
    if (what_.size && written_ + data.size() > *what_.size) {
      clean_retry_ = earlier_ > 0;
      return fail(ErrorKind::corrupt,
                  fmt::format("{} is larger than the {} bytes expected", what_.url, *what_.size));
    }
    owner_.rate_.take(data.size());
    BP_CHECK(write_all_at(fd_.get(), data, written_));
    hash_.update(data);
    written_ += data.size();
    unsynced_ += data.size();
    if (owner_.progress_ != nullptr) owner_.progress_->advance(data.size());
    return unsynced_ >= sync_every ? save() : Result<void>{};
  }

  bool complete_before() const {
    if (!state_.digest) return false;
    Download known = what_;
    known.digest = state_.digest;
    known.size = state_.size;
    return owner_.find(known).has_value();
  }

  Result<Downloaded> unchanged() {
    Download known = what_;
    known.digest = state_.digest;
    if (auto here = known.digest ? owner_.find(known) : std::nullopt) {
      files_.remove_part();
      return *here;
    }
    return fail(ErrorKind::network,
                fmt::format("{}: the server says that nothing has changed", what_.url));
  }

  Result<Downloaded> finish() {
    const auto digest = hash_.finish();
    hash_ = Sha256();
    const auto expected = what_.size ? what_.size : begun_ ? whole_ : std::nullopt;
    const bool wrong_size = expected && written_ != *expected;
    if (wrong_size || (what_.digest && *what_.digest != digest)) {
      const auto size = written_;
      clean_retry_ = earlier_ > 0;
      if (!clean_retry_) {
        written_ = 0;
        files_.remove();
      }
      return fail(ErrorKind::corrupt,
                  wrong_size
                      ? fmt::format("{} has {} bytes, {} were expected", what_.url, size, *expected)
                      : fmt::format("{} is {}, and {} was expected", what_.url, digest.str(),
                                    what_.digest->str()),
                  "compare with what its publisher says before you change the digest");
    }
    if (::fsync(fd_.get()) != 0) return fail(system_error(errno, "cannot write a part"));
    if (::fchmod(fd_.get(), 0644) != 0) return fail(system_error(errno, "cannot set a mode"));
    Downloaded out{owner_.folder_ / digest.hex(), digest, written_};
    if (::rename(files_.part().c_str(), out.path.c_str()) != 0) {
      return fail(system_error(errno, "cannot rename to " + out.path.string()));
    }
    BP_CHECK(sync_path(owner_.folder_));
    state_.synced = 0;
    state_.digest = digest;
    state_.size = written_;
    if (what_.digest) {
      files_.remove();
      files_.remove_lock();  // whoever waits for it finds the blob
    } else {
      BP_CHECK(files_.write(state_));
    }
    return out;
  }

  const Downloads& owner_;
  const Download& what_;
  HttpClient& http_;
  DownloadFiles files_;
  DownloadState state_;
  UniqueFd fd_;
  Sha256 hash_;
  std::uint64_t written_ = 0;           ///< bytes of the part that count
  std::uint64_t earlier_ = 0;           ///< of them, from an earlier run
  std::uint64_t unsynced_ = 0;          ///< bytes since the state was saved
  bool clean_retry_ = false;            ///< what went wrong may be the earlier run's part
  bool stopped_ = false;                ///< by us, not by the network
  std::optional<std::uint64_t> whole_;  ///< size of the file, as the last answer had it
  bool begun_ = false;                  ///< a byte of this answer has come
};

Result<void> Downloads::check_room(std::uint64_t needed, const std::string& what) const {
  BP_TRY(const auto free, free_space(folder_));
  if (free >= needed) return {};
  return fail(ErrorKind::io,
              fmt::format("{} has {} free, {} needs {}", folder_.string(), format_bytes(free), what,
                          format_bytes(needed)),
              "free space there (`bedplate bundle gc`), or name another folder with "
              "--cache-folder");
}

std::optional<Downloaded> Downloads::find(const Download& what) const {
  if (!what.digest) return std::nullopt;
  const auto path = folder_ / what.digest->hex();
  std::error_code code;
  const auto size = fs::file_size(path, code);
  if (code || (what.size && size != *what.size)) return std::nullopt;
  const auto digest = digest_file(path);
  if (!digest || *digest != *what.digest) return std::nullopt;
  fs::last_write_time(path, fs::file_time_type::clock::now(), code);  // for the garbage collector
  return Downloaded{path, *digest, size};
}

Result<Downloaded> Downloads::get(const Download& what, HttpClient& http) const {
  if (auto here = find(what)) {
    if (progress_ != nullptr) progress_->advance(here->size);
    return *here;
  }
  BP_CHECK(make_directories(folder_));
  BP_TRY_DURING(auto done, "fetching " + title_of(what), Transfer(*this, what, http).run());
  return done;
}

Result<std::vector<Downloaded>> Downloads::get_all(const std::vector<Download>& what,
                                                   unsigned workers) const {
  if (what.empty()) return std::vector<Downloaded>();
  std::uint64_t known = 0;
  for (const auto& item : what) known += item.size.value_or(0);
  BP_CHECK(make_directories(folder_));
  BP_CHECK(check_room(known, fmt::format("what is to be fetched ({} files)", what.size())));
  std::vector<std::optional<Result<Downloaded>>> results(what.size());
  in_parallel(what.size(), workers,
              [&](std::size_t i, HttpClient& http) { results[i] = get(what[i], http); });
  std::vector<Downloaded> out;
  std::vector<Error> errors;
  for (auto& result : results) {
    if (*result) {
      out.push_back(std::move(**result));
    } else {
      errors.push_back(std::move(*result).error());
    }
  }
  if (errors.empty()) return out;
  if (errors.size() == 1) return fail(std::move(errors.front()));
  std::string text = fmt::format("{} of {} files cannot be had:", errors.size(), what.size());
  for (const auto& error : errors) text += "\n  " + error.what;
  return fail(errors.front().kind, std::move(text), errors.front().hint);
}

Result<std::optional<std::uint64_t>> Downloads::ask_size(const Download& what,
                                                         HttpClient& http) const {
  HttpRequest request;
  request.method = "HEAD";
  request.url = what.url;
  request.tls = what.tls;
  const auto response = http.send(request);
  // Not every server answers HEAD, and an address may be good for GET alone; whoever fetches the
  // file is more patient, and says what is wrong with it.
  if (!response) return std::nullopt;
  if (response->status == 404 || response->status == 410) {
    return fail(refusal(what, response->status));
  }
  if (response->status != 200) return std::nullopt;
  return parse_unsigned(header_of(*response, "content-length"));
}

}  // namespace bedplate::collect
