/*
 * struct map: an array of entries in insertion order and an open-addressed index over it.
 *
 * A removed entry keeps its place (key NULL) until the next growth packs the array, so that a walk
 * may remove what it stands on. The hash is SipHash-1-3 keyed with the 16 random bytes that the
 * kernel gives each process (AT_RANDOM): no state, no system call.
 */
#include "init/base/map.h"

#include <string.h>
#include <sys/auxv.h>

enum { MAP_MIN = 8 };

static inline uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static size_t hash_text(const char *s)
{
	static const uint64_t fixed[2] = { 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f };
	const void *seed = (const void *)getauxval(AT_RANDOM);
	size_t len = strlen(s), left = len;
	uint64_t k[2], v[4], word;

	memcpy(k, seed ? seed : fixed, sizeof(k));
	v[0] = k[0] ^ 0x736f6d6570736575;
	v[1] = k[1] ^ 0x646f72616e646f6d;
	v[2] = k[0] ^ 0x6c7967656e657261;
	v[3] = k[1] ^ 0x7465646279746573;
	for (; left >= 8; left -= 8, s += 8) {
		memcpy(&word, s, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, s, left);
	word |= (uint64_t)(len & 0xff) << 56;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return (size_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

void map_free(struct map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->used; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	*m = (struct map){ 0 };
}

size_t map_len(const struct map *m)
{
	return m->live;
}

static struct map_entry *find(const struct map *m, const char *key)
{
	size_t hash, i;

	if (m->live == 0 || !key)
		return NULL;
	hash = hash_text(key);
	for (i = hash & (m->n_slots - 1); m->slots[i]; i = (i + 1) & (m->n_slots - 1)) {
		struct map_entry *e = &m->entries[m->slots[i] - 1];

		if (e->key && e->hash == hash && strcmp(e->key, key) == 0)
			return e;
	}
	return NULL;
}

static void index_entry(uint32_t *slots, size_t n_slots, size_t hash, size_t entry)
{
	size_t i = hash & (n_slots - 1);

	while (slots[i])
		i = (i + 1) & (n_slots - 1);
	slots[i] = (uint32_t)entry + 1;
}

/* packs the entries into new tables with room for at least one more */
static int rebuild(struct map *m)
{
	size_t cap = MAP_MIN, n = 0;
	struct map_entry *entries;
	uint32_t *slots;

	while (cap < 2 * m->live)
		cap *= 2;
	if (cap > UINT32_MAX / 4)
		return -ENOMEM;
	entries = calloc(cap, sizeof(*entries));
	slots = calloc(2 * cap, sizeof(*slots));
	if (!entries || !slots) {
		free(entries);
		free(slots);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->used; i++) {
		if (!m->entries[i].key)
			continue;
		entries[n] = m->entries[i];
		index_entry(slots, 2 * cap, entries[n].hash, n);
		n++;
	}
	free(m->entries);
	free(m->slots);
	*m = (struct map){ entries, n, n, cap, slots, 2 * cap };
	return 0;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = find(m, key);

	return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
	return find(m, key) != NULL;
}

int map_put(struct map *m, const char *key, void *value, void **ret_old)
{
	struct map_entry *e = find(m, key);
	void *old = NULL;
	char *copy;

	if (e) {
		old = e->value;
		e->value = value;
	} else {
		if (m->used == m->cap && rebuild(m) < 0)
			return -ENOMEM;
		copy = strdup(key);
		if (!copy)
			return -ENOMEM;
		e = &m->entries[m->used];
		*e = (struct map_entry){ copy, value, hash_text(key) };
		index_entry(m->slots, m->n_slots, e->hash, m->used);
		m->used++;
		m->live++;
	}
	if (ret_old)
		*ret_old = old;
	return 0;
}

void *map_remove(struct map *m, const char *key)
{
	struct map_entry *e = find(m, key);

	if (!e)
		return NULL;
	free(e->key);
	e->key = NULL;
	m->live--;
	return e->value;
}

struct map_entry *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->used) {
		struct map_entry *e = &m->entries[(*pos)++];

		if (e->key)
			return e;
	}
	return NULL;
}
