#include "installer/apply/bundle.hpp"

#include <sstream>
#include <utility>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/file.hpp"

namespace bedplate::installer {
namespace {

class Checker final : public BundleChecker {
 public:
  explicit Checker(std::vector<PublicKey> trusted) : trusted_(std::move(trusted)) {}

  Result<BundleFacts> open(const std::filesystem::path& file) override {
    BP_TRY(const auto reader, bundle::Reader::open(file, trusted_));
    return BundleFacts{reader.header().name, reader.header().version, reader.file_size()};
  }

  Result<void> verify(const std::filesystem::path& file, Progress* progress) override {
    BP_TRY(const auto reader, bundle::Reader::open(file, trusted_));
    return reader.verify(progress);
  }

 private:
  std::vector<PublicKey> trusted_;
};

}  // namespace

std::unique_ptr<BundleChecker> make_bundle_checker(std::vector<PublicKey> trusted) {
  return std::make_unique<Checker>(std::move(trusted));
}

Result<std::vector<PublicKey>> read_trusted_keys(const std::filesystem::path& path) {
  const auto content = read_file(path, 1 << 20);
  if (!content) {
    return fail(Error(content.error())
                    .during("reading the bundle keys this system accepts")
                    .with_hint("run this in the system that the medium starts, or name the file "
                               "with --trust"));
  }
  std::vector<PublicKey> out;
  std::istringstream lines(*content);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    BP_TRY_DURING(out.emplace_back(), "reading " + path.string(), PublicKey::parse(line));
  }
  if (out.empty()) {
    return fail(ErrorKind::untrusted, path.string() + " names no bundle key",
                "make the system image again with: bedplate image system");
  }
  return out;
}

}  // namespace bedplate::installer
