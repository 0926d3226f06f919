/* SPDX-License-Identifier: MIT
 *
 * broker_mend: replicated partitions are read through now and then, and what is damaged is fetched
 * from another replica. See broker_mend.c.
 */
#pragma once

#include "engine/broker/broker_lead.h"

struct broker_mend;

struct broker_mend *broker_mend_new(struct broker *b);
/* Nothing is out. NULL is fine; returns NULL. */
struct broker_mend *broker_mend_free(struct broker_mend *m);
/* Damage of the partition may be known: it is looked at soon. O(damaged ranges). */
void broker_mend_look(struct bpart *p);
/* The log has lost something, or will be cut where it is damaged: that is written down, and then
 * its `reached` says so. Not for one that this broker leads. */
void broker_mend_mark(struct bpart *p);
/* The partition was opened, or opened again. */
void broker_mend_opened(struct bpart *p);
/* The partition goes. */
void broker_mend_forget(struct bpart *p);
/* A bpart_mend is over. */
void broker_mend_written(struct broker *b, int result);
void broker_mend_run(struct broker_mend *m);
int64_t broker_mend_next_ms(const struct broker_mend *m);
/* The broker stops: nothing more begins. */
void broker_mend_stop(struct broker_mend *m);
bool broker_mend_quiet(const struct broker_mend *m);
/* Partitions with damage that nobody could repair yet. O(those that are to be looked at). */
size_t broker_mend_damaged(const struct broker_mend *m);
struct broker_mend *broker_mend_of(struct broker *b);
