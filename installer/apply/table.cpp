#include "installer/apply/table.hpp"

#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <libfdisk/libfdisk.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

/// Boot code in front of the disk signature and the MBR's partition table.
constexpr std::size_t kBootCode = 440;
/// 128 entries of 128 bytes (UEFI specification, 5.3).
constexpr std::uint64_t kEntries = 128ULL * 128;

using Context = std::unique_ptr<fdisk_context, decltype(&fdisk_unref_context)>;
using Partition = std::unique_ptr<fdisk_partition, decltype(&fdisk_unref_partition)>;

Result<void> check(int rc, std::string_view what) {
  if (rc >= 0) return {};
  return fail(system_error(-rc, fmt::format("cannot compute the partition table: {}", what)));
}

Result<void> add_partition(fdisk_context* context, const PlannedPartition& wanted,
                           std::uint64_t sector) {
  Partition part(fdisk_new_partition(), fdisk_unref_partition);
  auto* type =
      fdisk_label_get_parttype_from_string(fdisk_get_label(context, nullptr), wanted.type.c_str());
  if (!part || type == nullptr) return fail(ErrorKind::internal, "no such type: " + wanted.type);
  fdisk_partition_set_type(part.get(), type);
  fdisk_partition_set_partno(part.get(), static_cast<std::size_t>(wanted.number - 1));
  fdisk_partition_set_start(part.get(), wanted.start / sector);
  fdisk_partition_size_explicit(part.get(), 1);
  fdisk_partition_set_size(part.get(), wanted.size / sector);
  fdisk_partition_set_name(part.get(), wanted.label.c_str());
  fdisk_partition_set_uuid(part.get(), wanted.uuid.c_str());
  return check(fdisk_add_partition(context, part.get(), nullptr), wanted.label);
}

Result<void> fill(fdisk_context* context, const Plan& plan) {
  BP_CHECK(check(fdisk_create_disklabel(context, "gpt"), "GPT"));
  BP_CHECK(check(fdisk_set_disklabel_id_from_string(context, plan.table_uuid.c_str()), "its GUID"));
  for (const auto& part : plan.partitions) {
    BP_CHECK(add_partition(context, part, plan.sector));
  }
  return check(fdisk_write_disklabel(context), "writing");
}

Result<std::string> read_at(int fd, std::uint64_t offset, std::uint64_t size) {
  std::string out(size, '\0');
  BP_CHECK(read_exactly_at(fd, std::as_writable_bytes(std::span(out)), offset));
  return out;
}

Result<void> write_and_flush(int fd, std::string_view data, std::uint64_t offset) {
  BP_CHECK(write_all_at(fd, as_byte_span(data), offset));
  if (::fdatasync(fd) != 0) return fail(system_error(errno, "cannot sync"));
  return {};
}

}  // namespace

Result<TableImage> make_table(const Plan& plan) {
  UniqueFd image(::memfd_create("partition-table", MFD_CLOEXEC));
  if (!image || ::ftruncate(image.get(), static_cast<off_t>(plan.disk_size)) != 0) {
    return fail(system_error(errno, "cannot make room for the partition table"));
  }
  Context context(fdisk_new_context(), fdisk_unref_context);
  if (!context) return fail(ErrorKind::internal, "libfdisk gives no context");
  fdisk_disable_dialogs(context.get(), 1);
  const auto sector = static_cast<unsigned>(plan.sector);
  fdisk_save_user_sector_size(context.get(), sector, sector);
  BP_CHECK(check(fdisk_assign_device_by_fd(context.get(), image.get(), "disk", 0), "size"));
  auto filled = fill(context.get(), plan);
  fdisk_deassign_device(context.get(), 1);
  BP_CHECK(std::move(filled));
  TableImage out;
  BP_TRY(out.primary, read_at(image.get(), 0, 2 * plan.sector + kEntries));
  out.backup_offset = plan.disk_size / plan.sector * plan.sector - plan.sector - kEntries;
  BP_TRY(out.backup, read_at(image.get(), out.backup_offset, kEntries + plan.sector));
  return out;
}

Result<bool> table_is_written(const std::filesystem::path& device, const TableImage& table) {
  BP_TRY(const auto fd, open_file(device, O_RDONLY));
  BP_TRY(const auto primary, read_at(fd.get(), 0, table.primary.size()));
  BP_TRY(const auto backup, read_at(fd.get(), table.backup_offset, table.backup.size()));
  return std::string_view(primary).substr(kBootCode) ==
             std::string_view(table.primary).substr(kBootCode) &&
         backup == table.backup;
}

Result<void> write_table(const std::filesystem::path& device, const TableImage& table,
                         std::uint64_t sector) {
  BP_TRY(const auto fd, open_file(device, O_RDWR));
  const std::string_view primary = table.primary;
  BP_CHECK_DURING("writing the backup of the partition table",
                  write_and_flush(fd.get(), table.backup, table.backup_offset));
  BP_CHECK_DURING("writing the partition entries",
                  write_and_flush(fd.get(), primary.substr(2 * sector), 2 * sector));
  BP_CHECK_DURING("writing the partition table's header",
                  write_and_flush(fd.get(), primary.substr(0, 2 * sector), 0));
  return {};
}

}  // namespace bedplate::installer
