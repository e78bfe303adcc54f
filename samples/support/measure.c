// Runs a command and writes what the kernel accounted for it to a file, as two lines of shell
// assignments: the most memory that was resident, and the time from start to end.
//
//   measure RESULT-FILE COMMAND [ARGUMENT...]
//
// Ends with the command's exit status, or 128 + the signal that ended it.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double SecondsBetween(struct timespec from, struct timespec to) {
  return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: measure RESULT-FILE COMMAND [ARGUMENT...]\n");
    return 2;
  }
  struct timespec start;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[2], argv + 2);
    fprintf(stderr, "measure: %s cannot be run: %s\n", argv[2], strerror(errno));
    _exit(127);
  }
  if (child < 0) {
    fprintf(stderr, "measure: no process could be made: %s\n", strerror(errno));
    return 2;
  }
  int status = 0;
  struct rusage usage;
  while (wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) {
      fprintf(stderr, "measure: waiting for %s failed: %s\n", argv[2], strerror(errno));
      return 2;
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);

  FILE* result = fopen(argv[1], "w");
  if (result == NULL) {
    fprintf(stderr, "measure: %s cannot be written: %s\n", argv[1], strerror(errno));
    return 2;
  }
  fprintf(result, "peak_kib=%ld\nseconds=%.1f\n", usage.ru_maxrss, SecondsBetween(start, end));
  if (fclose(result) != 0) {
    fprintf(stderr, "measure: %s cannot be written: %s\n", argv[1], strerror(errno));
    return 2;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
