/*
 * Checks of a create request: devices, their cgroup rules, and requests for devices by driver,
 * which nobody here can serve (--gpus): an error with Docker's text.
 */
#include "engine/container/config.h"
#include "engine/data/json.h"
#include "init/base/str.h"

static int check_devices(const struct host_config *h, struct err *e)
{
	const struct device_map *d = h->devices.items;

	for (size_t i = 0; i < h->devices.n; i++) {
		const char *perms = d[i].permissions ? d[i].permissions : "";

		if (str_empty(d[i].host) || d[i].host[0] != '/')
			return err_set(e, EINVAL,
				       "HostConfig.Devices: \"%.80s\" is not an absolute path",
				       d[i].host ? d[i].host : "");
		if (!str_empty(d[i].container) && d[i].container[0] != '/')
			return err_set(e, EINVAL,
				       "HostConfig.Devices: \"%.80s\" is not an absolute path",
				       d[i].container);
		if (strspn(perms, "rwm") != strlen(perms))
			return err_set(e, EINVAL,
				       "HostConfig.Devices: \"%.16s\" of %.64s: permissions are "
				       "of the letters r, w and m",
				       perms, d[i].host);
	}
	return 0;
}

/* A number or * at *s, then `end`. */
static bool number_or_any(const char **s, char end)
{
	size_t n = strspn(*s, "0123456789");

	if (n == 0 && **s == '*')
		n = 1;
	if (n == 0 || (*s)[n] != end)
		return false;
	*s += n + 1;
	return true;
}

bool device_rule_valid(const char *rule)
{
	const char *s = rule + 2;

	if (!rule[0] || !strchr("abc", rule[0]) || rule[1] != ' ' || !number_or_any(&s, ':') ||
	    !number_or_any(&s, ' '))
		return false;
	return *s && strlen(s) <= 3 && strspn(s, "rwm") == strlen(s);
}

static int check_device_rules(const struct host_config *h, struct err *e)
{
	for (char **rule = h->device_cgroup_rules; rule && *rule; rule++)
		if (!device_rule_valid(*rule))
			return err_set(e, EINVAL, "invalid device cgroup rule format: '%.80s'",
				       *rule);
	return 0;
}

/* Go prints a list of lists of words as [[gpu compute] [tpu]]. */
static void write_capabilities(yyjson_val *lists, struct buf *out)
{
	yyjson_val *list, *word;
	size_t i, n, k, m;

	buf_add_char(out, '[');
	yyjson_arr_foreach(lists, i, n, list)
	{
		buf_add_text(out, i ? " [" : "[");
		yyjson_arr_foreach(list, k, m, word)
			buf_printf(out, "%s%.40s", k ? " " : "",
				   yyjson_is_str(word) ? yyjson_get_str(word) : "");
		buf_add_char(out, ']');
	}
	buf_add_char(out, ']');
}

static int check_device_requests(const struct host_config *h, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf caps = BUF_INIT(4096);
	yyjson_val *first;
	const char *driver = "";
	int r;

	if (!h->device_requests)
		return 0;
	r = json_parse(h->device_requests, strlen(h->device_requests), &doc, e);
	if (r < 0 || !yyjson_is_arr(yyjson_doc_get_root(doc)))
		return err_set(e, EINVAL, "HostConfig.DeviceRequests: expected an array");
	first = yyjson_arr_get_first(yyjson_doc_get_root(doc));
	if (!first)
		return 0;
	(void)json_get_text(first, "Driver", &driver, NULL);
	write_capabilities(json_member(first, "Capabilities"), &caps);
	return err_set(e, EINVAL,
		       "HostConfig.DeviceRequests: could not select device driver \"%.40s\" with "
		       "capabilities: %.200s",
		       driver, buf_failed(&caps) ? "" : buf_text(&caps));
}

int devices_check(const struct host_config *h, struct err *e)
{
	int r = check_devices(h, e);

	if (r == 0)
		r = check_device_rules(h, e);
	return r < 0 ? r : check_device_requests(h, e);
}
