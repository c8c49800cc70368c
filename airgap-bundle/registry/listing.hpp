#pragma once

#include <string>
#include <vector>

#include "airgap-bundle/registry/client.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// Every repository of the client's registry, whatever repository the client is for: Docker's
/// `/v2/_catalog`, page by page. ErrorKind::unsupported when the registry does not tell it,
/// untrusted when it does not tell it to this account.
Result<std::vector<std::string>> list_repositories(Client& client);

/// The tags of the client's repository (OCI distribution-spec 1.1, "Listing Tags"), page by page. A
/// repository that is gone has none.
Result<std::vector<std::string>> list_tags(Client& client);

}  // namespace bedplate::registry
