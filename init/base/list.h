/*
 * Intrusive doubly linked list: the node is embedded in the element, the head is a node too.
 */
#ifndef SKERRY_BASE_LIST_H
#define SKERRY_BASE_LIST_H

#include <stdbool.h>

#include "init/base/util.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head)          \
	{                        \
		&(head), &(head) \
	}

static inline UNUSED void list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline UNUSED bool list_empty(const struct list *l)
{
	return l->next == l;
}
static inline UNUSED void list_insert(struct list *at, struct list *node)
{
	node->prev = at;
	node->next = at->next;
	at->next->prev = node;
	at->next = node;
}
/* at the end of the list */
static inline UNUSED void list_append(struct list *head, struct list *node)
{
	list_insert(head->prev, node);
}
/* safe on an initialised node that is in no list */
static inline UNUSED void list_remove(struct list *node)
{
	if (!node->next)
		return;
	node->next->prev = node->prev;
	node->prev->next = node->next;
	list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
/* the loop variable must not be removed inside; use list_for_each_safe for that */
#define list_for_each(pos, head, member)                                                       \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_safe(pos, tmp, head, member)                        \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),    \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head);                                      \
	     pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
