#include "airgap-bundle/sets/join.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/bundle/partial.hpp"
#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/sets/copy.hpp"
#include "airgap-bundle/sets/part_set.hpp"

namespace bedplate::sets {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& file) {
  return fs::absolute(file).parent_path();
}

std::vector<bundle::Placed> places(const PartSet& set) {
  // All parts have the set's digest here: their own are known only when they come.
  std::vector<bundle::Placed> out;
  const auto& layout = set.layout();
  for (std::uint32_t i = 1; i <= layout.count(); ++i) {
    out.push_back({set.digest(), layout.size(i), layout.offset(i)});
  }
  return out;
}

Result<std::vector<SpaceUse>> measure(const JoinOptions& options, const PartSet& set) {
  const auto& layout = set.layout();
  const auto written = bundle::PartialFile::bytes_here(options.output, places(set));
  return measure_space({{folder_of(options.output), layout.total - std::min(written, layout.total),
                         layout.total, options.output.string()}});
}

class Joining {
 public:
  Joining(const PartSet& set, bundle::PartialFile file, Progress* progress)
      : set_(set), file_(std::move(file)), progress_(progress) {}

  std::uint64_t written() const { return file_.total_written(); }

  Result<void> copy(const Part& part) {
    const auto index = part.header.number - 1;
    // Complete means synced, and compared with the part's checksum.
    if (file_.written(index) == part.header.size()) return {};
    BP_TRY(auto right, copy_from(part, std::min(file_.written(index), part.header.size())));
    if (right) return {};
    // What lay here from before may be to blame.
    BP_TRY(right, copy_from(part, 0));
    if (right) return {};
    return fail(ErrorKind::corrupt,
                fmt::format("part {} ({}) is damaged", part.header.number, part.path.string()),
                "copy this part again from where the bundle was split; what is here of the others "
                "stays");
  }

  std::vector<std::uint32_t> still_needed() const {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 1; i <= set_.layout().count(); ++i) {
      if (file_.written(i - 1) != set_.layout().size(i)) out.push_back(i);
    }
    return out;
  }

  Result<bundle::SignedHeader> finish(std::span<const PublicKey> trusted) {
    const auto read = bundle::read_from(file_.fd());
    const auto& layout = set_.layout();
    auto signed_header = bundle::read_signed_header(read, layout.total, trusted);
    if (!signed_header) {
      // The part itself was looked at before: what is here of it has suffered.
      if (set_.find(1) != nullptr) drop(0, layout.length);
      return fail(std::move(signed_header).error());
    }
    auto& header = *signed_header;
    if (header.digest != set_.digest() || header.end != layout.total) {
      drop(0, layout.length);
      return fail(ErrorKind::corrupt, "part 1 is of another bundle than its header says",
                  "copy part 1 again from where the bundle was split");
    }
    if (progress_ != nullptr) progress_->begin("compare with the signature", layout.total);
    BP_TRY(const auto damage, bundle::find_damage(read, header, progress_, false));
    if (damage.empty()) {
      BP_CHECK(file_.commit());
      return header;
    }
    for (const auto& item : damage) drop(item.begin, item.end);
    const auto wrong = still_needed();
    return fail(
        ErrorKind::corrupt,
        fmt::format("{}; {} {} not what was signed", damage.front().what,
                    part_list(wrong, layout.count()), wrong.size() == 1 ? "is" : "are"),
        "get these parts again and run the command with them; what is here of the others stays");
  }

 private:
  Result<bool> copy_from(const Part& part, std::uint64_t from) {
    const auto index = part.header.number - 1;
    const auto size = part.header.size();
    if (progress_ != nullptr) progress_->advance(from);
    auto reported = from;
    BP_TRY(const auto digest,
           copy_range(part.fd.get(), bundle::part_header_size, file_.fd(), part.header.offset(),
                      size, from, [&](std::uint64_t done) -> Result<void> {
                        // The last step is taken below, when the disk has it.
                        if (done < size) file_.set_written(index, done);
                        if (progress_ != nullptr) progress_->advance(done - reported);
                        reported = done;
                        return {};
                      }));
    if (digest != part.header.content) {
      file_.set_written(index, 0);
      return false;
    }
    if (::fdatasync(file_.fd()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
    file_.set_written(index, size);
    return true;
  }

  void drop(std::uint64_t begin, std::uint64_t end) {
    for (auto at = begin / set_.layout().length; at * set_.layout().length < end; ++at) {
      file_.set_written(static_cast<std::size_t>(at), 0);
    }
  }

  const PartSet& set_;
  bundle::PartialFile file_;
  Progress* progress_;
};

Result<bundle::SignedHeader> run(const JoinOptions& options, std::span<const PublicKey> trusted,
                                 Progress* progress) {
  BP_TRY(const auto set, PartSet::open(options.parts));
  // The signature first, when it is here: what is not trusted is not copied.
  if (set.find(1) != nullptr) BP_CHECK(set.header(trusted));
  if (auto there = bundle::Reader::open(options.output, trusted);
      there && there->digest() == set.digest() && there->verify(progress)) {
    return bundle::read_signed_header(bundle::read_from(there->fd()), there->file_size(), trusted);
  }
  if (bundle::PartialFile::earlier(options.output, places(set)) ==
      bundle::PartialFile::Earlier::other) {
    // A wrong disc must not cost what the right ones have brought.
    return fail(ErrorKind::conflict,
                fmt::format("{}.partial holds parts of another set", options.output.string()),
                "put in the disc of that set; or name another file with -o, or remove it and "
                "its .state");
  }
  BP_TRY(const auto space, measure(options, set));
  BP_CHECK(require_space(space));
  BP_TRY(auto file, bundle::PartialFile::open(options.output, places(set)));
  if (::ftruncate(file.fd(), static_cast<off_t>(set.layout().total)) != 0) {
    return fail(system_error(errno, "cannot set the bundle's length"));
  }
  Joining joining(set, std::move(file), progress);
  if (progress != nullptr) {
    progress->begin("join " + options.output.filename().string(), set.layout().total);
    if (joining.written() > 0) progress->note("going on with what is here from an earlier run");
  }
  for (const auto& part : set.parts()) {
    BP_CHECK_DURING("copying " + part.path.string(), joining.copy(part));
  }
  if (const auto needed = joining.still_needed(); !needed.empty()) {
    return fail(ErrorKind::not_found,
                fmt::format("{} {} still needed", part_list(needed, set.layout().count()),
                            needed.size() == 1 ? "is" : "are"),
                "put in the next medium and run the same command with its part; what is here "
                "stays");
  }
  BP_TRY(auto header, joining.finish(trusted));
  if (progress != nullptr) progress->end();
  return header;
}

}  // namespace

Result<std::vector<SpaceUse>> plan_join(const JoinOptions& options) {
  BP_TRY(const auto set, PartSet::open(options.parts));
  return measure(options, set);
}

Result<bundle::SignedHeader> join(const JoinOptions& options, std::span<const PublicKey> trusted,
                                  Progress* progress) {
  BP_TRY_DURING(auto header, "joining " + options.output.string(), run(options, trusted, progress));
  return header;
}

}  // namespace bedplate::sets
