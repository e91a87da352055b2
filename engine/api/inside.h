/*
 * What the files of api/ share: answering errors, reading bodies, and the handlers that routes.c
 * lists. Not for other folders.
 */
#ifndef SKERRY_API_INSIDE_H
#define SKERRY_API_INSIDE_H

#include "engine/api/api.h"
#include "engine/data/json.h"
#include "engine/data/ref.h"

enum {
	API_BODY_MAX = 4 << 20, /* JSON bodies */
	API_ANSWER_MAX = 32 << 20, /* JSON answers */
};

static inline struct engine *engine_of(const struct http_req *r)
{
	return r->user;
}

/* True when the client speaks at least 1.minor (no version in the path: the newest). */
bool api_at_least(const struct http_req *r, unsigned minor);

/* errors.c: the HTTP status of an errno, and the answer {"message"} with it. */
int api_status(int error);
void api_fail(struct http_req *r, int error, const struct err *e);
/* Ends the request with 304, 204 (r 0) or the error: what most verbs do. */
void api_verdict(struct http_req *r, int error, const struct err *e);
/* Zeroed memory for what a request needs until its end, the caller's to free(); NULL: the request
 * was answered (503). */
void *api_new(struct http_req *r, size_t size);

/* body.c */
/* Parses the body as one JSON object. -EINVAL with Docker's texts; an absent body is one too
 * unless `optional` (then *ret_root is NULL). */
int api_body(struct http_req *r, bool optional, yyjson_doc **ret_doc, yyjson_val **ret_root,
	     struct err *e);
/* Sends what was written, or 500 when it became too large. Adds the newline that Docker's
 * encoder adds. */
void api_reply(struct http_req *r, int status, struct buf *json);
/* "1457.506", "1457", RFC 3339 -> ns; NULL, "" and "0" give 0. `key` for the error. */
int api_time(const char *key, const char *text, int64_t *ret_ns, struct err *e);
/* "linux/arm64" of what a client calls a platform ("arm64", "linux/aarch64", ...). */
int api_platform(const char *text, char *ret, size_t size, struct err *e);
/* The parameters `changes` (added to *ret); `repo` and `tag` as one name, "" for none. */
int api_changes(struct http_req *r, char ***ret, struct err *e);
int api_repo_tag(struct http_req *r, char ret[REF_TEXT_MAX], struct err *e);
/* The parameter `platform`: {"os":"linux","architecture":"arm64","variant":"v8"}; *ret_doc stays
 * NULL when there is none, and has the strings. */
int api_image_platform(struct http_req *r, yyjson_doc **ret_doc, struct image_platform *p,
		       struct err *e);
/* The filter until=: a moment, or how long ago ("10m"); 0: none. */
struct filters;
int api_until(const struct filters *f, int64_t *ret_ns, struct err *e);
/* The filters label= (all of them) and label!= (not all of them) of a prune. */
bool api_labels_pass(const struct filters *f, const char *(*get)(const void *, const char *),
		     const void *object);
/* The event of a prune of containers or images (`type`). */
void api_publish_prune(struct engine *en, const char *type, int64_t freed);
/* The event, and the answer of a prune of containers or volumes: under `key` what is gone (NULL:
 * nothing), and the bytes that came free. */
void api_reply_prune(struct http_req *r, const char *type, const char *key, char *const *deleted,
		     int64_t freed);
/* A member `key`: "key=value" entries (NULL: none) as an object. */
void api_pairs(struct json_writer *w, const char *key, char *const *pairs);
/* A member that is an object of strings as "key=value" entries, added to *ret. -EINVAL. */
int api_read_pairs(yyjson_val *body, const char *key, char ***ret, struct err *e);
/* One volume; with `usage` its bytes (-1: not known) and how many containers have it. */
void api_volume(struct json_writer *w, const struct volume *v, int64_t size, size_t users,
		bool usage);
/* Whether its bytes are to be counted: a folder on the data disk. */
bool api_volume_counts(const struct volume *v);
/* How many containers have the image. */
int64_t api_image_users(struct engine *en, const struct image *img);

/* df.c: counts what the wanted containers have on disk, for container_summary and
 * container_inspect, then answers. */
struct usage_op;
struct map;
void api_count(struct http_req *r, bool (*wanted)(const void *data, const struct container *c),
	       const void *data, void (*answer)(struct http_req *r, const struct usage_op *sizes));
/* How many images have a layer: chain id -> count as a pointer. ret_total (may be NULL): bytes of
 * all layers. -ENOMEM. */
int api_layer_uses(struct engine *en, struct map *uses, int64_t *ret_total);
/* Bytes of an image's layers that other images have too. */
int64_t api_shared_size(const struct map *uses, const struct image *img);

/* lines.c: one line of a streamed answer, which begins with the first one (*streaming is set);
 * droppable: only how far it is. And the line that ends it with an error. */
void api_line(struct http_req *r, bool *streaming, struct buf *line, bool droppable);
void api_error_line(struct http_req *r, bool *streaming, const char *text);

/* The container of params[0]; NULL: the request was answered. */
struct container *api_container(struct http_req *r);

/* Handlers by file. */
void system_ping(struct http_req *r);
void system_version(struct http_req *r);
void system_info(struct http_req *r);

void containers_list(struct http_req *r);
void containers_create(struct http_req *r);
void containers_inspect(struct http_req *r);
void containers_rename(struct http_req *r);
void containers_update(struct http_req *r);
void containers_prune(struct http_req *r);

void verb_start(struct http_req *r);
void verb_stop(struct http_req *r);
void verb_restart(struct http_req *r);
void verb_kill(struct http_req *r);
void verb_pause(struct http_req *r);
void verb_unpause(struct http_req *r);
void verb_remove(struct http_req *r);
void verb_wait(struct http_req *r);

void archive_stat(struct http_req *r);
void archive_get(struct http_req *r);
void archive_put(struct http_req *r);
void archive_export(struct http_req *r);
void archive_changes(struct http_req *r);
void df_read(struct http_req *r);

void attach_open(struct http_req *r);
void attach_websocket(struct http_req *r);
void exec_make(struct http_req *r);
void exec_run(struct http_req *r);
void exec_show(struct http_req *r);
void resize_exec(struct http_req *r);
void resize_container(struct http_req *r);
void logs_read(struct http_req *r);
void events_watch(struct http_req *r);
void stats_read(struct http_req *r);
void top_read(struct http_req *r);

void images_list(struct http_req *r);
void images_inspect(struct http_req *r);
void images_history(struct http_req *r);
void images_tag_one(struct http_req *r);
void images_remove_one(struct http_req *r);
void images_load_archive(struct http_req *r);
void commit_make(struct http_req *r);
void images_create(struct http_req *r);
void images_pull(struct http_req *r); /* images_create with fromImage */
void auth_check(struct http_req *r);
void images_save_one(struct http_req *r);
void images_save_many(struct http_req *r);
void images_push(struct http_req *r);
void images_search(struct http_req *r);
void distribution_inspect(struct http_req *r);
void images_prune(struct http_req *r);
/* What was untagged and deleted, as elements of an array. */
void api_image_changes(const struct image_change *changes, size_t n, struct json_writer *w);
/* Publishes what an image operation changed. */
void images_publish(struct engine *en, const struct image_change *changes, size_t n);

void networks_list(struct http_req *r);
void networks_inspect(struct http_req *r);
void networks_create(struct http_req *r);
void networks_remove(struct http_req *r);
void networks_prune(struct http_req *r);
void networks_connect(struct http_req *r);
void networks_disconnect(struct http_req *r);
void volumes_list(struct http_req *r);
void volumes_inspect(struct http_req *r);
void volumes_create(struct http_req *r);
void volumes_remove(struct http_req *r);
void volumes_prune(struct http_req *r);

void skerry_boot(struct http_req *r);
void skerry_manifests(struct http_req *r);
void skerry_manifest_show(struct http_req *r);
void skerry_manifest_put(struct http_req *r);
void skerry_manifest_confirm(struct http_req *r);
void skerry_manifest_remove(struct http_req *r);

/* Answers of one kind, the text in the route's tag. */
void answer_unsupported(struct http_req *r); /* 501; tag: what, or NULL for the method and path */
void answer_no_swarm(struct http_req *r); /* 503 */
void answer_empty_list(struct http_req *r);

/* routes.c */
extern const struct http_route api_routes[];
extern const size_t api_n_routes;

#endif
