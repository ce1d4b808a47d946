/* Moves the wall clock of one process: loaded before the C library, it adds the nanoseconds that the
 * file of CLOCK_OFFSET holds (8 octets, little endian) to CLOCK_REALTIME. The clock that never goes
 * back is left alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *offset;

__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *mapped = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) offset = mapped;
        close(file);
    }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        const long long second = 1000000000;
        long long nanoseconds = now->tv_nsec + *offset % second;
        now->tv_sec += *offset / second + (nanoseconds < 0 ? -1 : nanoseconds / second);
        now->tv_nsec = nanoseconds < 0 ? nanoseconds + second : nanoseconds % second;
    }
    return failed;
}
