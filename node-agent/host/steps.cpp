// Clock, names and network of the host.

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/hardware.hpp"
#include "core/log.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/mounts.hpp"
#include "node-agent/host/render.hpp"
#include "node-agent/host/saved_time.hpp"

namespace bedplate::agent {
namespace {

constexpr std::chrono::seconds network_patience{60};
constexpr std::chrono::seconds adapter_patience{15};
/// Of a host that was not started from a system image. Must not read as the good case does.
constexpr auto not_guarded = "not guarded: the root file system is not that of a system image";

/// The latest time that has certainly passed: a machine without battery or time servers starts long
/// before it, and every certificate would then be of the future.
WallTime earliest_now(const Context& context) {
  auto out = context.bundle.created_at;
  if (const auto saved = saved_time(context.root)) out = std::max(out, *saved);
  const auto facts = read_json(context.at("/usr/lib/bedplate/image.json"));
  if (facts) {
    if (auto built = parse_rfc3339(json_string_or(*facts, "builtAt", ""))) {
      out = std::max(out, *built);
    }
  }
  return out;
}

Error other_machine(const SiteNode& self, const HardwareIdentity& machine) {
  const auto or_none = [](const std::string& text) { return text.empty() ? "none" : text; };
  return Error(ErrorKind::conflict,
               fmt::format("this disk is that of node {} ({}), but this machine has macs {}, "
                           "serial {}, uuid {}",
                           self.name, match_text(self.match),
                           or_none(fmt::format("{}", fmt::join(machine.macs, ", "))),
                           or_none(machine.serial), or_none(machine.uuid)))
      .with_hint(
          fmt::format("put the disk back into the machine it was installed in; if a part of the "
                      "machine was replaced, correct nodes[].match of {} in the site file and "
                      "install it anew from a new medium",
                      self.name));
}

/// A disk may be moved into another machine. Two nodes would then have one name and address, so
/// nothing is begun on hardware that the site file gives to somebody else.
std::unique_ptr<Step> hardware_step(const Context& context) {
  return make_step(
      "hardware", "see whether this is the machine that the site file means",
      [&context]() -> Result<ProbeResult> {
        const auto& match = context.self.match;
        if (context.overrides.match_unchecked) return ProbeResult::satisfied("not checked");
        if (matches(match, read_hardware(context.root))) {
          return ProbeResult::satisfied(match_text(match));
        }
        return ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        // An adapter may come up a little later than we do.
        const auto end = context.clock->monotonic() + adapter_patience;
        while (true) {
          const auto machine = read_hardware(context.root);
          if (matches(context.self.match, machine)) return {};
          if (context.clock->monotonic() >= end) return fail(other_machine(context.self, machine));
          context.clock->sleep(std::chrono::milliseconds(250));
        }
      });
}

std::unique_ptr<Step> clock_step(const Context& context) {
  return make_step(
      "clock", "raise the clock to the latest time that is known to have passed",
      [&context]() -> Result<ProbeResult> {
        const auto now = context.clock->now();
        if (context.overrides.clock_external) return ProbeResult::satisfied("kept by others");
        if (now >= earliest_now(context)) return ProbeResult::satisfied(format_rfc3339(now));
        return ProbeResult::missing(format_rfc3339(now));
      },
      // The clock stood still or was reset: some time passed after the last that was saved.
      [&context] { return context.clock->set(earliest_now(context) + unsaved_time); });
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

/// The root file system is a verity device; asked of the kernel, shown to people and to tests. The
/// device is that of the mount, whatever may be called "root".
std::unique_ptr<Step> system_root_step(const Context& context) {
  return make_step(
      "system-root", "see what the root file system is",
      [&context]() -> Result<ProbeResult> {
        const auto device = mounted_device(context.root, "/");
        const auto colon = device.find(':');
        if (colon == std::string::npos) return ProbeResult::satisfied(not_guarded);
        Command status;
        status.argv = {"dmsetup", "status",
                       "--major", device.substr(0, colon),
                       "--minor", device.substr(colon + 1)};
        auto table = context.runner->run(status);
        if (!table || table->status != 0 || table->out.find(" verity ") == std::string::npos) {
          return ProbeResult::satisfied(not_guarded);
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

/// NTP never blocks: a node without the right time is better than no node. A chronyd that does not
/// run is said, and tried again now and then.
class TimeStep final : public Step {
 public:
  explicit TimeStep(const Context& context)
      : context_(context),
        unit_(unit_step(context, "time", "keep the site's time",
                        {std::string(unit_name),
                         render_chrony_unit(),
                         {{std::string(chrony_path), render_chrony(context.site, context.self)}},
                         {}})) {}
  std::string id() const override { return unit_->id(); }
  std::string describe() const override { return unit_->describe(); }

  Result<ProbeResult> probe() override {
    auto seen = unit_->probe();
    if (seen && seen->probe == Probe::satisfied) return ProbeResult::satisfied(source());
    const auto now = context_.clock->monotonic();
    if (!tried_ || now - *tried_ > again) return ProbeResult::missing(seen ? seen->detail : "");
    return ProbeResult::satisfied(fmt::format("chronyd does not run: journalctl -u {}", unit_name));
  }

  Result<void> apply() override {
    if (auto applied = unit_->apply(); !applied) {
      log::warning("time: {}, ignoring", applied.error().what);
    }
    tried_ = context_.clock->monotonic();
    return {};
  }

 private:
  std::string source() const {
    const auto& servers = context_.self.ntp;
    if (!servers.empty()) return fmt::format("from {}", fmt::join(servers, ", "));
    return context_.bootstrap() ? "from this node's own clock" : "from " + context_.site.bootstrap;
  }

  static constexpr std::string_view unit_name = "bedplate-time.service";
  static constexpr std::chrono::minutes again{5};
  const Context& context_;
  std::unique_ptr<Step> unit_;
  std::optional<std::chrono::milliseconds> tried_;
};

}  // namespace

StepList host_steps(const Context& context) {
  StepList steps;
  steps.push_back(hardware_step(context));
  steps.push_back(system_root_step(context));
  steps.push_back(lab_settings_step(context));
  steps.push_back(clock_step(context));
  steps.push_back(hostname_step(context));
  steps.push_back(file_step(context, "hosts-file", "name the site's hosts", "/run/bedplate/hosts",
                            render_hosts(context.site)));
  steps.push_back(file_step(context, "resolver", "name the site's DNS servers",
                            "/run/bedplate/resolv.conf", render_resolv_conf(context.self)));
  steps.push_back(network_step(context));
  if (!context.overrides.clock_external) steps.push_back(std::make_unique<TimeStep>(context));
  return steps;
}

}  // namespace bedplate::agent
