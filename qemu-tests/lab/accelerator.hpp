#pragma once

#include <filesystem>
#include <functional>

#include "core/progress.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/disk.hpp"
#include "qemu-tests/lab/machine.hpp"

namespace bedplate::lab {

/// KVM when a guest really runs with it, else TCG. /dev/kvm opens on some machines where ordinary
/// guests hang, so the medium is started without a disk until its userland speaks; a silent
/// console ends the attempt after 8 s, and the attempt as a whole after 60 s. The answer is kept in
/// `folder` until the next boot of this computer.
Result<Accelerator> choose_accelerator(const std::filesystem::path& medium,
                                       const Firmware& firmware,
                                       const std::filesystem::path& folder, Progress& progress,
                                       const std::function<bool()>& cancelled);

}  // namespace bedplate::lab
