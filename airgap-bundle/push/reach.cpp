#include "airgap-bundle/push/reach.hpp"

#include <fmt/format.h>

namespace bedplate::push {

void Reach::note(const Error* error) {
  const std::lock_guard lock(mutex_);
  if (error == nullptr || error->kind != ErrorKind::network) {
    away_ = 0;
  } else if (++away_ > patience_ && !given_up_) {
    given_up_ = Error(ErrorKind::network,
                      fmt::format("given up, since {} is away: {}", registry_, error->what))
                    .with_hint("when it is back, run it again: it goes on where it was");
  }
}

std::optional<Error> Reach::given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_;
}

}  // namespace bedplate::push
