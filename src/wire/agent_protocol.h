/* The agent protocol: what the gateway may ask of the only code that runs as root.
 *
 * Transport: one AF_UNIX SOCK_SEQPACKET socket pair between gateway and agent, made by the
 * supervisor. The agent's end has SO_PASSCRED before anybody has the other: a HELLO whose sender the
 * kernel does not tell ends the connection. One struct agent_message is one message, followed by
 * `extra_length` bytes of strings. Both ends run on one machine and are built together, so structs go
 * as they lie in memory, with fixed widths and no padding; a version in HELLO guards against a mixed
 * upgrade.
 *
 * gateway -> agent
 *   SPAWN    make a sandbox. extra: NUL-terminated strings: digest of the code or of the image's
 *            manifest (64 hexadecimal digits), handler, the digest of the layers' tree or "", the function's id
 *            or ""; of an image the folder that it starts in and `word_count` words of a command
 *            line; then the environment ("NAME=value"). In all at most AGENT_EXTRA_MAX bytes.
 *   KILL     end this instance, whatever it does. Unknown ids are ignored (it may just have died).
 *   COURTESY whether the instance's processes wake up politely (`code` 1: whoever has the processor keeps
 *            it) or as any other does (0: so they are born). Unknown ids are ignored.
 * agent -> gateway
 *   HELLO    with one descriptor: the folder of all sandboxes' groups in the cgroup v2 hierarchy.
 *   SPAWNED  with AGENT_FD_COUNT descriptors by SCM_RIGHTS, in the order of enum agent_fd. `code`
 *            tells how it came about, `phase_us` where the time went. What freezes the instance is
 *            the file GROUP/cgroup.freeze of HELLO's folder; it belongs to the user that the gateway
 *            runs as. No other sandbox ever has that GROUP.
 *   REFUSED  could not be made. extra: one NUL-terminated sentence; `code` the errno.
 *   EXITED   every process of the instance is gone and its cgroup removed. Sent exactly once for
 *            each SPAWNED.
 *   STOCK    how many sandboxes are parked: a figure to show, some milliseconds late.
 *
 * Parsed by the agent as hostile input: an unknown type, a wrong length, an unterminated string, a
 * digest or an id that is not one, a limit out of range, ends the connection (and with it every sandbox that
 * this gateway owns).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_PROTOCOL_VERSION 5u
#define AGENT_EXTRA_MAX 57344 /* so that a BOOT frame can hold it (worker_protocol.h) */
#define AGENT_ENV_MAX 176     /* an image's, a function's and the platform's */
#define AGENT_DIGEST_LENGTH 64
#define AGENT_FUNCTION_LENGTH 26 /* of an id: digits and capital letters */
#define AGENT_WORDS_MAX 64
#define AGENT_COMMAND_MAX 16384 /* bytes of words and folder, each with its NUL */
#define AGENT_ID_MAX 65535u     /* users and groups inside */

enum agent_message_type {
        AGENT_HELLO = 1, /* first, both ways; `code` is AGENT_PROTOCOL_VERSION */
        AGENT_SPAWN = 2,
        AGENT_KILL = 3,
        AGENT_SPAWNED = 4,
        AGENT_REFUSED = 5,
        AGENT_EXITED = 6,
        AGENT_STOCK = 7,
        AGENT_COURTESY = 8,
};

enum agent_runtime { /* what magpie-init is told to run; the agent knows the command lines */
                     AGENT_RUNTIME_PYTHON3 = 1,
                     AGENT_RUNTIME_NODE = 2,
                     AGENT_RUNTIME_NATIVE = 3,
                     AGENT_RUNTIME_EXEC = 4,
                     AGENT_RUNTIME_PROVIDED = 5, /* the code's program "bootstrap", by Lambda's
                                                    Runtime API */
                     AGENT_RUNTIME_IMAGE = 6,    /* has a root file system of its own */
};

/* How an image's program is asked. */
enum agent_contract {
        AGENT_CONTRACT_NONE = 0, /* of every other runtime */
        AGENT_CONTRACT_EXEC = 1, /* one process an invocation */
        AGENT_CONTRACT_HTTP = 2, /* a server on a port of the sandbox's loopback */
        AGENT_CONTRACT_LAMBDA = 3,
};

enum agent_network {
        AGENT_NETWORK_NONE = 0,   /* a loopback alone */
        AGENT_NETWORK_EGRESS = 1, /* an address of its own behind the host's, too */
};

enum agent_fd {
        AGENT_FD_SOCKET = 0, /* the gateway's end of the worker socket, non-blocking */
        AGENT_FD_WORKER = 1, /* a duplicate of the worker's end, to take requests back */
        AGENT_FD_LOG = 2,    /* read end of the pipe that is the sandbox's stdout and stderr */
        AGENT_FD_COUNT = 3,
};

enum agent_exit_cause {
        AGENT_EXIT_CODE = 1,          /* `code` is the exit status of the function's process */
        AGENT_EXIT_SIGNAL = 2,        /* `code` is the signal */
        AGENT_EXIT_OUT_OF_MEMORY = 3, /* the kernel's counter says so */
        AGENT_EXIT_KILLED = 4,        /* by our own KILL */
};

enum agent_origin {
        AGENT_ORIGIN_REQUEST = 1,     /* made for this request */
        AGENT_ORIGIN_SANDBOX = 2,     /* from stock, with no interpreter in it yet */
        AGENT_ORIGIN_INTERPRETER = 3, /* from stock, with an interpreter that waited */
};

enum agent_spawn_flag {
        AGENT_SPAWN_VERIFY = 1, /* a registration check, the code lies in staging/ */
        AGENT_SPAWN_PLAIN = 2,  /* its interpreter is started for it: no parked one, no fork */
};

/* Ranges that may be reached by name; one bit more says that there is one nobody knows any more. */
#define AGENT_REACH_MAX 16
#define AGENT_REACH_UNKNOWN (1u << AGENT_REACH_MAX)

struct agent_message {
        uint32_t type;
        uint32_t code;         /* HELLO: version; REFUSED: errno; EXITED: status or signal;
                                  SPAWNED: enum agent_origin; COURTESY: 0 or 1 */
        uint64_t instance_id;  /* the gateway's choice, never reused by one gateway process */
        uint32_t runtime;      /* SPAWN: enum agent_runtime */
        uint32_t cause;        /* EXITED: enum agent_exit_cause */
        uint64_t memory_bytes; /* SPAWN: limit; EXITED: peak */
        uint64_t tmp_bytes;    /* SPAWN: size of /tmp */
        uint32_t cpu_millis;   /* SPAWN: thousandths of a core; 0: no limit */
        uint32_t process_max;  /* SPAWN */
        uint32_t flags;        /* SPAWN: enum agent_spawn_flag */
        uint32_t extra_length; /* bytes that follow */
        union {
                uint32_t phase_us[8]; /* SPAWNED: by enum agent_phase */
                uint32_t parked[8];   /* STOCK: by the enum agent_runtime whose interpreter waits
                                         in them; [0]: with magpie-init alone */
        };
        uint64_t group;    /* SPAWNED: see there */
        uint32_t network;  /* SPAWN: enum agent_network */
        uint32_t contract; /* SPAWN: enum agent_contract; this and the rest of an image's, else 0 */
        uint32_t port;     /* with AGENT_CONTRACT_HTTP */
        uint32_t user, user_group; /* numbers inside of the sandbox */
        uint32_t word_count;
        uint32_t reach;  /* SPAWN with egress: bit i: it may reach the agent's i-th named range */
        uint32_t unused; /* 0 */
};

enum agent_phase {
        AGENT_PHASE_CGROUP = 0,  /* control groups, sockets; 0, like the next ones, from stock */
        AGENT_PHASE_CLONE = 1,   /* new namespaces, up to the child's first instruction */
        AGENT_PHASE_TOTAL = 2,   /* request received to descriptors sent */
        AGENT_PHASE_MOUNT = 3,   /* its own mounts */
        AGENT_PHASE_CONFINE = 4, /* user, capabilities, system call filter */
        AGENT_PHASE_EXEC = 5,    /* magpie-init's exec */
        AGENT_PHASE_ASSIGN = 6,  /* the function's limits and code */
        AGENT_PHASE_COUNT = 8,
};

_Static_assert(sizeof(struct agent_message) == 128, "no padding: the struct is the wire format");

#define AGENT_MESSAGE_MAX (sizeof(struct agent_message) + AGENT_EXTRA_MAX)

/* What a SPAWN asks, checked. Strings point into the message. */
struct agent_spawn {
        uint64_t instance_id;
        enum agent_runtime runtime;
        uint64_t memory_bytes, tmp_bytes;
        uint32_t cpu_millis, process_max;
        bool verify, plain; /* enum agent_spawn_flag */
        const char *digest;
        const char *handler;
        const char *layers; /* digest of what it finds at /opt; "": nothing */
        /* Whose instance it is: what one function's instances leave to the next is no other's, be
         * code and settings the same. "": nobody's yet, to whom nothing is left. */
        const char *function;
        enum agent_network network;
        uint32_t reach;
        enum agent_contract contract; /* this and the rest of an image's */
        uint32_t port, user, user_group;
        const char *directory; /* absolute; NULL where it is no image */
        size_t word_count;     /* of an image's at least one */
        const char *words[AGENT_WORDS_MAX];
        size_t env_count;
        const char *env[AGENT_ENV_MAX];
};

#define AGENT_MEMORY_MIN (8ull << 20)
#define AGENT_MEMORY_MAX (64ull << 30)
#define AGENT_TMP_MIN (1ull << 16)
#define AGENT_PROCESS_MIN 2 /* magpie-init and the function */
#define AGENT_PROCESS_MAX 4096
#define AGENT_CPU_MILLIS_MIN 10 /* the kernel's smallest quota is 1 ms, our period is 100 ms */
#define AGENT_CPU_MILLIS_MAX 1024000
#define AGENT_HANDLER_MAX 255
#define AGENT_PORT_MAX 65535u

/* Checks any message of either direction: length, type, that extra_length is what follows.
 * 0 or -EPROTO. `ret_extra` points into `message`. */
int agent_message_decode(const void *message, size_t length, struct agent_message *ret_message,
                         const char **ret_extra);
/* Checks the strings and limits of a SPAWN. 0 or -EPROTO. */
int agent_spawn_decode(const struct agent_message *message, const char *extra,
                       struct agent_spawn *ret_spawn);
/* Writes message and strings. The length, or -EMSGSIZE. */
int agent_spawn_encode(const struct agent_spawn *spawn, void *ret_message, size_t capacity);
