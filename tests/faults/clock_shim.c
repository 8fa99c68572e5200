/* A time of day that a test sets: adds the seconds that stand in the file $CLOCK_OFFSET (a double) to CLOCK_REALTIME.
 * The monotonic clock, which all waiting uses, is left alone. cc -shared -fPIC -o shim.so clock_shim.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile double *offset;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET");
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) offset = mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = real_gettime(clock, now);
    if (!status && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        double seconds = *offset, whole = floor(seconds);
        now->tv_sec += (time_t)whole;
        now->tv_nsec += (long)((seconds - whole) * 1e9);
        if (now->tv_nsec >= 1000000000L) now->tv_sec++, now->tv_nsec -= 1000000000L;
    }
    return status;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    result->tv_sec = now.tv_sec, result->tv_usec = now.tv_nsec / 1000;
    return 0;
}
