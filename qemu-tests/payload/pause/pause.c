// SPDX-License-Identifier: Apache-2.0
//
// The process that holds a pod's namespaces open. It is PID 1 of the pod when the PID namespace is
// shared, so it also reaps children that were left to it. It ends at once on SIGINT and SIGTERM.

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "unknown"
#endif

// Only async-signal-safe calls in here; one SIGCHLD may stand for several children.
static void reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

static void end(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static int handle(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&action.sa_mask);
  return sigaction(signal_number, &action, NULL);
}

int main(int argc, char** argv) {
  if (argc > 1 && (strcmp(argv[1], "-v") == 0 || strcmp(argv[1], "--version") == 0)) {
    puts("pause " VERSION);
    return 0;
  }
  if (handle(SIGINT, end, 0) < 0 || handle(SIGTERM, end, 0) < 0 ||
      handle(SIGCHLD, reap, SA_NOCLDSTOP) < 0) {
    perror("pause: sigaction");
    return 1;
  }
  for (;;) {
    pause();
  }
}
