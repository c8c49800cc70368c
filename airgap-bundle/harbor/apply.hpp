#pragma once

#include <functional>
#include <string>

#include "airgap-bundle/harbor/api.hpp"
#include "airgap-bundle/harbor/plan.hpp"
#include "airgap-bundle/harbor/secrets.hpp"
#include "airgap-bundle/harbor/spec.hpp"

namespace bedplate::harbor {

/// A document, the Harbor it is about, and what both need.
struct Session {
  const HarborSpec& spec;
  Api& api;
  SecretFolder& folder;
  std::string client_secret;  ///< of OIDC; may be empty
  Clock& clock;
};

struct ApplyOptions {
  PlanOptions plan;
  std::string approved;  ///< hash of the plan that may be done; empty: whatever it is
  std::function<void(std::size_t number, std::size_t total, const Action& action)> on_step;
};

/// Asks and plans; changes nothing, here or there.
Result<Plan> drift(const Session& session, const PlanOptions& options);

/// Brings Harbor to what the document says and the secrets of robots into the folder. Stops at the
/// first error. May be repeated, and interrupted at any instant: it begins anew with what it finds,
/// and ends the same. A secret that was made and lost on the way is refreshed by the next run.
/// Afterwards Harbor is asked again; ErrorKind::conflict when it took everything and is still
/// different. Also conflict: another run is using the folder, or the plan is not the approved one.
/// Deletes only what carries this document's mark.
Result<Plan> apply(const Session& session, const ApplyOptions& options);

}  // namespace bedplate::harbor
