#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "qemu-tests/lab/network.hpp"
#include "qemu-tests/lab/switch.hpp"

namespace bedplate::lab {

/// The plan as it goes from `rehearse` to the process that runs the network; read back equal.
std::string network_plan_to_json(const NetworkPlan& plan);
Result<NetworkPlan> network_plan_from_json(std::string_view text);

/// {"frames","elsewhere","kinds":{text: count},"ports":[…]}.
std::string statistics_to_json(const SwitchStatistics& statistics);

}  // namespace bedplate::lab
