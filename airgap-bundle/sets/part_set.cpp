#include "airgap-bundle/sets/part_set.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace bedplate::sets {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t read_size = std::size_t{256} << 10;

Result<std::string> read_start(int fd) {
  std::string start(bundle::part_header_size, '\0');
  BP_CHECK(read_exactly_at(fd, std::as_writable_bytes(std::span(start.data(), start.size())), 0));
  return start;
}

Result<Part> open_checked(const fs::path& path) {
  Part part;
  part.path = path;
  BP_TRY(part.fd, open_file(path, O_RDONLY));
  struct stat info{};
  if (::fstat(part.fd.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < bundle::part_header_size) {
    return fail(ErrorKind::corrupt, "this is not a part of a bundle: it is too short");
  }
  BP_TRY(const auto start, read_start(part.fd.get()));
  BP_TRY(part.header, bundle::parse_part_header(start));
  const auto wanted = bundle::part_header_size + part.header.size();
  if (size == wanted) return part;
  return fail(
      ErrorKind::corrupt,
      fmt::format("part {} has {} bytes; it must have {}", part.header.number, size, wanted),
      "copy this part again: a transfer that broke off leaves it short");
}

std::string numbers_text(const std::vector<std::uint32_t>& numbers) {
  std::string out;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) out += i + 1 == numbers.size() ? " and " : ", ";
    out += std::to_string(numbers[i]);
  }
  return out;
}

/// One error for all files; its kind is the first one's.
Error together(std::vector<Error> errors, std::string what) {
  if (errors.size() == 1) return std::move(errors.front());
  Error out(errors.front().kind, std::move(what));
  for (const auto& error : errors) {
    out.what += "\n  ";
    if (!error.during_lines.empty()) out.what += error.during_lines.back() + ": ";
    out.what += error.what;
    if (out.hint.empty()) out.hint = error.hint;
  }
  return out;
}

}  // namespace

std::string part_name(const std::string& bundle, std::uint32_t number, std::uint32_t count) {
  return fmt::format("{}.{:0{}}of{}", bundle, number, std::to_string(count).size(), count);
}

std::string part_list(const std::vector<std::uint32_t>& numbers, std::uint32_t count) {
  return fmt::format("part{} {} of {}", numbers.size() == 1 ? "" : "s", numbers_text(numbers),
                     count);
}

bool is_part(const fs::path& path) {
  const auto fd = open_file(path, O_RDONLY);
  if (!fd) return false;
  const auto start = read_start(fd->get());
  return start && bundle::begins_part(*start);
}

Result<Part> open_part(const fs::path& path) {
  BP_TRY_DURING(auto part, "opening part " + path.string(), open_checked(path));
  return part;
}

Result<void> check_part(const Part& part, Progress* progress) {
  Sha256 hash;
  std::vector<std::byte> block(read_size);
  for (std::uint64_t done = 0; done < part.header.size();) {
    const auto piece = std::span(block).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), part.header.size() - done)));
    BP_CHECK_DURING("reading part " + part.path.string(),
                    read_exactly_at(part.fd.get(), piece, bundle::part_header_size + done));
    hash.update(piece);
    done += piece.size();
    if (progress != nullptr) progress->advance(piece.size());
  }
  if (hash.finish() == part.header.content) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("part {} ({}) is damaged", part.header.number, part.path.string()),
              "copy this part again from where the bundle was split");
}

Result<void> check_parts(const std::vector<const Part*>& parts, Progress* progress) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::vector<Error> errors;
  const auto work = [&] {
    for (auto i = next++; i < parts.size(); i = next++) {
      auto checked = check_part(*parts[i], progress);
      const std::lock_guard lock(mutex);
      if (!checked) errors.push_back(std::move(checked).error());
    }
  };
  {
    std::vector<std::jthread> threads;
    const auto most = std::min<std::size_t>(std::thread::hardware_concurrency(), parts.size());
    for (std::size_t i = 1; i < most; ++i) threads.emplace_back(work);
    work();
  }
  if (errors.empty()) return {};
  std::ranges::sort(errors, {}, &Error::what);
  return fail(together(std::move(errors), "parts are damaged:"));
}

Result<PartSet> PartSet::open(const std::vector<fs::path>& files) {
  PartSet out;
  std::vector<Error> errors;
  std::vector<Part> parts;
  for (const auto& path : files) {
    if (auto part = open_part(path)) {
      parts.push_back(std::move(*part));
    } else {
      errors.push_back(std::move(part).error());
    }
  }
  // Part 1 has the signature: it says which set is meant.
  std::ranges::stable_sort(parts, {}, [](const Part& part) { return part.header.number; });
  for (auto& part : parts) {
    const auto* first = out.parts_.empty() ? nullptr : &out.parts_.front();
    const auto* same = out.find(part.header.number);
    if (first != nullptr &&
        (part.header.set != first->header.set || part.header.layout != first->header.layout)) {
      errors.push_back(
          Error(ErrorKind::invalid, fmt::format("{} belongs to another set than {}",
                                                part.path.string(), first->path.string()))
              .with_hint("name the parts of one bundle only, all from the same split"));
    } else if (same != nullptr) {
      errors.push_back(
          Error(ErrorKind::invalid, fmt::format("{} and {} are both part {}", same->path.string(),
                                                part.path.string(), part.header.number))
              .with_hint("name each part once"));
    } else {
      out.parts_.push_back(std::move(part));
    }
  }
  if (!errors.empty()) {
    return fail(together(std::move(errors), "some of the files do not belong to the set:"));
  }
  if (out.parts_.empty()) return fail(ErrorKind::usage, "no part was named");
  return out;
}

const Part* PartSet::find(std::uint32_t number) const {
  const auto found =
      std::ranges::find(parts_, number, [](const Part& part) { return part.header.number; });
  return found == parts_.end() ? nullptr : &*found;
}

std::vector<std::uint32_t> PartSet::missing() const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 1; i <= layout().count(); ++i) {
    if (find(i) == nullptr) out.push_back(i);
  }
  return out;
}

bundle::ReadAt PartSet::reader() const {
  return [this](std::span<std::byte> out, std::uint64_t offset) { return read(out, offset); };
}

Result<void> PartSet::read(std::span<std::byte> out, std::uint64_t offset) const {
  while (!out.empty()) {
    if (offset >= layout().total) {
      return fail(ErrorKind::corrupt, fmt::format("the set ends {} bytes too early", out.size()));
    }
    const auto number = static_cast<std::uint32_t>(offset / layout().length) + 1;
    const auto* part = find(number);
    if (part == nullptr) {
      return fail(ErrorKind::not_found,
                  fmt::format("part {} of {} is missing", number, layout().count()));
    }
    const auto inside = offset - part->header.offset();
    const auto piece = out.first(static_cast<std::size_t>(
        std::min<std::uint64_t>(out.size(), part->header.size() - inside)));
    BP_CHECK_DURING("reading part " + part->path.string(),
                    read_exactly_at(part->fd.get(), piece, bundle::part_header_size + inside));
    out = out.subspan(piece.size());
    offset += piece.size();
  }
  return {};
}

Result<bundle::SignedHeader> PartSet::header(std::span<const PublicKey> trusted) const {
  const auto* first = find(1);
  if (first == nullptr) {
    return fail(ErrorKind::not_found,
                fmt::format("part 1 of {}, which has the signature, is missing", layout().count()),
                "name part 1 too");
  }
  BP_TRY_DURING(auto out, "opening part " + first->path.string(),
                bundle::read_signed_header(reader(), first->header.size(), trusted));
  if (out.digest == digest() && out.end == layout().total) return out;
  return fail(ErrorKind::corrupt,
              fmt::format("{} is of another bundle than its header says", first->path.string()),
              "copy part 1 again from where the bundle was split");
}

Result<bundle::SignedHeader> PartSet::verify(std::span<const PublicKey> trusted,
                                             Progress* progress) const {
  if (progress != nullptr) progress->begin("verify parts", layout().total);
  if (const auto gaps = missing(); !gaps.empty()) {
    std::vector<const Part*> here;
    for (const auto& part : parts_) here.push_back(&part);
    BP_CHECK(check_parts(here, progress));
    return fail(ErrorKind::not_found,
                part_list(gaps, layout().count()) + (gaps.size() == 1 ? " is" : " are") +
                    " missing; the others are undamaged, each by itself",
                "name all parts: only together they can be compared with the signature");
  }
  BP_TRY(auto signed_header, header(trusted));
  BP_TRY(const auto damage, bundle::find_damage(reader(), signed_header, progress, false));
  if (progress != nullptr) progress->end();
  if (damage.empty()) return signed_header;
  std::set<std::uint32_t> touched;
  for (const auto& item : damage) {
    for (auto at = item.begin / layout().length; at * layout().length < item.end; ++at) {
      touched.insert(static_cast<std::uint32_t>(at) + 1);
    }
  }
  std::vector<const Part*> suspects;
  for (const auto number : touched) suspects.push_back(find(number));
  const std::string doing = damage.front().what;
  BP_CHECK_DURING(doing, check_parts(suspects, nullptr));
  // Each is what it was when it was made: then it was made of something else, or by somebody else.
  return fail(ErrorKind::corrupt,
              fmt::format("{}; {} {} not what was signed", doing,
                          part_list({touched.begin(), touched.end()}, layout().count()),
                          touched.size() == 1 ? "is" : "are"),
              "verify the bundle that was split, and split it again");
}

}  // namespace bedplate::sets
