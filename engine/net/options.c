/*
 * What a network is asked to be by its driver options, as Docker names them.
 *
 * The options are kept as they came and are read again with the record; what follows from them
 * alone is not stored twice. Texts are Docker's where it has one. Callers: create.c, record.c.
 */
#include <ctype.h>
#include <linux/if_link.h>
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "init/base/str.h"

#define OPTION_NAME "com.docker.network.bridge.name"
#define OPTION_MTU "com.docker.network.driver.mtu"
#define OPTION_ICC "com.docker.network.bridge.enable_icc"
#define OPTION_MASQUERADE "com.docker.network.bridge.enable_ip_masquerade"
#define OPTION_PREFIX "com.docker.network.container_iface_prefix"
#define OPTION_GATEWAY4 "com.docker.network.bridge.gateway_mode_ipv4"
#define OPTION_GATEWAY6 "com.docker.network.bridge.gateway_mode_ipv6"

enum { MTU_MIN = 68, MTU_MIN_IPV6 = 1280, MTU_MAX = 65535 };

/* What Go's ParseBool takes. */
static int option_bool(const char *key, const char *text, bool *value, struct err *e)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True", NULL };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False", NULL };

	if (!strv_has((char *const *)yes, text) && !strv_has((char *const *)no, text))
		return err_set(e, EINVAL, "invalid value for option %s: \"%.40s\" is no boolean",
			       key, text);
	*value = strv_has((char *const *)yes, text);
	return 0;
}

static int option_mtu(const char *text, bool ipv6, uint32_t *ret_mtu, struct err *e)
{
	uint64_t min = ipv6 ? MTU_MIN_IPV6 : MTU_MIN, mtu;

	if (str_to_u64(text, &mtu) < 0 || (mtu != 0 && (mtu < min || mtu > MTU_MAX)))
		return err_set(e, EINVAL,
			       "invalid value for option %s: \"%.40s\" is not between %llu and %d",
			       OPTION_MTU, text, (unsigned long long)min, MTU_MAX);
	if (mtu)
		*ret_mtu = (uint32_t)mtu;
	return 0;
}

static int option_link(const char *text, char name[IFNAMSIZ], struct err *e)
{
	int rc = link_name_check(text, e);

	return rc < 0 ? rc : str_copy(name, IFNAMSIZ, text);
}

static int option_prefix(const char *text, char name[IFNAMSIZ], struct err *e)
{
	int rc = option_link(text, name, e);

	if (rc == 0 && (strlen(text) > IFNAMSIZ - 4 || str_eq(text, "lo")))
		rc = err_set(e, EINVAL, "invalid value for option %s: \"%s\"", OPTION_PREFIX, text);
	return rc;
}

/* --- bridges ---------------------------------------------------------------------------------- */

static int option_gateway(const struct network *p, const char *key, enum net_gateway *ret_mode,
			  struct err *e)
{
	static const char *const names[] = { [GATEWAY_NAT] = "nat",
					     [GATEWAY_UNPROTECTED] = "nat-unprotected",
					     [GATEWAY_ROUTED] = "routed",
					     [GATEWAY_ISOLATED] = "isolated" };
	const char *text = strv_env_get(p->options, key);
	size_t i = 0;

	if (str_empty(text))
		return 0;
	while (i < ARRAY_SIZE(names) && !str_eq(names[i], text))
		i++;
	if (i == ARRAY_SIZE(names))
		return err_set(e, EINVAL,
			       "invalid value for option %s: \"%.40s\" is none of nat, "
			       "nat-unprotected, routed, isolated",
			       key, text);
	if (i == GATEWAY_ISOLATED && !p->internal)
		return err_set(e, EINVAL,
			       "gateway mode 'isolated' can only be used for an internal network");
	*ret_mode = (enum net_gateway)i;
	return 0;
}

static int bridge_options(struct network *p, struct err *e)
{
	const struct {
		const char *key;
		bool *value;
	} switches[] = { { OPTION_ICC, &p->icc }, { OPTION_MASQUERADE, &p->masquerade } };
	const char *name = strv_env_get(p->options, OPTION_NAME);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(switches); i++) {
		const char *text = strv_env_get(p->options, switches[i].key);

		if (!str_empty(text))
			rc = option_bool(switches[i].key, text, switches[i].value, e);
	}
	if (rc == 0 && !str_empty(name))
		rc = option_link(name, p->ifname, e);
	if (rc == 0)
		rc = option_gateway(p, OPTION_GATEWAY4, &p->gateway_mode, e);
	return rc < 0 ? rc : option_gateway(p, OPTION_GATEWAY6, &p->gateway_mode6, e);
}

/* --- macvlan, ipvlan -------------------------------------------------------------------------- */

struct word {
	const char *name;
	uint32_t value;
};

/* The first of the words is the default. */
static int option_word(const struct network *p, const char *key, const struct word *words, size_t n,
		       uint32_t *ret_value, struct err *e)
{
	const char *text = strv_env_get(p->options, key), *driver = net_driver_name(p->driver);

	*ret_value = words[0].value;
	if (str_empty(text))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (str_eq(words[i].name, text)) {
			*ret_value = words[i].value;
			return 0;
		}
	}
	return err_set(e, EINVAL,
		       "invalid %s '%.40s': requested %s is not valid, '%s' is the %s driver "
		       "default",
		       key, text, key, words[0].name, driver);
}

/* A link's name, or one with the number of a VLAN behind a dot. */
static int parent_check(const char *text, struct err *e)
{
	size_t len = strlen(text);

	if (str_eq(text, "lo"))
		return err_set(e, EINVAL, "loopback interface is not a valid parent link");
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			len = IFNAMSIZ;
	if (len >= IFNAMSIZ || text[0] == '.' || text[0] == '-')
		return err_set(e, EINVAL,
			       "invalid parent interface \"%.40s\": should be the name of a link, "
			       "like eth0 or eth0.10",
			       text);
	return 0;
}

static int vlan_options(struct network *p, struct err *e)
{
	static const struct word macvlan[] = { { "bridge", MACVLAN_MODE_BRIDGE },
					       { "private", MACVLAN_MODE_PRIVATE },
					       { "vepa", MACVLAN_MODE_VEPA },
					       { "passthru", MACVLAN_MODE_PASSTHRU } };
	static const struct word ipvlan[] = { { "l2", IPVLAN_MODE_L2 },
					      { "l3", IPVLAN_MODE_L3 },
					      { "l3s", IPVLAN_MODE_L3S } };
	static const struct word flags[] = { { "bridge", 0 },
					     { "private", IPVLAN_F_PRIVATE },
					     { "vepa", IPVLAN_F_VEPA } };
	const char *parent = strv_env_get(p->options, "parent");
	bool mac = p->driver == NET_MACVLAN;
	uint32_t flag = 0;
	int rc = 0;

	p->mtu = 0; /* that of the parent */
	if (str_empty(parent) || p->internal) { /* a link that leads nowhere */
		(void)str_format(p->parent, sizeof(p->parent), "%s-%.12s", mac ? "dm" : "di",
				 p->id);
	} else {
		rc = parent_check(parent, e);
		if (rc == 0)
			rc = str_copy(p->parent, sizeof(p->parent), parent);
	}
	if (rc == 0 && mac)
		return option_word(p, "macvlan_mode", macvlan, ARRAY_SIZE(macvlan), &p->link_mode,
				   e);
	if (rc == 0)
		rc = option_word(p, "ipvlan_mode", ipvlan, ARRAY_SIZE(ipvlan), &p->link_mode, e);
	if (rc == 0)
		rc = option_word(p, "ipvlan_flag", flags, ARRAY_SIZE(flags), &flag, e);
	p->link_flags = (uint16_t)flag;
	return rc;
}

/* --- all -------------------------------------------------------------------------------------- */

int options_read(struct network *p, struct err *e)
{
	const char *mtu = strv_env_get(p->options, OPTION_MTU),
		   *prefix = strv_env_get(p->options, OPTION_PREFIX);
	int rc = p->driver == NET_BRIDGE ? bridge_options(p, e) : vlan_options(p, e);

	if (rc == 0 && !str_empty(mtu))
		rc = option_mtu(mtu, p->ipv6, &p->mtu, e);
	if (rc == 0 && !str_empty(prefix))
		rc = option_prefix(prefix, p->prefix, e);
	return rc;
}

int options_read_late(struct network *p, struct err *e)
{
	return p->predefined || !network_has_links(p) ? 0 : options_read(p, e);
}
