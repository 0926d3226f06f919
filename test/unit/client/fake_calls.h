/* SPDX-License-Identifier: MIT
 *
 * fake_calls: what the fake server does with each kind of call.
 */
#pragma once

#include "fake_server.h"

/* Queues an answer; sets its size. fake_server.c. */
void fake_server_answer(struct fake_server *s, struct fake_session *to, int kind,
                        Kauri__Answer *answer, struct slice raw);

/* Carries a call out and answers it, now or (a fetch) later. */
void fake_calls_handle(struct fake_server *s, struct fake_session *from, const Kauri__Call *call,
                       struct slice raw);
/* The calls of groups; fake_group.c. */
void fake_group_handle(struct fake_server *s, struct fake_session *from, const Kauri__Call *call);
/* Answers the fetches that have something, or waited long enough. */
void fake_calls_parked(struct fake_server *s);
/* Until the next of them is due; -1: none waits. */
int fake_calls_wait_ms(struct fake_server *s);
/* Forgets them. */
void fake_calls_drop(struct fake_server *s);
