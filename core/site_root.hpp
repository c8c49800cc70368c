#pragma once

#include <string>

#include "core/result.hpp"
#include "core/site.hpp"

namespace bedplate {

/// The site's own authority: both as PEM, the key as PKCS#8.
struct SiteRoot {
  std::string key;
  std::string certificate;
};

/// Makes an ECDSA P-256 root for ten years that may vouch for servers only, and only for names
/// under the site's domain and addresses in its nodes' networks (RFC 5280 section 4.2.1.10): a
/// stolen root key is of no use elsewhere. One intermediate authority may stand under it.
Result<SiteRoot> make_site_root(const Site& site);

/// Whether the certificate's name constraints cover the site's domain and nodes' networks. They may
/// permit more: nodes that are gone leave their networks behind.
bool permits(const std::string& certificate, const Site& site);

/// Whether both are the same certificate, however their PEM is laid out.
bool same_certificate(const std::string& a, const std::string& b);

}  // namespace bedplate
