#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle {

/// The key to sign with: the secrets file of a site, or a PEM file (PKCS#8) with the key alone.
Result<PrivateKey> read_signing_key(const std::string& path);

/// The keys that are trusted. Each word is a key ("ed25519:…"), a site file, a secrets file, or a
/// list of keys, one per line. ErrorKind::usage when there is none in them.
Result<std::vector<PublicKey>> read_trust(const std::vector<std::string>& words);

}  // namespace bedplate::bundle
