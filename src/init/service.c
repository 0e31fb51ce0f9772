/* Programs that are served; see service.h. */
#include "init/service.h"

#include "init/children.h"
#include "init/program.h"
#include "init/worker_socket.h"

#include <limits.h>
#include <sys/resource.h>

static void raise_file_limit(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
}

static void on_child(struct loop_source *source, uint32_t events)
{
        struct service *service = CONTAINER_OF(source, struct service, child_source);

        (void)events;
        if (service_reap(service))
                loop_stop(&service->loop);
}

int service_init(struct service *service)
{
        int r = loop_init(&service->loop);

        if (r < 0)
                return r;
        raise_file_limit();
        service->child_fd = children_open();
        if (service->child_fd < 0)
                return service->child_fd;
        loop_source_init(&service->child_source, on_child);
        return loop_add(&service->loop, &service->child_source, service->child_fd, EPOLLIN);
}

int service_start(struct service *service, char *const *command)
{
        pid_t pid = program_start(command);

        if (pid < 0) {
                worker_socket_refuse("'%s' cannot be run: %s", command[0], strerror(-pid));
                return pid;
        }
        service->pid = pid;
        return 0;
}

bool service_reap(struct service *service)
{
        if (children_reap(service->child_fd, service->pid, &service->status))
                service->ended = true;
        return service->ended;
}

/* Nothing but events and timers need wake us: idle sandboxes are many. */
int service_run(struct service *service)
{
        while (!service->loop.stopping) {
                int r = loop_turn(&service->loop, INT_MAX);
                if (r < 0)
                        return r;
        }
        return 0;
}
