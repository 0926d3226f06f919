/* SPDX-License-Identifier: MIT
 *
 * nano_cluster: who belongs to the cluster, how far replicas are, the asking of a broker to lead,
 * and who leaves. Looking is answered from memory, O(partitions); none of the calls has raw bytes,
 * the parameter is the table's.
 */
#pragma once

#include "net/nano/nano_priv.h"

void nano_cluster_status(struct nano_call *c, struct slice raw);
void nano_cluster_promote(struct nano_call *c, struct slice raw);
void nano_cluster_leave(struct nano_call *c, struct slice raw);
/* A copy in the call's arena; NULL when that is used up. */
int32_t *nano_cluster_ids(struct nano_call *c, const int32_t *ids, size_t count);
/* Names the leader in an answer that says NOT_LEADER somewhere. */
void nano_cluster_point(struct nano_call *c);
