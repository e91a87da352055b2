/*
 * The words of the options of the log driver "syslog" (syslog.h).
 *
 * Pure; called by the check of a create request and again by the worker.
 */
#include <string.h>

#include "engine/syslog/syslog.h"
#include "init/base/str.h"

static const struct scheme {
	const char *prefix;
	enum syslog_net net;
} schemes[] = {
	{ "udp://", SYSLOG_UDP },	    { "tcp://", SYSLOG_TCP },
	{ "tcp+tls://", SYSLOG_TLS },	    { "unix://", SYSLOG_UNIX },
	{ "unixgram://", SYSLOG_UNIXGRAM },
};

static int parse_path(const char *path, struct syslog_address *a, struct err *e)
{
	if (path[0] != '/' || str_copy(a->path, sizeof(a->path), path) < 0)
		return err_set(e, EINVAL, "'%s' is not an absolute path of at most %d characters",
			       path, SYSLOG_PATH_MAX - 1);
	return 0;
}

static bool is_host(const char *host)
{
	for (const char *p = host; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("/?#@[]\\\"'", *p))
			return false;
	return *host;
}

static int parse_port(const char *text, uint16_t *ret)
{
	uint64_t port;

	if (str_to_u64(text, &port) < 0 || port < 1 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* "host", "host:port", "[::1]", "[::1]:port" and at most a "/" behind it. */
static int parse_host(const char *text, struct syslog_address *a, struct err *e)
{
	_cleanup_(mem_free) char *copy = str_dup(text);
	char *host = copy, *port = NULL, *end;

	if (!copy)
		return err_errno(e, ENOMEM, "address");
	end = copy + strlen(copy);
	if (end > copy && end[-1] == '/')
		*--end = '\0';
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return err_set(e, EINVAL, "'%s' has a bracket that is not closed", text);
		port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if ((port = strchr(host, ':'))) {
		*port++ = '\0';
	}
	if (!is_host(host) || str_copy(a->host, sizeof(a->host), host) < 0)
		return err_set(e, EINVAL, "'%s' names no host", text);
	a->port = SYSLOG_PORT;
	if (port && parse_port(port, &a->port) < 0)
		return err_set(e, EINVAL, "'%s': a port is a number from 1 to 65535", text);
	return 0;
}

int syslog_address_parse(const char *text, struct syslog_address *ret, struct err *e)
{
	struct syslog_address a = { 0 };
	const char *colon;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		const char *rest = text + strlen(schemes[i].prefix);

		if (!str_starts(text, schemes[i].prefix))
			continue;
		a.net = schemes[i].net;
		r = a.net >= SYSLOG_UNIX ? parse_path(rest, &a, e) : parse_host(rest, &a, e);
		if (r == 0)
			*ret = a;
		return r;
	}
	colon = strchr(text, ':');
	return err_set(e, EINVAL,
		       "unsupported scheme: '%.*s' (udp, tcp, tcp+tls, unix or unixgram, as in "
		       "udp://host:514)",
		       colon ? (int)(colon - text) : 0, text);
}

int syslog_facility_parse(const char *text, unsigned int *ret, struct err *e)
{
	static const struct {
		const char *name;
		unsigned int number;
	} names[] = {
		{ "kern", 0 },	  { "user", 1 },    { "mail", 2 },	{ "daemon", 3 },
		{ "auth", 4 },	  { "syslog", 5 },  { "lpr", 6 },	{ "news", 7 },
		{ "uucp", 8 },	  { "cron", 9 },    { "authpriv", 10 }, { "ftp", 11 },
		{ "local0", 16 }, { "local1", 17 }, { "local2", 18 },	{ "local3", 19 },
		{ "local4", 20 }, { "local5", 21 }, { "local6", 22 },	{ "local7", 23 },
	};
	uint64_t number;

	if (str_empty(text))
		text = "daemon";
	if (str_to_u64(text, &number) == 0 && number <= 23) {
		*ret = (unsigned int)number;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(names[i].name, text)) {
			*ret = names[i].number;
			return 0;
		}
	}
	return err_set(e, EINVAL,
		       "invalid syslog facility '%s' (a name such as daemon or local0, or 0 to 23)",
		       text);
}

int syslog_format_parse(const char *text, enum syslog_format *ret, struct err *e)
{
	static const char *const names[] = {
		[SYSLOG_SHORT] = "",
		[SYSLOG_RFC3164] = "rfc3164",
		[SYSLOG_RFC5424] = "rfc5424",
		[SYSLOG_RFC5424MICRO] = "rfc5424micro",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(names[i], text ? text : "")) {
			*ret = (enum syslog_format)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "Invalid syslog format '%s' (rfc3164, rfc5424 or rfc5424micro)",
		       text);
}
