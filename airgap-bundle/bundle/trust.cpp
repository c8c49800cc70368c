#include "airgap-bundle/bundle/trust.hpp"

#include <algorithm>

#include "core/file.hpp"
#include "core/site.hpp"

namespace bedplate::bundle {

Result<PrivateKey> read_signing_key(const std::string& path) {
  BP_TRY(const auto text, read_file(path, 1U << 20));
  if (text.find("-----BEGIN") == 0) {
    BP_CHECK(refuse_readable_by_others(path));
    return PrivateKey::from_pem(text);
  }
  BP_TRY(const auto secrets, read_secrets(path));
  return PrivateKey::from_pem(secrets.bundle_key);
}

Result<std::vector<PublicKey>> read_trust(const std::vector<std::string>& words) {
  std::vector<PublicKey> keys;
  for (const auto& word : words) {
    if (word.starts_with("ed25519:")) {
      BP_TRY(const auto key, PublicKey::parse(word));
      keys.push_back(key);
    } else if (word.ends_with(".secrets")) {
      BP_TRY(const auto key, read_signing_key(word));
      keys.push_back(key.public_key());
    } else if (word.ends_with(".yaml") || word.ends_with(".yml")) {
      BP_TRY(const auto site, read_site(word));
      keys.insert(keys.end(), site.trust.bundle_keys.begin(), site.trust.bundle_keys.end());
    } else {
      BP_TRY(const auto text, read_file(word, 1U << 20));
      for (std::size_t start = 0; start < text.size();) {
        const auto end = std::min(text.find('\n', start), text.size());
        if (text.compare(start, 8, "ed25519:") == 0) {
          BP_TRY(const auto key, PublicKey::parse(text.substr(start, end - start)));
          keys.push_back(key);
        }
        start = end + 1;
      }
    }
  }
  if (!keys.empty()) return keys;
  return fail(ErrorKind::usage, "no key to check the bundle's signature with",
              "give --trust with a sealed site file, the site's secrets file, or a key "
              "(ed25519:…)");
}

}  // namespace bedplate::bundle
