#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/file.hpp"
#include "qemu-tests/lab/network_plan.hpp"

namespace bedplate::lab {
namespace {

constexpr const char* kInterface = "lab0";
volatile std::sig_atomic_t stop_asked = 0;

Result<void> write_proc(const char* path, std::string_view text) {
  BP_TRY(auto fd, open_file(path, O_WRONLY));
  return write_all(fd.get(), as_byte_span(text));
}

/// A network namespace of our own; an ordinary user needs a user namespace first to have a say in
/// it.
Result<void> enter_namespace() {
  const auto uid = ::geteuid();
  const auto gid = ::getegid();
  const int flags = CLONE_NEWNET | (uid == 0 ? 0 : CLONE_NEWUSER);
  if (::unshare(flags) != 0) return fail(system_error(errno, "cannot make a network namespace"));
  if (uid == 0) return {};
  BP_CHECK(write_proc("/proc/self/setgroups", "deny"));
  BP_CHECK(write_proc("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid)));
  return write_proc("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid));
}

ifreq request_for(const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  return request;
}

Result<UniqueFd> open_tap() {
  BP_TRY(auto tap, open_file("/dev/net/tun", O_RDWR));
  auto request = request_for(kInterface);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) {
    return fail(system_error(errno, "cannot make a tap device"));
  }
  return tap;
}

Result<void> set(int socket, unsigned long what, ifreq& request, const char* doing) {
  if (::ioctl(socket, what, &request) != 0) return fail(system_error(errno, doing));
  return {};
}

void put_address(ifreq& request, Ipv4 address) {
  sockaddr_in value{};
  value.sin_family = AF_INET;
  value.sin_addr.s_addr = htonl(address.value);
  std::memcpy(&request.ifr_addr, &value, sizeof value);
}

Result<void> bring_up(int socket, const char* interface) {
  auto request = request_for(interface);
  BP_CHECK(set(socket, SIOCGIFFLAGS, request, "cannot read the interface's flags"));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
  return set(socket, SIOCSIFFLAGS, request, "cannot bring the interface up");
}

Result<void> set_up_interface(const NetworkPlan& plan) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail(system_error(errno, "cannot make a socket"));
  auto request = request_for(kInterface);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, plan.workstation_mac.data(), 6);
  BP_CHECK(set(socket.get(), SIOCSIFHWADDR, request, "cannot set the workstation's MAC"));
  request = request_for(kInterface);
  put_address(request, plan.workstation_address.address);
  BP_CHECK(set(socket.get(), SIOCSIFADDR, request, "cannot set the workstation's address"));
  const auto length = plan.workstation_address.length;
  put_address(request, Ipv4{length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)});
  BP_CHECK(set(socket.get(), SIOCSIFNETMASK, request, "cannot set the workstation's netmask"));
  BP_CHECK(bring_up(socket.get(), "lo"));
  return bring_up(socket.get(), kInterface);
}

/// Replaces the file without fsync: it is for readers of this boot only.
void publish(const std::filesystem::path& path, std::string_view text) {
  const auto temporary = path.string() + ".new";
  auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (!fd || !write_all(fd->get(), as_byte_span(text))) return;
  std::rename(temporary.c_str(), path.c_str());
}

void ask_to_stop(int) {
  stop_asked = 1;
}

}  // namespace

Result<int> run_network_process(const std::filesystem::path& plan_file) {
  std::signal(SIGTERM, ask_to_stop);
  std::signal(SIGINT, ask_to_stop);
  BP_TRY(const auto text, read_file(plan_file));
  BP_TRY(const auto plan, network_plan_from_json(text));
  BP_CHECK(enter_namespace());
  BP_TRY(auto tap, open_tap());
  BP_CHECK(set_up_interface(plan));
  Switch lab(plan.members);
  if (plan.capture) BP_CHECK(lab.capture_to(*plan.capture));
  BP_CHECK(lab.add_tap_port("workstation", std::move(tap)));
  for (const auto& port : plan.ports) BP_CHECK(lab.add_stream_port(port.name, port.socket));
  BP_CHECK(lab.run([] { return stop_asked != 0; },
                   [&](const auto& now) { publish(plan.statistics, statistics_to_json(now)); }));
  publish(plan.statistics, statistics_to_json(lab.statistics()));
  return 0;
}

}  // namespace bedplate::lab
