/* SPDX-License-Identifier: MIT
 *
 * broker_ship_priv: between broker_ship.c and those that answer calls for it.
 */
#pragma once

#include "engine/broker/broker_ship.h"

struct broker_ships *broker_ships_of(struct broker *b);
/* The term whose vote was answered last by this process: what was told is here still. */
void broker_ships_answer(struct broker *b, uint32_t term);
uint32_t broker_ships_answered(const struct broker *b);
/* Votes that wait, oldest first. */
struct list *broker_ships_votes(struct broker *b);
/* Those that were not released yet. */
struct list *broker_ships_voted(struct broker *b);
