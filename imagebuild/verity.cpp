#include "imagebuild/verity.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

std::uint64_t padded_size(std::uint64_t size) {
  return (size + kVerityBlock - 1) / kVerityBlock * kVerityBlock;
}

Result<std::string> parse_root_hash(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const bool hex = std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (text.size() != 64 || !hex) {
    return fail(ErrorKind::process,
                fmt::format("veritysetup gave no root hash but '{}'", text.substr(0, 80)));
  }
  return std::string(text);
}

Result<Verity> append_verity(const Workshop& shop, const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (!error) fs::resize_file(file, padded_size(size), error);
  if (error) {
    return fail(ErrorKind::io, fmt::format("cannot pad {}: {}", file.string(), error.message()));
  }
  Verity verity;
  verity.hash_offset = padded_size(size);
  BP_TRY(const auto digest, digest_file(file));
  const auto hex = digest.hex();
  const auto uuid = fmt::format("{}-{}-4{}-8{}-{}", hex.substr(0, 8), hex.substr(8, 4),
                                hex.substr(13, 3), hex.substr(17, 3), hex.substr(20, 12));
  const auto hash_file = file.string() + ".roothash";
  BP_CHECK_DURING(
      "making the dm-verity tree",
      shop.runner.check({shop.tools["veritysetup"], "format",
                         fmt::format("--data-blocks={}", verity.hash_offset / kVerityBlock),
                         fmt::format("--hash-offset={}", verity.hash_offset), "--hash=sha256",
                         "--data-block-size=4096", "--hash-block-size=4096", "--salt=" + hex,
                         "--uuid=" + uuid, "--root-hash-file=" + hash_file, file.string(),
                         file.string()}));
  BP_TRY(const auto text, read_file(hash_file));
  fs::remove(hash_file, error);
  BP_TRY(verity.root_hash, parse_root_hash(text));
  return verity;
}

}  // namespace bedplate::image
