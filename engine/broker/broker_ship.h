/* SPDX-License-Identifier: MIT
 *
 * broker_ship: the calls of other brokers that are under way here. See broker_ship.c.
 */
#pragma once

#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

struct broker_ships;
struct broker_ships *broker_ships_new(struct broker *b);
/* Nothing is under way. NULL is fine; returns NULL. */
struct broker_ships *broker_ships_free(struct broker_ships *s);
/* Each turn: calls that wait for a change, or for a vote's work; then done of what is ready. */
void broker_ships_run(struct broker_ships *s);
int64_t broker_ships_next_ms(const struct broker_ships *s);
/* Everybody was answered whose answer is there. */
bool broker_ships_quiet(const struct broker_ships *s);
/* The broker is freed: what was asked is never answered. */
void broker_ships_abandon(struct broker_ships *s);
/* The broker stops: what waits is answered STOPPING. */
void broker_ships_fail_all(struct broker_ships *s);
