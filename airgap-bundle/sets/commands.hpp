#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "core/command.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate {

/// `bedplate bundle split|join|diff|apply|add-image`.
void add_set_commands(CLI::App& bundle, Invocation& invocation);
/// `bedplate bundle add-image`: add_set_commands adds it too.
void add_addition_command(CLI::App& bundle, Invocation& invocation);
/// `bedplate inventory`.
void add_inventory_command(CLI::App& app, Invocation& invocation);

/// What the site has, as the command line says it.
struct HaveOptions {
  std::vector<std::string> have;
  std::vector<std::string> trust;
  bool unsigned_inventory = false;
};
void add_have_options(CLI::App& command, HaveOptions& options);
/// Whoever signs trusts himself: besides the keys of --trust, the public half of `key`.
Result<std::vector<PublicKey>> trusted_with(const std::vector<std::string>& trust,
                                            const PrivateKey& key);
Result<bundle::BlobSizes> read_have(const HaveOptions& options, const PrivateKey& key);

/// ErrorKind::usage when the output would take the place of a file that it is made out of.
Result<void> refuse_same(const std::string& output, const std::vector<std::string>& inputs);

/// ErrorKind::conflict when the bundle is what an interrupted move into parts has left of it.
Result<void> refuse_half_moved(const std::string& bundle, const std::string& part_size,
                               const PrivateKey& key);

/// Cuts a bundle that was just made into parts that replace it.
Result<void> move_into_parts(const std::filesystem::path& bundle, const std::string& part_size,
                             const PrivateKey& key);

}  // namespace bedplate
