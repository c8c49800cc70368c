#include "airgap-bundle/sets/any.hpp"

#include <fmt/format.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/sets/part_set.hpp"

namespace bedplate::sets {
namespace {

/// ErrorKind::usage for several bundles at once.
Result<bool> are_parts(const std::vector<std::filesystem::path>& files) {
  if (is_part(files.front())) return true;
  if (files.size() == 1) return false;
  return fail(ErrorKind::usage,
              fmt::format("{} is no part of a bundle: several files can only be parts of one",
                          files.front().string()),
              "name one bundle, or the parts that `bedplate bundle split` wrote");
}

}  // namespace

Result<bundle::SignedHeader> read_any_header(const std::vector<std::filesystem::path>& files,
                                             std::span<const PublicKey> trusted) {
  BP_TRY(const auto parts, are_parts(files));
  if (parts) {
    BP_TRY(const auto set, PartSet::open(files));
    return set.header(trusted);
  }
  BP_TRY(const auto reader, bundle::Reader::open(files.front(), trusted));
  return reader.signed_header();
}

Result<bundle::SignedHeader> verify_any(const std::vector<std::filesystem::path>& files,
                                        std::span<const PublicKey> trusted, Progress* progress) {
  BP_TRY(const auto parts, are_parts(files));
  if (parts) {
    BP_TRY(const auto set, PartSet::open(files));
    return set.verify(trusted, progress);
  }
  BP_TRY(const auto reader, bundle::Reader::open(files.front(), trusted));
  BP_CHECK(reader.verify(progress));
  return reader.signed_header();
}

Result<void> check_alone(const std::vector<std::filesystem::path>& files, Progress* progress) {
  BP_TRY(const auto set, PartSet::open(files));
  std::vector<const Part*> parts;
  std::uint64_t sum = 0;
  for (const auto& part : set.parts()) {
    parts.push_back(&part);
    sum += part.header.size();
  }
  if (progress != nullptr) progress->begin("check parts", sum);
  BP_CHECK(check_parts(parts, progress));
  if (progress != nullptr) progress->end();
  return {};
}

std::string elsewhere_text(const bundle::Header& header) {
  std::uint64_t sum = 0;
  for (const auto& blob : header.elsewhere) sum += blob.size;
  return fmt::format("{} blobs ({}) that its base must have", header.elsewhere.size(),
                     format_bytes(sum));
}

}  // namespace bedplate::sets
