/* The wall clock of every process that loads this is moved: PROVE_CLOCK is the distance in
   seconds, and PROVE_JUMP "AT BY" moves it by BY more once the true clock has come to AT.
   Clocks that only go forward (CLOCK_MONOTONIC) stay as they are, as in a true jump. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t moved(time_t true_time) {
    const char *by = getenv("PROVE_CLOCK"), *jump = getenv("PROVE_JUMP");
    long long at, further, seconds = by ? atoll(by) : 0;
    if (jump && sscanf(jump, "%lld %lld", &at, &further) == 2 && true_time >= at)
        seconds += further;
    return true_time + seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec = moved(now->tv_sec);
    return code;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec said;
    (void)zone;
    int code = clock_gettime(CLOCK_REALTIME, &said);
    now->tv_sec = said.tv_sec;
    now->tv_usec = said.tv_nsec / 1000;
    return code;
}

time_t time(time_t *to) {
    struct timespec said;
    clock_gettime(CLOCK_REALTIME, &said);
    if (to) *to = said.tv_sec;
    return said.tv_sec;
}
