/* SPDX-License-Identifier: MIT
 *
 * http_process: see http_process.h.
 */
#include "net/http/http_process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HTTP_PROCESS_FILES_MAX 4096 /* counted one by one, where the system has no number */

static void http_process_memory(struct http_process *out)
{
    unsigned long long resident = 0, shared = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    if (fscanf(f, "%*u %llu %llu", &resident, &shared) == 2) {
        out->resident_size = resident * page;
        out->anonymous_size = (resident > shared ? resident - shared : 0) * page;
    }
    (void)fclose(f);
}

/* Linux 6.2 and later tell the count as the folder's size. */
static size_t http_process_files(void)
{
    struct stat st;
    size_t count = 0;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (size_t)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    while (count < HTTP_PROCESS_FILES_MAX && readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count > 3 ? count - 3 : 0; /* . and .. and the folder itself */
}

void http_process(struct http_process *out)
{
    struct rusage usage;
    struct rlimit limit;
    *out = (struct http_process){.descriptors = http_process_files()};
    http_process_memory(out);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->descriptors_max = (size_t)limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
                      usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}
