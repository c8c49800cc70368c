#pragma once

#include <functional>
#include <string>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/workstation.hpp"

namespace bedplate::lab {

struct ServiceCheck {
  std::string image;   ///< BusyBox, full reference
  std::string server;  ///< node of the web server
  std::string client;  ///< node of the pod that asks
  int round = 1;       ///< each round asks with a new pod
};

/// Deploys a page behind a Service (a second time: finds it there) and lets a pod on another node
/// resolve the service's full name in the cluster's DNS and fetch the page. Returns what that pod
/// printed. ErrorKind::timeout with what the cluster says about the pods when it does not succeed.
Result<std::string> run_service_check(Workstation& workstation, const ServiceCheck& check,
                                      const std::function<Result<void>()>& look);

/// When the pod of that round was done, by the cluster's clock.
Result<WallTime> completion_time(Workstation& workstation, int round);

}  // namespace bedplate::lab
