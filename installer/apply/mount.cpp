#include "installer/apply/mount.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/log.hpp"

namespace bedplate::installer {

void unmount_leftover(const std::filesystem::path& at) {
  while (::umount2(at.c_str(), UMOUNT_NOFOLLOW) == 0) log::debug("unmounted {}", at.string());
}

Result<Mount> Mount::ext4(const std::filesystem::path& device, const std::filesystem::path& at) {
  BP_CHECK(make_directories(at));
  unmount_leftover(at);
  if (::mount(device.c_str(), at.c_str(), "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, "") != 0) {
    return fail(system_error(errno, "cannot mount " + device.string() + " at " + at.string()));
  }
  return Mount(at);
}

Mount::Mount(Mount&& other) noexcept : path_(std::exchange(other.path_, {})) {}

Mount::~Mount() {
  if (path_.empty()) return;
  if (auto done = unmount(); !done) log::warning("{}, ignoring", done.error().what);
}

Result<void> Mount::unmount() {
  {
    BP_TRY(const auto fd, open_file(path_, O_RDONLY | O_DIRECTORY));
    if (::syncfs(fd.get()) != 0) {
      return fail(system_error(errno, "cannot sync " + path_.string()));
    }
  }
  if (::umount2(path_.c_str(), UMOUNT_NOFOLLOW) != 0) {
    return fail(system_error(errno, "cannot unmount " + path_.string()));
  }
  path_.clear();
  return {};
}

}  // namespace bedplate::installer
