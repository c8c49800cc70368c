// Clock, names and network of the host.

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/render.hpp"

namespace bedplate::agent {
namespace {

constexpr std::chrono::seconds network_patience{60};

std::optional<WallTime> modified(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return WallTime(std::chrono::seconds(info.st_mtime));
}

/// The latest time that has certainly passed: a machine without battery or time servers starts long
/// before it, and every certificate would then be of the future.
WallTime earliest_now(const Context& context) {
  auto out = context.bundle.created_at;
  if (const auto saved = modified(context.at("/var/lib/bedplate/clock"))) {
    out = std::max(out, *saved);
  }
  const auto facts = read_json(context.at("/usr/lib/bedplate/image.json"));
  if (facts) {
    if (auto built = parse_rfc3339(json_string_or(*facts, "builtAt", ""))) {
      out = std::max(out, *built);
    }
  }
  return out;
}

std::unique_ptr<Step> clock_step(const Context& context) {
  return make_step(
      "clock", "raise the clock to the latest time that is known to have passed",
      [&context]() -> Result<ProbeResult> {
        const auto now = context.clock->now();
        if (now >= earliest_now(context)) return ProbeResult::satisfied(format_rfc3339(now));
        return ProbeResult::missing(format_rfc3339(now));
      },
      [&context] { return context.clock->set(earliest_now(context)); });
}

std::unique_ptr<Step> hostname_step(const Context& context) {
  return make_step(
      "hostname", "name the host",
      [&context]() -> Result<ProbeResult> {
        std::array<char, 256> name{};
        ::gethostname(name.data(), name.size() - 1);
        if (context.self.name == name.data()) return ProbeResult::satisfied(context.self.name);
        return ProbeResult::missing(name.data());
      },
      [&context]() -> Result<void> {
        if (::sethostname(context.self.name.c_str(), context.self.name.size()) != 0) {
          return fail(system_error(errno, "cannot set the host name"));
        }
        return {};
      });
}

/// The root file system is a verity device; asked of the kernel, shown to people and to tests.
std::unique_ptr<Step> system_root_step(const Context& context) {
  return make_step(
      "system-root", "see what the root file system is",
      [&context]() -> Result<ProbeResult> {
        Command status;
        status.argv = {"dmsetup", "status", "root"};
        auto table = context.runner->run(status);
        if (!table || table->status != 0) {
          return ProbeResult::satisfied("not a Bedplate system: no verity device");
        }
        // "0 332800 verity V": V is intact, C has met a corrupted block.
        const bool intact = table->out.find(" verity V") != std::string::npos;
        if (intact) return ProbeResult::satisfied("verity, intact");
        return ProbeResult::conflict(
            "the system image is damaged (dm-verity met a corrupted block): " + table->out);
      },
      []() -> Result<void> { return {}; });
}

/// Nothing to do: it says, for people and for tests, that a machine has no settings of a test host.
std::unique_ptr<Step> lab_settings_step(const Context& context) {
  return make_step(
      "lab-settings", "see whether settings of a test host are in effect",
      [&context]() -> Result<ProbeResult> {
        std::string names;
        for (const auto& line : context.overrides.in_effect) {
          names += (names.empty() ? "" : ", ") + line.substr(0, line.find(':'));
        }
        return ProbeResult::satisfied(names.empty() ? "none" : names);
      },
      []() -> Result<void> { return {}; });
}

/// Whether an interface has our address, by `ip -json address`.
Result<bool> has_address(const Context& context) {
  BP_TRY(const auto text, context.runner->check({"ip", "-json", "-4", "address"}));
  BP_TRY(const auto links, parse_json(text, "ip"));
  for (const auto& link : links) {
    for (const auto& info : link.value("addr_info", Json::array())) {
      if (info.value("local", "") == context.self.address.address.str() &&
          info.value("prefixlen", -1) == context.self.address.length) {
        return true;
      }
    }
  }
  return false;
}

Result<void> configure_network(const Context& context) {
  if (context.overrides.network_preconfigured) {
    return fail(ErrorKind::conflict, fmt::format("no interface has {}", context.self.address.str()),
                "the network is said to be configured already (override)");
  }
  const auto path = context.at("/run/systemd/network/10-bedplate.network");
  BP_CHECK(make_directories(path.parent_path()));
  BP_CHECK(write_file_atomic(path, render_network(context.self)));
  BP_CHECK(context.runner->check({"networkctl", "reload"}));
  const auto end = context.clock->monotonic() + network_patience;
  while (context.clock->monotonic() < end) {
    BP_TRY(const bool there, has_address(context));
    if (there) return {};
    context.clock->sleep(std::chrono::milliseconds(250));
  }
  return fail(ErrorKind::timeout,
              fmt::format("no interface took the address {}", context.self.address.str()),
              "check the cable, and the MAC address in the site file against `ip link`");
}

std::unique_ptr<Step> network_step(const Context& context) {
  return make_step(
      "host-network", fmt::format("configure the address {}", context.self.address.str()),
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const bool there, has_address(context));
        return there ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context] { return configure_network(context); });
}

}  // namespace

StepList host_steps(const Context& context) {
  StepList steps;
  steps.push_back(system_root_step(context));
  steps.push_back(lab_settings_step(context));
  steps.push_back(clock_step(context));
  steps.push_back(hostname_step(context));
  steps.push_back(file_step(context, "hosts-file", "name the site's hosts", "/run/bedplate/hosts",
                            render_hosts(context.site)));
  steps.push_back(file_step(context, "resolver", "name the site's DNS servers",
                            "/run/bedplate/resolv.conf", render_resolv_conf(context.self)));
  steps.push_back(network_step(context));
  return steps;
}

}  // namespace bedplate::agent
