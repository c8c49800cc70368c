#include "airgap-bundle/sets/split.hpp"

#include <algorithm>
#include <cerrno>
#include <numeric>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/bundle/content.hpp"
#include "airgap-bundle/sets/copy.hpp"
#include "airgap-bundle/sets/part_set.hpp"
#include "core/file.hpp"

namespace bedplate::sets {
namespace fs = std::filesystem;
namespace {

/// Parts begin where blocks of disks and discs do.
constexpr std::uint64_t part_alignment = 4096;

/// A bundle that is whole, or from whose end parts were moved away.
struct Source {
  UniqueFd fd;
  std::uint64_t size = 0;  ///< bytes that are here
  bundle::SignedHeader header;
};

Result<Source> open_source(const SplitOptions& options, std::span<const PublicKey> trusted) {
  Source out;
  BP_TRY(out.fd, open_file(options.bundle, options.move ? O_RDWR : O_RDONLY));
  struct stat info{};
  if (::fstat(out.fd.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
  out.size = static_cast<std::uint64_t>(info.st_size);
  BP_TRY(out.header,
         bundle::read_signed_header(bundle::read_from(out.fd.get()), out.size, trusted));
  if (out.size <= out.header.end) return out;
  return fail(ErrorKind::corrupt,
              fmt::format("the file has {} bytes; {} were signed", out.size, out.header.end));
}

Result<bundle::PartLayout> choose_layout(const SplitOptions& options, const Source& source) {
  bundle::PartLayout layout;
  layout.total = source.header.end;
  if (options.part_size > bundle::part_header_size) {
    layout.length =
        (options.part_size - bundle::part_header_size) / part_alignment * part_alignment;
  }
  const auto head = source.header.header.entries.front().offset;
  if (layout.length < head) {
    return fail(ErrorKind::usage,
                fmt::format("a part of {} bytes is too small: the first one must hold the signed "
                            "header, which needs {}",
                            options.part_size, head + bundle::part_header_size + part_alignment),
                "give a larger --size");
  }
  if ((layout.total - 1) / layout.length >= bundle::most_parts) {
    return fail(ErrorKind::usage, fmt::format("that would be over {} parts", bundle::most_parts),
                "give a larger --size");
  }
  return layout;
}

fs::path folder_of(const SplitOptions& options) {
  if (!options.to.empty()) return options.to;
  const auto parent = options.bundle.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

fs::path path_of(const SplitOptions& options, const SplitPlan& plan, std::uint32_t number) {
  return folder_of(options) /
         part_name(options.bundle.filename().string(), number, plan.layout.count());
}

/// A part of this very set, undamaged.
bool is_here(const fs::path& path, const SplitPlan& plan, std::uint32_t number) {
  const auto part = open_part(path);
  return part && part->header.set == plan.set && part->header.layout == plan.layout &&
         part->header.number == number && check_part(*part, nullptr).has_value();
}

Result<SplitPlan> make_plan(const SplitOptions& options, const Source& source) {
  SplitPlan plan;
  BP_TRY(plan.layout, choose_layout(options, source));
  plan.set = source.header.digest;
  auto wanted = options.only;
  if (wanted.empty()) {
    wanted.resize(plan.layout.count());
    std::iota(wanted.begin(), wanted.end(), 1U);
  }
  std::uint64_t sum = 0;
  std::uint64_t largest = 0;
  for (const auto number : wanted) {
    if (number < 1 || number > plan.layout.count()) {
      return fail(ErrorKind::usage, fmt::format("there is no part {}: the parts are 1 to {}",
                                                number, plan.layout.count()));
    }
    if (is_here(path_of(options, plan, number), plan, number)) {
      plan.here.push_back(number);
      continue;
    }
    const auto size = plan.layout.size(number);
    if (plan.layout.offset(number) + size > source.size) {
      return fail(ErrorKind::not_found,
                  fmt::format("{} has {} of {} bytes: part {} is not in it, and {} is not there",
                              options.bundle.string(), source.size, source.header.end, number,
                              path_of(options, plan, number).string()),
                  "the bundle was cut off, or this part was moved out of it: bring the part back, "
                  "and give the same --size as then");
    }
    plan.write.push_back(number);
    sum += size + bundle::part_header_size;
    largest = std::max(largest, size + bundle::part_header_size);
  }
  BP_TRY(const auto from, probe_file_system(fs::absolute(options.bundle).parent_path()));
  BP_TRY(const auto to, probe_file_system(folder_of(options)));
  // What was moved gives its room back before the next part comes.
  const bool reused = options.move && from.id == to.id;
  BP_TRY(plan.space,
         measure_space({{folder_of(options), reused ? largest : sum, largest, "parts"}}));
  return plan;
}

Result<void> write_part(const SplitOptions& options, const SplitPlan& plan, const Source& source,
                        std::uint32_t number, Progress* progress) {
  bundle::PartHeader header;
  header.number = number;
  header.layout = plan.layout;
  header.set = plan.set;
  const auto path = path_of(options, plan, number);
  BP_CHECK(remove_abandoned(path.parent_path(), path.filename().string() + ".tmp."));
  BP_TRY(auto file, AtomicFile::create(path));
  std::uint64_t reported = 0;
  BP_TRY(header.content,
         copy_range(source.fd.get(), header.offset(), file.fd(), bundle::part_header_size,
                    header.size(), 0, [&](std::uint64_t done) -> Result<void> {
                      if (progress != nullptr) progress->advance(done - reported);
                      reported = done;
                      return {};
                    }));
  BP_CHECK(write_all_at(file.fd(), as_byte_span(bundle::to_bytes(header)), 0));
  return file.commit();
}

/// Part `number` is on the disk, and so are all behind it: the bundle ends before it now.
Result<void> take_out(const SplitOptions& options, const SplitPlan& plan, const Source& source,
                      std::uint32_t number) {
  if (number == 1) {
    if (::unlink(options.bundle.c_str()) != 0) {
      return fail(system_error(errno, "cannot remove " + options.bundle.string()));
    }
    return sync_path(fs::absolute(options.bundle).parent_path());
  }
  const auto end = plan.layout.offset(number);
  struct stat info{};
  if (::fstat(source.fd.get(), &info) == 0 && static_cast<std::uint64_t>(info.st_size) <= end) {
    return {};
  }
  if (::ftruncate(source.fd.get(), static_cast<off_t>(end)) != 0 || ::fsync(source.fd.get()) != 0) {
    return fail(system_error(errno, "cannot shorten " + options.bundle.string()));
  }
  return {};
}

Result<SplitPlan> run(const SplitOptions& options, std::span<const PublicKey> trusted,
                      Progress* progress) {
  if (options.move && !options.only.empty()) {
    return fail(ErrorKind::usage, "--move takes all parts out of the bundle: give no --part");
  }
  BP_TRY(const auto source, open_source(options, trusted));
  if (options.move && ::flock(source.fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::conflict,
                fmt::format("{} is being moved by another process", options.bundle.string()));
  }
  BP_TRY(auto plan, make_plan(options, source));
  BP_CHECK(require_space(plan.space));
  BP_CHECK(make_directories(folder_of(options)));
  std::uint64_t sum = 0;
  for (const auto number : plan.write) sum += plan.layout.size(number);
  if (progress != nullptr) {
    progress->begin("split " + options.bundle.filename().string(), sum);
    if (!plan.here.empty()) {
      progress->note(part_list(plan.here, plan.layout.count()) + ": there already");
    }
  }
  // The last one first, so that what is left of a bundle that is moved begins with its header.
  auto numbers = plan.write;
  if (options.move) numbers.insert(numbers.end(), plan.here.begin(), plan.here.end());
  std::ranges::sort(numbers, std::greater());
  for (const auto number : numbers) {
    if (std::ranges::find(plan.write, number) != plan.write.end()) {
      BP_CHECK_DURING("writing " + path_of(options, plan, number).string(),
                      write_part(options, plan, source, number, progress));
    }
    if (options.move) BP_CHECK(take_out(options, plan, source, number));
  }
  if (progress != nullptr) progress->end();
  return plan;
}

}  // namespace

Result<SplitPlan> plan_split(const SplitOptions& options, std::span<const PublicKey> trusted) {
  const auto made = [&]() -> Result<SplitPlan> {
    BP_TRY(const auto source, open_source(options, trusted));
    return make_plan(options, source);
  };
  BP_TRY_DURING(auto plan, "planning to split " + options.bundle.string(), made());
  return plan;
}

Result<SplitPlan> split(const SplitOptions& options, std::span<const PublicKey> trusted,
                        Progress* progress) {
  BP_TRY_DURING(auto plan, "splitting " + options.bundle.string(), run(options, trusted, progress));
  return plan;
}

}  // namespace bedplate::sets
