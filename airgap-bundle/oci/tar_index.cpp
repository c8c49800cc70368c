#include "airgap-bundle/oci/tar_index.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "core/text.hpp"

namespace bedplate::oci {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t block_size = 512;
constexpr std::size_t most_members = 200'000;
constexpr std::uint64_t longest_extension = 1 << 20;
constexpr std::size_t longest_path = 4096;  // of Linux, too

std::string_view field(std::string_view block, std::size_t at, std::size_t length) {
  const auto text = block.substr(at, length);
  return text.substr(0, text.find('\0'));
}

/// Octal, or GNU's base-256 when the first bit is set. Nothing for what is no number, is negative
/// or does not fit.
std::optional<std::uint64_t> number(std::string_view text) {
  if (text.empty()) return 0;
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(text[0]) & 0x80U) != 0) {
    if (text[0] != '\x80') return std::nullopt;
    for (const char c : text.substr(1)) {
      if (value >> 56U != 0) return std::nullopt;
      value = value << 8U | static_cast<unsigned char>(c);
    }
    return value;
  }
  for (const char c : text) {
    if (c == ' ' || c == '\0') continue;
    if (c < '0' || c > '7') return std::nullopt;
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

bool checksum_is_right(std::string_view block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    sum += i >= 148 && i < 156 ? static_cast<unsigned char>(' ')
                               : static_cast<unsigned char>(block[i]);
  }
  return number(field(block, 148, 8)) == sum;
}

/// What an extended header says about the next member.
struct Extension {
  std::optional<std::string> path;
  std::optional<std::string> link;
  std::optional<std::uint64_t> size;
};

/// "<length> <key>=<value>\n" records (POSIX.1-2017, pax).
Result<void> parse_pax(std::string_view records, Extension& out) {
  while (!records.empty()) {
    std::size_t length = 0;
    const auto parsed = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(parsed.ptr - records.data());
    if (parsed.ec != std::errc{} || length > records.size() || length < digits + 3) {
      return fail(ErrorKind::corrupt, "a pax header is broken");
    }
    const auto record = records.substr(digits + 1, length - digits - 2);
    const auto equals = record.find('=');
    const auto key = record.substr(0, equals);
    const auto value =
        equals == std::string_view::npos ? std::string_view() : record.substr(equals + 1);
    if (key == "path") out.path = value;
    if (key == "linkpath") out.link = value;
    if (key == "size") {
      out.size = parse_unsigned(value);
      if (!out.size) return fail(ErrorKind::corrupt, "a pax header has a size that is no number");
    }
    records.remove_prefix(length);
  }
  return {};
}

std::string normal(std::string_view path) {
  auto text = fs::path(path).lexically_normal().generic_string();
  return text.starts_with("./") ? text.substr(2) : text;
}

Result<std::string> read_text(int fd, std::uint64_t offset, std::uint64_t size) {
  std::string out(size, '\0');
  BP_CHECK(read_exactly_at(fd, std::as_writable_bytes(std::span(out.data(), out.size())), offset));
  return out;
}

Result<void> refuse_compressed(std::string_view start, const fs::path& path) {
  const auto refuse = [&](std::string_view how, std::string_view command) {
    return fail(ErrorKind::unsupported, fmt::format("{} is compressed with {}", path.string(), how),
                fmt::format("unpack it once: `{} {}`", command, path.string()));
  };
  if (start.starts_with("\x1f\x8b")) return refuse("gzip", "gunzip -k");
  if (start.starts_with("\x28\xb5\x2f\xfd")) return refuse("zstd", "unzstd");
  if (start.starts_with("\xfd"
                        "7zXZ"))
    return refuse("xz", "unxz -k");
  return {};
}

}  // namespace

Result<TarIndex> TarIndex::read(const fs::path& path) {
  TarIndex index;
  BP_TRY(index.fd_, open_file(path, O_RDONLY));
  struct stat info{};
  if (::fstat(index.fd_.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
  const auto end = static_cast<std::uint64_t>(info.st_size);
  const auto broken = [&](std::uint64_t at) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} is not a tar archive, or broken at byte {}", path.string(), at));
  };
  BP_TRY(const auto start, read_text(index.fd_.get(), 0, std::min<std::uint64_t>(end, 6)));
  BP_CHECK(refuse_compressed(start, path));
  Extension next;
  for (std::uint64_t at = 0; at + block_size <= end;) {
    BP_TRY(const auto block, read_text(index.fd_.get(), at, block_size));
    if (block.find_first_not_of('\0') == std::string::npos) return index;
    if (!checksum_is_right(block)) return broken(at);
    auto size = number(std::string_view(block).substr(124, 12));
    if (!size) return broken(at);
    const char type = block[156];
    if (type != 'x' && type != 'L' && type != 'K' && type != 'g' && next.size) size = next.size;
    const auto content = at + block_size;
    if (*size > end || content > end - *size) return broken(at);
    at = content + (*size + block_size - 1) / block_size * block_size;
    if (type == 'x' || type == 'L' || type == 'K') {
      if (*size > longest_extension) return broken(content);
      BP_TRY(const auto text, read_text(index.fd_.get(), content, *size));
      if (type == 'x') BP_CHECK(parse_pax(text, next));
      if (type == 'L') next.path = text.substr(0, text.find('\0'));
      if (type == 'K') next.link = text.substr(0, text.find('\0'));
      continue;
    }
    auto name = std::string(field(block, 0, 100));
    if (const auto prefix = field(block, 345, 155);
        block.compare(257, 6, std::string_view("ustar\0", 6)) == 0 && !prefix.empty()) {
      name = std::string(prefix) + "/" + name;
    }
    name = next.path.value_or(name);
    const auto link = next.link.value_or(std::string(field(block, 157, 100)));
    if (name.size() > longest_path || link.size() > longest_path) return broken(at);
    name = normal(name);
    next = {};
    if (type == '0' || type == '\0') index.files_[name] = {content, *size};
    if (type == '1') index.links_[name] = normal(link);
    if (type == '2') index.links_[name] = normal((fs::path(name).parent_path() / link).string());
    if (index.files_.size() + index.links_.size() > most_members) return broken(at);
  }
  return broken(end);
}

Result<TarIndex::Member> TarIndex::find(std::string_view path) const {
  auto name = normal(path);
  constexpr int most_links = 8;
  for (int i = 0; i < most_links; ++i) {
    if (const auto file = files_.find(name); file != files_.end()) return file->second;
    const auto link = links_.find(name);
    if (link == links_.end()) break;
    name = link->second;
  }
  return fail(ErrorKind::not_found, fmt::format("the archive has no file {}", path));
}

}  // namespace bedplate::oci
