/* reserve_commit: VirtualAlloc alone. Reserves far more than it uses, commits as it goes, writes
 * more than the memory limit holds, reads everything back, decommits half, looks at what is left,
 * releases.
 *
 *   cc -std=c11 -O2 reserve_commit.c -o reserve_commit $(pkg-config --cflags --libs userpager)
 *   USERPAGER_CONF=memory:64M ./reserve_commit
 *
 * Without USERPAGER_CONF it sets a limit of 64 MiB itself.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <userpager/virtual_alloc.h>

#define MIB ((size_t)1 << 20)
#define RESERVED_BYTES (8192 * MIB)
#define STEP_BYTES (16 * MIB)
#define STEPS 16
#define WORDS_IN_A_STEP (STEP_BYTES / sizeof(uint64_t))

static void fail(const char* what) {
  fprintf(stderr, "reserve_commit: %s failed, error %" PRIu32 "\n", what, GetLastError());
  exit(1);
}

static void wrong(const char* what) {
  fprintf(stderr, "reserve_commit: %s\n", what);
  exit(1);
}

/* The word that belongs at `index`: no two pages are alike, and none is all zeros. */
static uint64_t word_at(uint64_t index) {
  uint64_t z = index * UINT64_C(0x9e3779b97f4a7c15) + 1;
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  return z ^ (z >> 27);
}

static void write_step(uint64_t* step, uint64_t first_index) {
  for (size_t i = 0; i < WORDS_IN_A_STEP; i++) {
    if (step[i] != 0) wrong("fresh memory is not zero");
    step[i] = word_at(first_index + i);
  }
}

static void verify_step(const uint64_t* step, uint64_t first_index) {
  for (size_t i = 0; i < WORDS_IN_A_STEP; i++) {
    if (step[i] != word_at(first_index + i)) wrong("memory is not as it was written");
  }
}

/* Prints the runs of pages that are alike, from the start of the reservation to its end. */
static void show_runs(const char* base) {
  const char* address = base;
  while (address < base + RESERVED_BYTES) {
    MEMORY_BASIC_INFORMATION run;
    if (VirtualQuery(address, &run, sizeof(run)) != sizeof(run)) fail("VirtualQuery");
    if (run.AllocationBase != base) wrong("VirtualQuery names another reservation");
    printf("  +%5zu MiB: %5zu MiB %s\n", (size_t)(address - base) / MIB, run.RegionSize / MIB,
           run.State == MEM_COMMIT ? "committed" : "reserved");
    address += run.RegionSize;
  }
}

int main(void) {
  /* The first call of VirtualAlloc reads the variable. */
  if (setenv("USERPAGER_CONF", "memory:64M", 0) != 0) wrong("setenv failed");
  char* const base = VirtualAlloc(NULL, RESERVED_BYTES, MEM_RESERVE, PAGE_READWRITE);
  if (base == NULL) fail("reserving");
  printf("reserved %zu MiB, which takes no memory\n", RESERVED_BYTES / MIB);

  for (size_t step = 0; step < STEPS; step++) {
    char* const at = base + step * STEP_BYTES;
    if (VirtualAlloc(at, STEP_BYTES, MEM_COMMIT, PAGE_READWRITE) != at) fail("committing");
    write_step((uint64_t*)at, step * WORDS_IN_A_STEP);
  }
  printf("committed and wrote %zu MiB, %zu MiB at a time\n", STEPS * STEP_BYTES / MIB,
         STEP_BYTES / MIB);
  for (size_t step = 0; step < STEPS; step++) {
    verify_step((const uint64_t*)(base + step * STEP_BYTES), step * WORDS_IN_A_STEP);
  }
  printf("read all of it back: every word is as it was written\n");

  for (size_t step = 0; step < STEPS; step += 2) {
    if (!VirtualFree(base + step * STEP_BYTES, STEP_BYTES, MEM_DECOMMIT)) fail("decommitting");
  }
  printf("decommitted every second step; what is left:\n");
  show_runs(base);
  for (size_t step = 1; step < STEPS; step += 2) {
    verify_step((const uint64_t*)(base + step * STEP_BYTES), step * WORDS_IN_A_STEP);
  }
  /* What is committed again reads as zero (write_step looks), wherever the old contents were. */
  if (VirtualAlloc(base, STEP_BYTES, MEM_COMMIT, PAGE_READWRITE) != base) fail("committing again");
  write_step((uint64_t*)base, 0);
  printf("the rest is intact, and committing again gave fresh memory\n");

  if (!VirtualFree(base, 0, MEM_RELEASE)) fail("releasing");
  printf("released the reservation\n");
  return 0;
}
