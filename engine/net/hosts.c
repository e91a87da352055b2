/*
 * hosts and resolv.conf as text (see hosts.h). The machine's resolv.conf comes from DHCP servers,
 * the rest from API clients: everything that goes into a line is checked for what would end it
 * early. Caller: files.c.
 */
#include "engine/net/hosts.h"

#include <ctype.h>
#include <string.h>

#include "engine/dns/dns.h"
#include "init/base/str.h"

enum {
	HOST_NAME_MAX_ = 64, /* sethostname(2), __NEW_UTS_LEN */
	NAMESERVERS_MAX = 16, /* libc reads 3; other resolvers may read more */
	WORDS_MAX = 64,
};

static const char note[] = "# Written by Skerry at container start.\n";

/* --- hosts ------------------------------------------------------------------------------------ */

int hosts_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len == 0 || len > HOST_NAME_MAX_ || name[0] == '-' || name[0] == '.')
		return err_set(e, EINVAL,
			       "invalid hostname \"%.80s\": should have 1 to 64 characters "
			       "and start with a letter or digit",
			       name);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			return err_set(e, EINVAL,
				       "invalid hostname \"%.80s\": only letters, digits, "
				       "'-', '.' and '_' are allowed",
				       name);
	return 0;
}

int hosts_text(struct buf *b, const struct hosts_entry *entries, size_t n, struct err *e)
{
	char text[IP_TEXT_MAX];

	buf_add_text(b, "127.0.0.1\tlocalhost\n"
			"::1\tlocalhost ip6-localhost ip6-loopback\n"
			"fe00::\tip6-localnet\n"
			"ff00::\tip6-mcastprefix\n"
			"ff02::1\tip6-allnodes\n"
			"ff02::2\tip6-allrouters\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s\t%s\n", ip_text(&entries[i].addr, text), entries[i].names);
	if (buf_failed(b))
		return err_errno(e, -buf_failed(b), "cannot build the hosts file");
	return 0;
}

static int extra_line(struct buf *b, const char *line, const struct ip_addr *gateway, struct err *e)
{
	char name[256], text[IP_TEXT_MAX];
	const char *sep = strpbrk(line, ":=");
	struct ip_addr a;
	size_t len;

	if (!sep || sep == line || (size_t)(sep - line) >= sizeof(name))
		goto bad;
	len = (size_t)(sep - line);
	memcpy(name, line, len);
	name[len] = '\0';
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			goto bad;
	if (str_eq(sep + 1, "host-gateway")) {
		if (!ip_is_set(gateway))
			return err_set(e, EINVAL,
				       "extra host \"%.80s\": this network has no gateway", line);
		a = *gateway;
	} else {
		char addr[IP_TEXT_MAX + 2];

		if (str_copy(addr, sizeof(addr), sep + 1) < 0)
			goto bad;
		len = strlen(addr);
		if (addr[0] == '[' && addr[len - 1] == ']') {
			addr[len - 1] = '\0';
			memmove(addr, addr + 1, len - 1);
		}
		if (ip_parse(addr, &a, NULL) < 0)
			goto bad;
	}
	buf_printf(b, "%s\t%s\n", ip_text(&a, text), name);
	return 0;
bad:
	return err_set(e, EINVAL,
		       "invalid extra host \"%.80s\": should be NAME:ADDRESS or "
		       "NAME:host-gateway",
		       line);
}

int hosts_extra(struct buf *b, char *const *extra, const struct ip_addr *gateway, struct err *e)
{
	for (; extra && *extra; extra++) {
		int rc = extra_line(b, *extra, gateway, e);

		if (rc < 0)
			return rc;
	}
	if (buf_failed(b))
		return err_errno(e, -buf_failed(b), "cannot build the hosts file");
	return 0;
}

/* --- resolv.conf ------------------------------------------------------------------------------ */

/* what the machine's file says, as words */
struct resolv {
	char **servers, **search, **options;
};

static void resolv_free(struct resolv *r)
{
	strv_free(r->servers);
	strv_free(r->search);
	strv_free(r->options);
}
DEFINE_CLEANUP_VALUE(struct resolv, resolv_free)

static bool word_ok(const char *w)
{
	if (!*w || strlen(w) > 255)
		return false;
	for (; *w; w++)
		if (!isgraph((unsigned char)*w) || *w == '#' || *w == ';')
			return false;
	return true;
}

static bool server_usable(const char *text, const struct resolv_want *w)
{
	struct ip_addr a;

	if (ip_parse(text, &a, NULL) <
	    0) /* also those with a zone, which mean a link of the machine */
		return false;
	if (w->own_stack && ip_is_loopback(&a))
		return false;
	return a.family == AF_INET || w->ipv6;
}

static int line_parse(struct resolv *r, char *line, const struct resolv_want *w)
{
	_cleanup_(strv_free) char **words = NULL;
	char ***list;
	size_t max = WORDS_MAX;
	int rc = 0;

	line[strcspn(line, "#;")] = '\0';
	words = strv_split(line, " \t\r", false);
	if (!words)
		return -ENOMEM;
	if (strv_len(words) < 2)
		return 0;
	if (str_eq(words[0], "nameserver")) {
		list = &r->servers;
		max = NAMESERVERS_MAX;
		if (!server_usable(words[1], w))
			return 0;
	} else if (str_eq(words[0], "search") || str_eq(words[0], "domain")) {
		list = &r->search; /* the last line of these wins, as in libc */
		strv_free(r->search);
		r->search = NULL;
	} else if (str_eq(words[0], "options")) {
		list = &r->options;
	} else {
		return 0;
	}
	for (size_t i = 1; words[i] && rc == 0; i++) {
		if (word_ok(words[i]) && strv_len(*list) < max)
			rc = strv_add(list, words[i]);
		if (list == &r->servers)
			break;
	}
	return rc;
}

static int machine_parse(struct resolv *r, const char *machine, const struct resolv_want *w)
{
	_cleanup_(strv_free) char **lines = strv_split(machine, "\n", false);
	int rc = lines ? 0 : -ENOMEM;

	for (char **l = lines; l && *l && rc == 0; l++)
		rc = line_parse(r, *l, w);
	return rc;
}

static int words_check(char *const *words, const char *what, struct err *e)
{
	for (size_t i = 0; words && words[i]; i++)
		if (!word_ok(words[i]) || i >= WORDS_MAX)
			return err_set(e, EINVAL, "invalid DNS %s \"%.80s\"", what, words[i]);
	return 0;
}

static int want_check(const struct resolv_want *w, struct err *e)
{
	struct ip_addr a;
	int rc = words_check(w->search, "search domain", e);

	if (rc == 0)
		rc = words_check(w->options, "option", e);
	for (char *const *d = w->dns; rc == 0 && d && *d; d++)
		rc = ip_parse(*d, &a, e);
	return rc;
}

static void add_words(struct buf *b, const char *key, char *const *words)
{
	if (!words || !*words)
		return;
	buf_add_text(b, key);
	for (; *words; words++)
		buf_printf(b, " %s", *words);
	buf_add_char(b, '\n');
}

char **resolv_servers(const char *machine)
{
	static const struct resolv_want all = { .ipv6 = true };
	_cleanup_(resolv_free) struct resolv r = { 0 };

	if (machine_parse(&r, machine, &all) < 0)
		return NULL;
	return r.servers ? take_ptr(r.servers) : calloc(1, sizeof(char *));
}

static bool has_ndots(char *const *options)
{
	for (; options && *options; options++)
		if (str_starts(*options, "ndots:"))
			return true;
	return false;
}

/* The embedded resolver is asked for every name as it is, before a search domain is tried. */
static void add_options(struct buf *b, char *const *options, bool embedded)
{
	if (!embedded || has_ndots(options)) {
		add_words(b, "options", options);
		return;
	}
	buf_add_text(b, "options");
	for (; options && *options; options++)
		buf_printf(b, " %s", *options);
	buf_add_text(b, " ndots:0\n");
}

int resolv_text(struct buf *b, const char *machine, const struct resolv_want *w, struct err *e)
{
	_cleanup_(resolv_free) struct resolv r = { 0 };
	char *const *servers, *const *search, *const *options;
	int rc = want_check(w, e);

	if (rc < 0)
		return rc;
	if (machine_parse(&r, machine, w) < 0)
		return err_set(e, ENOMEM, "out of memory");
	servers = strv_len(w->dns) ? w->dns : r.servers;
	search = strv_len(w->search) ? w->search : r.search;
	options = strv_len(w->options) ? w->options : r.options;
	if (search && str_eq(search[0], ".") && !search[1]) /* "--dns-search=.": none */
		search = NULL;
	buf_add_text(b, note);
	if (w->embedded)
		buf_add_text(b, "nameserver " DNS_ADDRESS "\n");
	for (; !w->embedded && servers && *servers; servers++)
		buf_printf(b, "nameserver %s\n", *servers);
	add_words(b, "search", search);
	add_options(b, options, w->embedded);
	if (buf_failed(b))
		return err_errno(e, -buf_failed(b), "cannot build resolv.conf");
	return 0;
}
