/*
 * The log driver "syslog": its words (addresses, facilities, formats), its messages, and what the
 * shim and the worker that sends say to each other.
 *
 * Wire: descriptor 3 of `skerryd worker syslog`, SOCK_SEQPACKET. The first packet from the shim is
 * the configuration (the object log.syslog of shim.json), all others are struct syslog_packet with
 * output as it came behind it. The worker answers with texts: SYSLOG_READY once there is a
 * connection, or SYSLOG_FAILED and why, after which it ends. Not for later engines: a shim starts
 * the worker of its own program.
 *
 *   {"id":"<64 hex>","address":"tcp+tls://h:6514","facility":"daemon","format":"rfc5424",
 *    "tag":"x","ca":"/p","cert":"/p","key":"/p","skip_verify":B,"blocking":B,"buffer":BYTES,
 *    "retry":B}
 *   retry: the first connection may take its time, too
 */
#ifndef SKERRY_SYSLOG_SYSLOG_H
#define SKERRY_SYSLOG_SYSLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

/* --- the words of the options --- */

enum syslog_net { SYSLOG_UDP, SYSLOG_TCP, SYSLOG_TLS, SYSLOG_UNIX, SYSLOG_UNIXGRAM };

enum {
	SYSLOG_PORT = 514, /* of all three, as in Docker */
	SYSLOG_HOST_MAX = 254,
	SYSLOG_PATH_MAX = 108, /* sun_path */
	SYSLOG_BUFFER = 1 << 20, /* max-buffer-size, when not given */
};

/* Where there is no address: the machine's own. */
#define SYSLOG_DEFAULT_ADDRESS "unixgram:///dev/log"

struct syslog_address {
	enum syslog_net net;
	char host[SYSLOG_HOST_MAX]; /* without brackets */
	uint16_t port;
	char path[SYSLOG_PATH_MAX]; /* of the unix sockets */
};

/* "udp://host:port", "tcp://", "tcp+tls://", "unix:///path", "unixgram:///path". */
int syslog_address_parse(const char *text, struct syslog_address *ret, struct err *e);
/* A name such as local0, or 0 to 23; NULL and "" are daemon. */
int syslog_facility_parse(const char *text, unsigned int *ret, struct err *e);

enum syslog_format { SYSLOG_SHORT, SYSLOG_RFC3164, SYSLOG_RFC5424, SYSLOG_RFC5424MICRO };

/* NULL and "" are Docker's default, the short form of local sockets. */
int syslog_format_parse(const char *text, enum syslog_format *ret, struct err *e);

/* --- messages --- */

struct syslog_style {
	unsigned int facility;
	enum syslog_format format;
	bool counted; /* RFC 5425: the length in front, else the newline ends it */
	const char *hostname, *tag;
	int pid;
};

/* Appends one message, framed; is_err: its severity is err, else info. */
void syslog_message(const struct syslog_style *s, bool is_err, int64_t real_ns, const char *line,
		    size_t len, struct buf *out);
/* Whether messages to this kind of address carry their length. */
static inline bool syslog_counted(enum syslog_net net, enum syslog_format format)
{
	return net == SYSLOG_TLS && format >= SYSLOG_RFC5424;
}

/* --- between shim and worker --- */

#define SYSLOG_WORKER "syslog"

enum {
	SYSLOG_CHANNEL = 3,
	SYSLOG_CONFIG_MAX = 16 << 10,
	SYSLOG_CHUNK_MAX = 16384, /* output in one packet */
	SYSLOG_CONNECT_MS = 10000, /* a connection has to be there */
	SYSLOG_FINISH_MS = 2500, /* the rest at the end has to be sent */
};

enum syslog_kind {
	SYSLOG_OUTPUT, /* of a stream */
	SYSLOG_END, /* of a stream: an unfinished line is a line */
	SYSLOG_FINISH /* send the rest and end */
};

struct syslog_packet {
	uint8_t kind; /* enum syslog_kind */
	uint8_t is_err; /* stderr */
	uint16_t unused;
	uint32_t lost; /* lines that the shim had no room for before this packet */
	int64_t real_ns;
};

#define SYSLOG_READY "ready"
#define SYSLOG_FAILED "failed "

/* The role. */
int syslog_worker(int argc, char **argv);

#endif
