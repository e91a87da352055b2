/*
 * What a container's LogConfig means: the drivers and their options (check_log.c), the attributes
 * of its records and its tag (log_attrs.c), the object "log" of shim.json (spec_log.c).
 *
 * Inside of container/. Values were checked at create; whoever reads them later may rely on that.
 */
#ifndef SKERRY_CONTAINER_LOG_CONFIG_H
#define SKERRY_CONTAINER_LOG_CONFIG_H

#include <stdint.h>

#include "engine/container/config.h"
#include "engine/container/object.h"

enum { LOG_ATTRS_MAX = 64 << 10 }; /* bytes of the attributes, which are in every record */

/* Driver, options and their values; EINVAL with Docker's text where it has one. */
int log_check(const struct host_config *h, struct err *e);
/* A value of LogConfig.Config; NULL when not given or "". */
const char *log_option(const struct host_config *h, const char *key);
/* Go's strconv.ParseBool; -EINVAL. */
int log_parse_bool(const char *text, bool *ret);
/* Whether there is a file that `docker logs` can read. */
bool log_has_file(const struct host_config *h);

/* A regular expression of labels-regex or env-regex. */
int log_regex_check(const char *key, const char *text, struct err *e);
/* A tag's template: text with {{.ID}} and the like. */
int log_tag_check(const char *text, struct err *e);
/* The tag, new memory; "" when the option is not given and `standard` is NULL. NULL: no memory. */
char *log_tag(const struct container *c, const char *standard);
/* Writes the object: chosen labels and variables, and the tag where it is asked for. -E2BIG. */
int log_attrs_write(const struct container *c, struct json_writer *w, struct err *e);

/* Writes the member "log" of shim.json and makes the folder of the file. */
int log_write(const struct container *c, struct json_writer *w, struct err *e);

#endif
