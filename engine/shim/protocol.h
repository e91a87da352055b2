/*
 * What shim and engine say to each other, and the documents in a shim's directory.
 *
 * Socket: <dir>/sock, SOCK_SEQPACKET, one JSON object per packet, descriptors by SCM_RIGHTS. A shim
 * that is spawned by the engine has its first connection as descriptor 3; later engines connect.
 * Several connections at a time are fine; all hear all events. Version rule: "v" is the major
 * version; a packet with another major is answered with an error and the connection is closed;
 * unknown keys and unknown events are ignored; an unknown op is an error with errno ENOSYS.
 *
 * First packet from the shim on each connection:
 *   {"v":1,"event":"hello","state":"creating|created|running|exited","pid":1,"started":NS,
 *    "paused":false,"tty":false,"oom_kills":0}
 * Events (all connections):
 *   {"v":1,"event":"created","pid":N,"tty":B}
 *   {"v":1,"event":"oom","oom_kills":1}   so far in this run
 *   {"v":1,"event":"exec_exit","id":"...","exit_code":0}
 *   {"v":1,"event":"exit", and the members of exit.json}
 * Requests; answers are {"v":1,"re":SEQ,"ok":true,...} or
 * {"v":1,"re":SEQ,"ok":false,"errno":N,"error":"text"}:
 *   {"v":1,"op":"start","seq":N}
 *   {"v":1,"op":"signal","seq":N,"signal":15,"all":false}
 *   {"v":1,"op":"attach","seq":N,"stdin":B,"stdout":B,"stderr":B,"stall_ms":N?}
 *    stall_ms: how long it may take nothing, default SHIM_ATTACH_STALL_MS, 1 to SHIM_STALL_MAX_MS.
 *    Answer: one fd; "log_offset" and "log_ino": what was said before is in the log files up to
 *    this place of the file with this inode, unfinished lines too; -1: there is no log
 *   {"v":1,"op":"resize","seq":N,"rows":24,"cols":80,"exec":"id"?}
 *   {"v":1,"op":"pause","seq":N,"paused":true}
 *   {"v":1,"op":"update","seq":N,"resources":{OCI}}
 *   {"v":1,"op":"exec","seq":N,"id":"...","user":"..."?,"groups":[...]?,"stdin":B,"stdout":B,
 *    "stderr":B,"privileged":B,"rows":N,"cols":N} with one fd: a sealed memfd that holds the OCI
 *    process object (it may exceed a packet; "terminal" is taken from there).
 *    Answer: "pid", and one fd unless detached; a failed one has "exit_code" (125, 126, 127) too
 *   {"v":1,"op":"exec_signal","seq":N,"id":"...","signal":15}
 *   {"v":1,"op":"ack","seq":N}   only after exit: the shim ends
 *
 * shim.json (written by the engine before the spawn; unknown keys are ignored):
 *   {"v":1, "id":"<64 hex>",
 *    "cgroup":"containers/<id>",   absent: none (hosts without cgroup v2)
 *    "rootfs":{"lower":["/top", ..., "/bottom"], "upper":"/u", "work":"/w",
 *              "options":["volatile"]},
 *        mounted as overlay at <dir>/bundle/rootfs; "upper" absent: read-only;
 *        no "rootfs" at all: the bundle's own root.path is used as it is
 *    "user":"name:group", "groups":["audio","27"],   absent: process.user of config.json
 *    "terminal":true,   as process.terminal of config.json, which is read when this is absent
 *    "stdin":true, "stdin_once":true,
 *        OpenStdin, StdinOnce: stdin closes for ever when its first client ends
 *    "log":{"driver":"json-file|local|syslog|none","path":"/x-json.log","max_size":BYTES|0,
 *           "max_file":N,"compress":B,"attrs":{"k":"v"},"blocking":B,"syslog":{...}},
 *        local: the same records; where they lie is the engine's choice. syslog: path may be
 *        absent; what the object holds is for syslog/syslog.h. blocking: absent is true
 *    "joins":[{"kind":"pid","pid":N,"cgroup":"containers/<id>"},
 *             {"kind":"user","owner_of":"/run/skerry/netns/<id>"}, ...],
 *        namespaces (pid, ipc, network, uts, user) of the process N, which must be in that cgroup;
 *        or the user namespace that a network namespace belongs to. linux.namespaces of
 *        config.json has a path for each of them
 *    "first_id":100000,
 *        the user and group of the machine that are root in the joined user namespace. The layers
 *        of "rootfs" are id-mapped by it: on disk stay the ids that the container sees
 *    "detach":["/run/skerry/netns"],
 *        mount points of the host that this shim lets go of once the container is set up
 *    "oom_score_adj":-999,   of the shim itself, default -999
 *    "seccomp_cache":"/run/skerry/seccomp"}
 *
 * execs/<id>.state (written by the shim, atomically, where the engine has made the directory,
 * before the answer to "exec" and before the exec_exit event):
 *   {"v":1,"pid":N} while it runs, {"v":1,"pid":N,"exit_code":N} afterwards or when it never did
 *
 * exit.json (written by the shim, atomically, before the exit event):
 *   {"v":1,"exit_code":137,"signal":9,"oom_killed":false,"never_ran":false,"pid":N,"started":NS,
 *    "finished":NS,"error":""}
 */
#ifndef SKERRY_SHIM_PROTOCOL_H
#define SKERRY_SHIM_PROTOCOL_H

enum {
	SHIM_PROTOCOL = 1, /* the major version */
	SHIM_FD_ENGINE = 3, /* the first connection of a spawned shim */
	SHIM_ATTACH_STALL_MS = 10000, /* a client that takes nothing for so long is dropped */
	SHIM_STALL_MAX_MS = 600000, /* the most that may be asked for instead */
	SHIM_CLIENTS_MAX = 64, /* engine connections */
	SHIM_STREAMS_MAX = 256, /* attached clients of one container */
	SHIM_EXECS_MAX = 1024, /* running at a time */
	SHIM_LOWER_MAX = 500, /* overlayfs: OVL_MAX_STACK */
};

#define SHIM_SOCKET "sock"
#define SHIM_CONFIG "shim.json"
#define SHIM_KEPT "exec.kept" /* runtime/kept.h; of this shim alone */
#define SHIM_EXIT "exit.json"
#define SHIM_EXECS "execs"
#define SHIM_EXEC_STATE ".state"

#endif
