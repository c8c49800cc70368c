#include "airgap-bundle/tests/fixture.hpp"

#include <random>

#include <fcntl.h>
#include <unistd.h>

namespace bedplate::bundle_test {

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>(random() & 0xffU);
  return out;
}

void BundleTest::SetUp() {
  auto made = TemporaryDirectory::create("bedplate-bundle");
  ASSERT_OK(made);
  folder_.emplace(std::move(*made));
  const auto root = folder() / "app";
  write(root / "bin/hello", "#!/bin/sh\necho hello\n", 0755);
  write(root / "etc/long", std::string(300'000, 'x'));
  write(root / "data/noise", noise(200'000, 1));
  fs::create_symlink("bin/hello", root / "start");
  fs::create_directory(root / "empty");
  write(folder() / "tools/bin/kubelet", noise(100'000, 2), 0755);
  write(folder() / "tools/bin/nothing", "");
  write(folder() / "tools/readme", std::string(5000, 'r'), 0640);
  spec_ = R"(kind: Bundle
name: test
version: "1"
images:
  - name: registry.example/team/app:1.0
    source: rootfs:app
    config: {entrypoint: ["/bin/hello"], env: ["A=b"], user: "0", workingDir: "/"}
    annotations: {dev.bedplate.provenance: "made by a test"}
  - name: docker.io/library/app:1.0
    source: rootfs:app
    config: {cmd: ["/start"]}
files:
  - name: tools
    version: v3
    annotations: {dev.bedplate.provenance: "made by a test"}
    files:
      - {path: tools, to: opt}
)";
}

Result<bundle::Header> BundleTest::try_create(const fs::path& output) {
  BP_TRY(const auto spec, collect::parse_spec(spec_, "bundle.yaml"));
  collect::CreateOptions options;
  options.root = folder();
  options.output = output;
  options.created_at = WallTime(std::chrono::seconds(1'000'000'000));
  options.runner = runner_;
  options.helm = helm_;
  options.lock = lock_;
  options.cache = cache_;
  BP_TRY(const auto created, collect::create_bundle(spec, options, key_, nullptr));
  return created.header;
}

void BundleTest::create(const fs::path& output) {
  ASSERT_OK(try_create(output));
}

Result<bundle::Reader> BundleTest::open(const fs::path& path) const {
  return bundle::Reader::open(path, std::vector{key_.public_key()});
}

void flip(const fs::path& path, std::uint64_t offset, unsigned char bits) {
  const auto fd = open_file(path, O_RDWR);
  ASSERT_OK(fd);
  unsigned char byte = 0;
  ASSERT_EQ(::pread(fd->get(), &byte, 1, static_cast<off_t>(offset)), 1);
  byte = static_cast<unsigned char>(byte ^ bits);
  ASSERT_EQ(::pwrite(fd->get(), &byte, 1, static_cast<off_t>(offset)), 1);
}

}  // namespace bedplate::bundle_test
